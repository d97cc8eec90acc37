"""How far a stage is: an event each time, whatever ends it; plain lines where there is no terminal, else a bar."""

import re
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from project import PATIENCE_S
from terminal import drawn_by

from tasks.runner import progress
from tasks.runner.event_log import EventReader, EventWriter

TIME = r"\d:\d\d:\d\d"
WORK = """
import os, signal, sys
from pathlib import Path
from tasks.runner.event_log import EventWriter
from tasks.runner import progress
if sys.stderr.isatty():
    from frames import wait_for_a_frame
progress.EVENT_EVERY_S = 0
for step in progress.show_progress(range(9), None, "epochs", EventWriter(Path("events.jsonl"))):
    if step == 5 and "killed" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.stderr.isatty():
        wait_for_a_frame()
"""


@pytest.fixture
def often(monkeypatch):
    """A line at every step, and a clock that stands still."""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    monkeypatch.setattr("rich.console.monotonic", lambda: 0.0)


def work(tmp_path, items, total, **options):
    with closing(EventWriter(tmp_path / "events.jsonl")) as event_log:
        return list(progress.show_progress(items, total, "epochs", event_log, **options))


def test_without_a_terminal_lines_of_plain_text_say_how_far_it_is(tmp_path, often, capfd):
    assert work(tmp_path, "abc", None) == ["a", "b", "c"]
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "epochs 1/3 in 0:00:00 left -:--:--"
    assert lines[2] == "epochs 3/3 in 0:00:00 left 0:00:00"


def test_between_two_lines_some_time_goes_by_and_the_time_left_is_reckoned_from_the_steps(tmp_path, monkeypatch, capfd):
    steps = []
    monkeypatch.setattr("rich.console.monotonic", lambda: 10.0 * len(steps))
    work(tmp_path, (steps.append(step) for step in range(6)), 6)
    assert capfd.readouterr().err.splitlines() == [
        "epochs 2/6 in 0:00:20 left 0:00:40",
        "epochs 4/6 in 0:00:40 left 0:00:20",
        "epochs 6/6 in 0:01:00 left 0:00:00",
    ]


def test_work_without_an_end_is_counted(tmp_path, often, capfd):
    work(tmp_path, iter("ab"), None)
    assert capfd.readouterr().err.splitlines() == ["epochs 1/? in 0:00:00", "epochs 2/? in 0:00:00"]


def test_what_a_flow_shows_a_stage_does_not(tmp_path, often, capfd):
    work(tmp_path, "ab", 2, followed=True)
    assert capfd.readouterr().err == ""
    told = [(event["done"], event["total"]) for event in EventReader(tmp_path / "events.jsonl").new_events()]
    assert told == [(0, 2), (2, 2)]


def test_events_survive_kill_9(tmp_path):
    done = subprocess.run([sys.executable, "-c", WORK, "killed"], cwd=tmp_path, timeout=PATIENCE_S, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [event["done"] for event in EventReader(tmp_path / "events.jsonl").new_events()] == [0, 1, 2, 3, 4, 5]


def test_a_terminal_gets_a_bar_with_the_time_left(tmp_path):
    lines = drawn_by([sys.executable, "-c", WORK], tmp_path)
    assert any(re.fullmatch(rf"epochs ━+[╸╺]?━* 6/9 in {TIME} left {TIME}", line) for line in lines), lines
