"""Damaged command lines: of the runtime, of `kd` and of `python -m tasks`, with damaged files."""

import json
import os
import re
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from unittest.mock import patch

import tasks.__main__ as stages
import tasks.data.prepared  # loaded once, before any case begins  # noqa: F401
from fuzzing.damage import damaged_bytes, misspelt, odd_text
from fuzzing.outcomes import exit_code
from fuzzing.params import damaged as damaged_yaml
from fuzzing.trials import kd, runtime
from fuzzing.watching import Attempt
from tasks.runner import harness

REPO = Path(__file__).parents[3]
NUMBERS = (
    *("nan", "inf", "-inf", "-1", "0", "1", "0.5", "1e22", "1e-9", "9" * 5_000, "8000", "16", "2", "٣", "1_0", "0x10"),
    "",
)  # fmt: skip
ARPA = (
    "\\data\\\nngram 1=5\nngram 2=2\n\n\\1-grams:\n-99 <s> -0.3\n-1.0 </s>\n-0.5 ab -0.2\n-0.8 cab\n-2.0 <unk>\n\n"
    "\\2-grams:\n-0.1 <s> ab\n-0.3 ab cab\n\\end\\\n"
)
WORDS = "ab\ncab\nba\nabba\n"
RESULTS = (
    "model,role,error_kind,params,verdict,test_wer\nteacher,teacher,wer,100,,0.1\nsmall,student,wer,10,worse,0.2\n"
)
TRANSCRIBE = (
    ["--format", "json"], ["--format", "srt"], ["--format", "vtt"], ["--out", "OUT"], ["--level", "-23"],
    ["--beam", "4"], ["--beam", "4", "--lm", "ARPA"], ["--beam", "8", "--words", "WORDS"],
    ["--beam", "3", "--lm", "ARPA", "--words", "WORDS"], ["--lm-weight", "2"], ["--word-bonus", "1"],
    ["--stream"], ["--rate", "8000"], ["--threads", "1"], ["--chunk-s", "0.05"], ["--context-s", "0.01"],
    ["--form", "int8"], ["--help"],
)  # fmt: skip
SPOT = (
    ["--format", "json"], ["--threshold", "-1"], ["--background", "SOUND", "--false-alarms-per-hour", "9"],
    ["--level", "-23"], ["--rate", "8000"], ["--chunk-s", "0.1"],
)  # fmt: skip
KD = (
    ["run", "--jobs", "2"], ["run", "--force", "--retries", "0"], ["run", "--timeout-hours", "1"], ["results"],
    ["schedule", "--cron", "0 3 * * *", "--jobs", "1"], ["ui", "--port", "5000"], ["check", "--params", "YAML"],
    ["study", "STUDY", "--first-cell"], ["study", "STUDY", "--jobs", "2"],
    ["study", "STUDY", "--table", "--against", "x"], ["tune", "SEARCH", "--trials", "3"],
    ["transcribe-testset", "MODEL", "--out", "OUT", "--prompt", "p", "--language", "en"],
    ["import", "train=MODEL", "SOUND", "--write", "--kind", "nemo", "--decode", "5"],
    ["transcribe-testset", "tiny.en"], ["--help"], ["transcribe", "MODEL", "SOUND"],
)  # fmt: skip
STAGES = (["corpus"], ["preprocess"], ["teacher"], ["distil", "small"], ["export", "teacher"], ["report"], ["--help"])


def prepared(shared: Path, room: Path) -> Attempt:
    (room / "reports").mkdir(exist_ok=True)
    for name in ("dvc.yaml", "corpora", "models", "studies"):
        if not (room / name).exists():
            (room / name).symlink_to(REPO / name)

    def attempt(rng: Random, folder: Path) -> str:
        os.chdir(room)
        named = _files(rng, shared, folder)
        kind, words = _command(rng)
        if rng.random() < 0.6:
            words = _damaged(rng, words)
        arguments = [named.get(word, _as_a_shell_gives(word)) for word in words]
        (folder / "arguments.json").write_text(json.dumps(arguments), encoding="utf-8")
        shutil.copyfile(named["RESULTS"], room / "reports" / "results.csv")
        shutil.copyfile(named["YAML"], room / "params.yaml")
        given = Path(named["SOUND"]).read_bytes() if rng.random() < 0.8 else b""
        return f"{kind}: {PROGRAMS[kind](arguments, given)}"

    return attempt


def _as_a_shell_gives(word: str) -> str:
    """Bytes, of which none is zero; and no folder outside, for whoever names / is to wait for all that lies in it."""
    if re.fullmatch("[./]*/[./]*", word):
        return "no/such/folder"
    return os.fsdecode(
        re.sub("[\0\ud800-\udbff\udc00-\udc7f\udd00-\udfff]", "", word).encode("utf-8", "surrogateescape")
    )


def _stage(arguments: list[str], given: bytes) -> str:
    """A stage is not run here where its parameters are right: there is no project around it."""
    harness.run_stage, real = partial(_checked_alone, harness.run_stage), harness.run_stage
    try:
        return exit_code(lambda: stages.main(arguments))
    finally:
        harness.run_stage = real


def _checked_alone(
    run_stage: Callable[..., int], command: str, name: str = "", root: Path = Path(), follow: object = None
) -> int:
    with patch.object(harness, "_run_recorded"), patch.object(harness.signal, "signal"):
        return run_stage(command, name, root)


