"""Somebody's program: it gets WAV files and gives a table; whatever goes wrong is told with its own words."""

import sys
from pathlib import Path

import pytest

from tasks.params.teachers import CommandTeacher
from tasks.runner.reporter import NullReporter
from tasks.teachers.transcribers import Clip
from tasks.teachers.transcribers.command import Command

PROGRAM = """
import csv, sys, wave
files, table = sys.argv[1:]
with open(files) as source, open(table, "w") as out:
    print("id,hypothesis,confidence", file=out)
    for row in csv.DictReader(source):
        with wave.open(row["path"]) as sound:
            print(f"{row['id']},{sound.getnframes()} at {sound.getframerate()},0.5", file=out)
"""


def command(program: str, folder: Path, **changes: object) -> Command:
    (folder / "hear.py").write_text(program)
    words = (sys.executable, "hear.py", "{files}", "{table}")
    settings = {"source": "command", "path": "hear.py", "command": words, **changes}
    return Command(CommandTeacher.model_validate(settings), folder)


def test_it_is_given_the_samples_at_their_rate(tmp_path: Path, clips: list[Clip]) -> None:
    found = dict(command(PROGRAM, tmp_path).transcribe(clips, NullReporter()))
    assert [found[name].texts[0][0] for name in "abc"] == ["8000 at 16000", "8400 at 16000", "8800 at 16000"]
    assert found["a"].confidence == 0.5


@pytest.mark.parametrize(
    ("program", "changes", "message"),
    [
        (
            "raise SystemExit('no model here')",
            {},
            r"(?s)exit code 1\. Mend the program.* Its last lines:\nno model here",
        ),
        ("print('done')", {}, r"(?s)it wrote no \{table\}.*done"),
        ("import time; time.sleep(6000)", {"timeout_s": 0.5}, "did not end within timeout_s 0.5"),
        ("", {"command": ("no-such-program", "{files}", "{table}")}, "there is no program 'no-such-program'"),
    ],
)
def test_failures_are_told(
    program: str, changes: dict[str, object], message: str, tmp_path: Path, clips: list[Clip]
) -> None:
    with pytest.raises(ValueError, match=message):
        list(command(program, tmp_path, **changes).transcribe(clips, NullReporter()))


def test_a_command_must_say_where_it_reads_and_writes() -> None:
    with pytest.raises(ValueError, match=r"has no \{table\}"):
        CommandTeacher(source="command", path=Path("x"), command=("x", "{files}"))


def test_bytes_that_are_no_utf8_cost_no_table_and_are_told_escaped(tmp_path: Path, clips: list[Clip]) -> None:
    noise = "import sys; sys.stdout.buffer.write(b'caf\\xe9 '); sys.stderr.buffer.write(b'\\xff\\n')\n"
    assert set(dict(command(noise + PROGRAM, tmp_path).transcribe(clips, NullReporter()))) == {"a", "b", "c"}
    with pytest.raises(ValueError, match=r"caf\\xe9"):
        list(command(noise + "raise SystemExit(1)", tmp_path).transcribe(clips, NullReporter()))
