"""Damaged tables: manifests and transcripts, through their reader, and through the stages corpus and preprocess."""

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import tasks.data.preparation.schema  # loaded once, before any case begins  # noqa: F401
from fuzzing.damage import ODD_NUMBERS, damaged_bytes, misspelt, odd_text, odd_value
from fuzzing.outcomes import refusal
from fuzzing.shared import CLIPS
from fuzzing.watching import Attempt
from tasks.data.corpora.manifest import COLUMNS
from tasks.data.tables import read_table
from tasks.params.load import parse_params
from tasks.params.names import TABLES
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import corpus, preprocess
from tasks.teachers.transcribers.table import transcriptions
from tasks.teachers.transcribers.transcriber import Clip

REPO = Path(__file__).parents[3]
COLUMN_NAMES = ("id", "speaker", "split", "start_s", "end_s", "snr_db", "start", "hypothesis", "confidence", "weight")
WORDS = ("yes", "no", "one two", "Three!", "naïve", "50 %", "route 66", "don’t")
SPLITS = ("train", "valid", "test", "dev", "Train", None)

Row = dict[str, Any]


def prepared(shared: Path, room: Path) -> Attempt:
    if not (room / "corpus").exists():
        shutil.copytree(shared / "corpus", room / "corpus")
    clips = [Clip(name.removesuffix(".wav"), name, 0.4, 16_000, list) for name in CLIPS]
    data = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))

    def attempt(rng: Random, folder: Path) -> str:
        os.chdir(room)
        file = room / "corpus" / f"manifest{rng.choice(TABLES)}"
        file.write_bytes(_table(rng, file.suffix))
        shutil.copy(file, folder)
        outcomes = [
            refusal(lambda: list(read_table(file, COLUMNS))),
            refusal(lambda: list(transcriptions(file, clips))),
            refusal(lambda: _prepare(_params(rng, data, file.name), room)),
        ]
        file.unlink()
        return " / ".join(outcomes)

    return attempt


def _prepare(params: Params, room: Path) -> None:
    paths = Paths(room)
    for folder in (paths.raw, paths.prepared):
        shutil.rmtree(folder, ignore_errors=True)
    reporter = _Says()
    corpus.run(params, paths, reporter=reporter)
    try:
        preprocess.run(params, paths, reporter=reporter)
    finally:
        _say_details(paths.scratch / "quarantine.csv")
        _say_details(paths.prepared / "quarantine.csv")


def _say_details(table: Path) -> None:
    """What is said of each row that was put aside: a line, as long as other lines may be."""
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as source:
            csv.field_size_limit(sys.maxsize)
            print(*(row["detail"] for row in csv.DictReader(source)), sep="\n")
        table.unlink()


class _Says:
    """A Watch that prints."""

    scratch = None

    def metrics(self, values: Any, step: int) -> None:
        pass

    def progress(self, items: Any, total: int | None = None, label: str = "") -> Any:
        yield from items

    def say(self, message: str) -> None:
        print(message)


def _params(rng: Random, data: dict[str, Any], file: str) -> Params:
    keyword = rng.random() < 0.5
    pieces = {"kind": "sentencepiece", "size": 40}
    problem = {"kind": "transcription", "units": pieces if rng.random() < 0.1 else {"kind": "characters"}}
    model = {"family": "rnn", "stem": 8, "width": 8, "layers": 1, "hidden": 8}
    limits = {"limits": {"train": 3}} if rng.random() < 0.2 else {}
    changed = {
        "problem": {"kind": "keyword"} if keyword else problem,
        "corpus": {"kind": "manifest", "root": "corpus", "file": file, **limits},
        "preprocess": {
            "workers": 1, "max_quarantined_share": 1.0, "unlabelled": rng.choice(("keep", "quarantine")),
            "strip_punctuation": rng.random() < 0.7, "language": rng.choice((None, "tr")),
        },
        "teacher": {"source": "train", "model": model, "training": {"epochs": 1, "batch_seconds": 10}},
        "students": {"small": {"init": "random", "model": model, "teacher": "none"}},
    }  # fmt: skip
    return parse_params(data | changed)