PROGRAMS: dict[str, Callable[[list[str], bytes], str]] = {
    "runtime": runtime,
    "kd": lambda arguments, given: kd(arguments),
    "stage": _stage,
}


def _command(rng: Random) -> tuple[str, list[str]]:
    draw = rng.random()
    if draw < 0.3:
        options = [word for option in rng.sample(TRANSCRIBE, rng.randrange(3)) for word in option]
        return "runtime", ["transcribe", *_of_a_model(rng), *options]
    if draw < 0.5:
        options = [word for option in rng.sample(SPOT, rng.randrange(3)) for word in option]
        return "runtime", ["spot", *_of_a_model(rng), "--keywords", "WORDS", *options]
    if draw < 0.9:
        return "kd", list(rng.choice(KD))
    return "stage", list(rng.choice(STAGES))


def _of_a_model(rng: Random) -> list[str]:
    return [
        "MODEL",
        *rng.choice((["SOUND"], ["SOUND"], ["-"], ["SOUND", "BROKEN"], ["FOLDER"], ["missing.wav", "SOUND"])),
    ]


def _damaged(rng: Random, words: list[str]) -> list[str]:
    words = list(words)
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(words)) if words else 0
        match rng.randrange(7):
            case 0:
                words.insert(place, odd_text(rng, longest=50_000))
            case 1:
                del words[place : place + 1]
            case 2:
                words[place : place + 1] = [misspelt(rng, word) for word in words[place : place + 1]]
            case 3 | 4:  # the value of an option
                numbers = [i + 1 for i, word in enumerate(words[:-1]) if word.startswith("--")] or [place]
                at = rng.choice(numbers)
                words[at : at + 1] = [rng.choice((rng.choice(NUMBERS), odd_text(rng, longest=50_000)))]
            case 5:
                words[place:place] = words[place : place + 2]
            case _:
                words[place : place + 1] = [
                    rng.choice(("WORDS", "ARPA", "SOUND", "FOLDER", "MODEL", "-", "/dev/null", "OUT"))
                ]
    return words


def _files(rng: Random, shared: Path, folder: Path) -> dict[str, str]:
    """What stands for files in a command; about half of them damaged."""
    sounds = _sounds(shared)
    broken = damaged_bytes(rng, rng.choice(sounds), head=128)
    written = {
        "SOUND": ("a.wav", sounds[0]),
        "BROKEN": ("b.wav", broken),
        "ARPA": ("lm.arpa", _perhaps(rng, _in_case(rng, ARPA))),
        "WORDS": ("words.txt", _perhaps(rng, _in_case(rng, WORDS))),
        "RESULTS": ("results.csv", damaged_bytes(rng, RESULTS.encode())),
        "YAML": ("p.yaml", _yaml(rng, "params.yaml")),
        "STUDY": ("study.yaml", _yaml(rng, "studies/fsdd-keyword.yaml")),
        "SEARCH": ("search.yaml", _yaml(rng, "searches/embedded-tenth.yaml")),
    }
    for name, content in written.values():
        (folder / name).write_bytes(content)
    (folder / "sounds").mkdir()
    odd = rng.choice(
        (b"a.wav", b"caf\xe9.wav", b"two\nlines.wav", "naïve 語.wav".encode(), b"._a.wav", b"x.m4a", b"-.flac")
    )
    with open(os.fsencode(folder) + b"/sounds/" + odd, "wb") as file:  # noqa: PTH123  # a name of any bytes
        file.write(rng.choice((sounds[0], broken)))
    places = {"FOLDER": "sounds", "OUT": "out"} | {key: name for key, (name, _) in written.items()}
    model = _model(
        rng, shared / "models" / "exports" / rng.choice(("cnn", "cnn", "stream", "keyword")), folder / "model"
    )
    return {"MODEL": str(model)} | {key: str(folder / name) for key, name in places.items()}


def _model(rng: Random, whole: Path, copy: Path) -> Path:
    """The export, or a copy of it of which one file is damaged, and in half of these not told by a digest."""
    if rng.random() < 0.7:
        return whole
    shutil.copytree(whole, copy)
    if rng.random() < 0.5:
        description = json.loads((copy / "export.json").read_text())
        description.pop("files", None)
        (copy / "export.json").write_text(json.dumps(description))
    file = rng.choice(sorted(copy.iterdir()))
    if file.is_file():
        file.write_bytes(damaged_bytes(rng, file.read_bytes()))
    return copy


def _perhaps(rng: Random, content: bytes) -> bytes:
    return damaged_bytes(rng, content) if rng.random() < 0.35 else content


def _in_case(rng: Random, text: str) -> bytes:
    return rng.choice((text, text.upper(), text.title(), text.replace("a", "á"), "\ufeff" + text)).encode()


def _yaml(rng: Random, name: str) -> bytes:
    whole = (REPO / name).read_bytes()
    return damaged_yaml(rng, whole) if rng.random() < 0.3 else whole


@cache
def _sounds(shared: Path) -> list[bytes]:
    names = ("WAV-PCM_16-2.wav", "WAV-FLOAT-1.wav", "FLAC-PCM_16-2.flac", "OGG-VORBIS-1.ogg", "AIFF-PCM_16-1.aiff")
    return [(shared / "containers" / name).read_bytes() for name in names]
