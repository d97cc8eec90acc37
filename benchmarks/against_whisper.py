"""An exported student against Whisper tiny.en, on connected digits of a speaker neither was trained on, in one run.

    python benchmarks/against_whisper.py exports/sliced --speaker george

Both transcribe the same WAV files, one after another, from the file to the text, on the CPU with as many threads;
each runs in a process of its own. Whisper, through faster-whisper with 8-bit weights, is installed into an environment
of its own at the first call. It knows all of English and nothing of this task, so it also runs with a prompt that
names the digits; its numerals and the digits' homophones are counted as the digits. The student knows digits alone.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

from digit_strings import FSDD, write_strings
from rich.console import Console
from rich.table import Table

from kd.runtime.bundle import FORMS
from kd.text.metrics import word_edits
from tasks.data.corpora.phrases import DIGITS
from tasks.stages.profile import cpu_name

HERE = Path(__file__).parent
WHISPER = HERE.parents[1] / "shared" / "models" / "whisper-tiny.en-ct2"
ENVIRONMENT = HERE.parent / "scratch" / "whisper"
PACKAGES = ("faster-whisper==1.2.1", "ctranslate2==4.8.5")
PROMPT = "Digits: " + ", ".join(DIGITS) + "."
HOMOPHONES = {
    "oh": "zero", "o": "zero", "won": "one", "to": "two", "too": "two", "for": "four", "fore": "four", "ate": "eight",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    name: str
    command: list[str]
    size_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="folder of the exported student")
    parser.add_argument("--speaker", default="george", help="left out of the student's training")
    parser.add_argument("--strings", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="rounds over all files; the fastest counts")
    parser.add_argument("--fsdd", type=Path, default=FSDD, help="folder of the recordings")
    parser.add_argument("--whisper", type=Path, default=WHISPER, help="folder of the CTranslate2 model")
    parser.add_argument("--python", type=Path, help="of an environment that has faster-whisper; made where not given")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    python = options.python or whisper_python()
    with tempfile.TemporaryDirectory() as folder:
        strings = write_strings(options.fsdd, Path(folder), options.speaker, options.strings, options.seed)
        listing = Path(folder) / "files.json"
        listing.write_text(json.dumps([str(string.file) for string in strings]), encoding="utf-8")
        counts = [str(options.threads), str(options.repeats), str(listing)]
        rows = [*student_rows(options.export, counts), *whisper_rows(python, options.whisper, counts)]
        duration_s = sum(string.duration_s for string in strings)
        texts = [string.text for string in strings]
        found = [figures(row, transcribe(row.command, options.threads), texts, duration_s) for row in rows]
    about = {
        "speaker": options.speaker,
        "strings": len(texts),
        "words": sum(len(text.split()) for text in texts),
        "audio_s": round(duration_s, 1),
        "threads": options.threads,
        "machine": cpu_name(),
        "load_before": os.getloadavg()[0],
    }
    show(found, about)
    if options.json:
        options.json.write_text(json.dumps({"about": about, "rows": found}, indent=1) + "\n", encoding="utf-8")


def whisper_python() -> Path:
    """The Python of faster-whisper's environment, made where it is missing."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".ready"
    if not ready.is_file() or ready.read_text(encoding="utf-8") != " ".join(PACKAGES):
        print(f"Installing {' and '.join(PACKAGES)} into {ENVIRONMENT}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True
        )
        ready.write_text(" ".join(PACKAGES), encoding="utf-8")
    return python


def student_rows(export: Path, counts: list[str]) -> list[Row]:
    """Float and, where the gate released it, 8 bits."""
    beside = sum((export / file).stat().st_size for file in ("tokens.txt", "export.json"))
    there = {form: export / file for form, file in FORMS.items() if (export / file).is_file()}
    if not there:
        raise SystemExit(f"{export} holds no model.onnx: name the folder of an exported student")
    return [
        Row(
            f"{export.name}, {form}",
            [sys.executable, str(HERE / "transcribe_student.py"), str(export), form, *counts],
            file.stat().st_size + beside,
        )
        for form, file in there.items()
    ]


def whisper_rows(python: Path, model: Path, counts: list[str]) -> list[Row]:
    if not (model / "model.bin").is_file():
        raise SystemExit(f"{model} holds no model.bin: give the folder of a CTranslate2 model by --whisper")
    size = sum(file.stat().st_size for file in model.iterdir())
    ways = {"greedy": ("1", ""), "beam of 5": ("5", ""), "beam of 5, told of digits": ("5", PROMPT)}
    worker = [str(python), str(HERE / "transcribe_whisper.py"), str(model)]
    return [Row(f"whisper tiny.en int8, {name}", [*worker, *way, *counts], size) for name, way in ways.items()]


def transcribe(command: list[str], threads: int) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def as_digits(text: str) -> str:
    """Words in lower case without punctuation; numerals digit by digit, homophones as the digits they sound like."""
    words = re.findall(r"[0-9]|[a-z']+", text.lower())
    return " ".join(DIGITS[int(word)] if word.isdigit() else HOMOPHONES.get(word, word) for word in words)


def figures(row: Row, found: dict[str, Any], texts: list[str], duration_s: float) -> dict[str, Any]:
    said = [as_digits(text) for text in found["texts"]]
    errors = [word_edits(text, found).errors for text, found in zip(texts, said, strict=True)]
    return {
        "name": row.name,
        "word_errors": sum(errors) / sum(len(text.split()) for text in texts),
        "strings_right": sum(error == 0 for error in errors) / len(texts),
        "rtf": min(found["rounds_s"]) / duration_s,
        "start_s": found["start_s"],
        "peak_mb": found["peak_mb"],
        "size_mb": row.size_bytes / 1e6,
    }


def show(rows: list[dict[str, Any]], about: dict[str, Any]) -> None:
    table = Table(title=", ".join(f"{key} {value}" for key, value in about.items()))
    for i, column in enumerate(
        ("recogniser", "word errors", "strings right", "real-time factor", "start", "peak", "size")
    ):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['word_errors']:.1%}",
            f"{row['strings_right']:.1%}",
            f"{row['rtf']:.4f}",
            f"{row['start_s']:.2f} s",
            f"{row['peak_mb']:.0f} MB",
            f"{row['size_mb']:.2f} MB",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