def _table(rng: Random, suffix: str) -> bytes:
    chosen = rng.sample(COLUMN_NAMES, rng.randrange(5))
    columns = ["path", "text", *sorted(set(chosen) - ({"start"} if "start_s" in chosen else set()))]
    rows = [_row(rng, i, columns) for i in range(rng.choice((0, 1, 8, 24, 24)))]
    if rng.random() < 0.6:
        _damage_cells(rng, rows)
    if rng.random() < 0.3:
        _damage_names(rng, rows)
    content = WRITERS[suffix](rng, rows)
    return damaged_bytes(rng, content, head=200) if rng.random() < 0.4 else content


def _row(rng: Random, number: int, columns: list[str]) -> Row:
    clip = CLIPS[number % len(CLIPS)]
    whole = {
        "path": clip, "text": rng.choice(WORDS), "id": clip.removesuffix(".wav"), "speaker": clip[0],
        "split": rng.choice(SPLITS), "start_s": 0.0, "end_s": 0.4, "snr_db": 20.5, "start": 0.1,
        "hypothesis": rng.choice(WORDS), "confidence": rng.random(), "weight": 1.0,
    }  # fmt: skip
    return {name: whole[name] for name in columns}


def _damage_cells(rng: Random, rows: list[Row]) -> None:
    for _ in range(rng.choice((1, 1, 3, 20)) if rows else 0):
        row = rng.choice(rows)
        kind = rng.random()
        name = rng.choice(list(row))
        row[name] = odd_text(rng) if kind < 0.6 else rng.choice(ODD_NUMBERS) if kind < 0.8 else odd_value(rng)


def _damage_names(rng: Random, rows: list[Row]) -> None:
    """One column of another name, in all rows or in one."""
    if rows:
        old = rng.choice(list(rows[0]))
        new = misspelt(rng, old) if rng.random() < 0.7 else rng.choice(("file", "Speaker", "label", "", odd_text(rng)))
        for row in rows if rng.random() < 0.8 else rows[:1]:
            if old in row:
                row[new] = row.pop(old)


def _delimited(delimiter: str) -> Callable[[Random, list[Row]], bytes]:
    def write(rng: Random, rows: list[Row]) -> bytes:
        out = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row)) or ["path", "text"]
        if rng.random() < 0.3:  # without any care for quotes
            lines = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
            out.write("".join(delimiter.join(map(str, line)) + "\n" for line in lines))
        else:
            writer = csv.DictWriter(out, names, delimiter=delimiter)
            writer.writeheader()
            writer.writerows([{name: _cell(value) for name, value in row.items()} for row in rows])
        return out.getvalue().encode("utf-8", "surrogatepass")

    return write


def _cell(value: Any) -> str:
    return "" if value is None else str(value)[:200_000] if not isinstance(value, int) else hex(value)[2:]


def _jsonl(rng: Random, rows: list[Row]) -> bytes:
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5, default=str) for row in rows]
    if lines and rng.random() < 0.1:
        lines[-1] = lines[-1][:-1] + ', "text": "again"}'
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _parquet(rng: Random, rows: list[Row]) -> bytes:
    """Columns of the types that the values have, or of strings."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["path", "text"]
    arrays = [_array(rng, [row.get(name) for row in rows]) for name in names]
    doubled = rng.random() < 0.05
    out = io.BytesIO()
    written = [name.encode("utf-8", "replace").decode() for name in names]
    table = pa.Table.from_arrays(arrays + arrays[:1] * doubled, names=written + written[:1] * doubled)
    pq.write_table(table, out, compression=rng.choice(("snappy", "none", "zstd")), row_group_size=rng.choice((3, 99)))
    return out.getvalue()


def _array(rng: Random, values: list[Any]) -> pa.Array:
    values = [str(v) if isinstance(v, dict) else v for v in values]
    try:
        array = pa.array(values)
    except (pa.ArrowException, ValueError, OverflowError, TypeError):
        array = pa.array([None if v is None else str(v).encode("utf-8", "replace") for v in values], pa.binary())
    if array.type == pa.string() and rng.random() < 0.3:
        array = array.cast(rng.choice((pa.binary(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))))
    elif pa.types.is_floating(array.type) and rng.random() < 0.3:
        array = array.cast(rng.choice((pa.float32(), pa.string())))
    return array


WRITERS: dict[str, Callable[[Random, list[Row]], bytes]] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
