"""What a run shows: bars in a terminal, plain lines in a pipe."""

import json
import re
import sys

import pytest
from project import REPO
from terminal import drawn_by

from flows.dvc_state.graph import Graph, Node, State
from flows.run import display
from flows.run.display import Display
from flows.run.session import Session

TIME = r"\d:\d\d:\d\d"
IN_A_TERMINAL = """
from frames import wait_for_a_frame
from flows.run.display import Display

def tell(done, label="epochs"):
    display.on_event("distil@a", {"event": "progress", "label": label, "done": done, "total": 4})
    wait_for_a_frame()

with Display(2) as display:
    display.stage_started("teacher")
    display.stage_finished("teacher", "restored")
    display.stage_started("distil@a")
    for done in range(5):
        tell(done)
    display.print_line("train loss 0.5", "distil@a")
    tell(0, "features")
    display.stage_finished("distil@a", "ran")
"""


@pytest.fixture
def clock_s(monkeypatch):
    """The time that rich reads, in a list of one, which stands still until a test moves it."""
    now_s = [100.0]
    monkeypatch.setattr("rich.console.monotonic", lambda: now_s[0])
    return now_s


@pytest.fixture
def shown(monkeypatch, clock_s):
    """A run of two stages, the teacher under way, that says how far it is with every event."""
    monkeypatch.setattr(display, "LINE_EVERY_S", 0.0)
    display_of_two = Display(2)
    display_of_two.stage_started("teacher")
    return display_of_two


def tell(shown, done, total, label="epochs"):
    shown.on_event("teacher", {"event": "progress", "label": label, "done": done, "total": total})


def test_in_a_pipe_progress_is_plain_lines_with_the_time_left(shown, clock_s, capsys):
    tell(shown, 0, 10)
    assert capsys.readouterr().out == "teacher epochs 0/10 in 0:00:00 left -:--:--\n"
    for done in (1, 3):
        clock_s[0] += 5
        tell(shown, done, 10)
    assert capsys.readouterr().out.splitlines()[-1] == "teacher epochs 3/10 in 0:00:10 left 0:00:18"


def test_in_a_pipe_there_is_no_line_before_some_time_has_gone_by(shown, clock_s, monkeypatch, capsys):
    monkeypatch.setattr(display, "LINE_EVERY_S", 15.0)
    for done in range(7):
        tell(shown, done, 10)
        clock_s[0] += 5
    assert [line.split(" in ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "teacher epochs 3/10", "teacher epochs 6/10",
    ]  # fmt: skip


def test_other_work_of_a_stage_and_work_without_an_end_are_counted_by_themselves(shown, clock_s, capsys):
    for done in (0, 2, 4):
        tell(shown, done, 4, "features")
        clock_s[0] += 1
    tell(shown, 0, 10)
    assert capsys.readouterr().out.splitlines()[-1] == "teacher epochs 0/10 in 0:00:00 left -:--:--"
    tell(shown, 0, None, "words")
    tell(shown, 7, None, "words")
    assert capsys.readouterr().out.splitlines()[-1] == "teacher words 7/? in 0:00:00"


def test_the_end_of_a_stage_is_a_line_and_a_second_attempt_counts_once(shown, clock_s, capsys):
    clock_s[0] += 61
    shown.stage_finished("teacher", "failed")
    shown.stage_started("teacher")
    shown.stage_finished("teacher", "ran")
    shown.stage_started("distil@a")
    shown.stage_finished("distil@a", "ran")
    assert capsys.readouterr().out.splitlines() == [
        "teacher: failed in 0:01:01 (1 of 2)",
        "teacher: ran in 0:00:00 (1 of 2)",
        "distil@a: ran in 0:00:00 (2 of 2)",
    ]


def test_in_a_terminal_there_is_a_bar_for_each_stage_and_one_for_the_whole():
    lines = drawn_by([sys.executable, "-c", IN_A_TERMINAL], REPO)
    bar = "━+[╸╺]?━*"
    assert any(re.fullmatch(rf"distil@a epochs +{bar} 3/4 in {TIME} left {TIME}", line) for line in lines), lines
    assert any(re.fullmatch(rf"whole run {bar} 1/2 stages in {TIME}", line) for line in lines), lines
    assert "distil@a: train loss 0.5" in lines


def test_remarks_on_models_are_told_unless_their_stage_has_just_run(tmp_path, monkeypatch, capsys):
    """Of what is up to date before anything runs, of what is restored with it; a stage that runs says its own."""
    graph = Graph([Node("teacher", frozenset(), ("models/teacher",)), Node("distil@a", frozenset({"teacher"}))])
    folder = tmp_path / "models" / "teacher"
    folder.mkdir(parents=True)
    told = "teacher: warning: train it longer"

    def lines(todo, verdict):
        (folder / "config.json").write_text(json.dumps({"facts": {"unfinished": "train it longer"}}))
        monkeypatch.setattr("flows.run.session.run_job", lambda *_: verdict)
        session = Session(tmp_path, State(graph, frozenset(todo)), None, 2, False, 60.0)
        session.remark_on_the_rest()
        before = capsys.readouterr().out
        for name in todo:
            session.run(name, print)
        return before, capsys.readouterr().out

    before, after = lines(["distil@a"], "ran")
    assert told in before
    assert told not in after
    before, after = lines(["teacher", "distil@a"], "restored")
    assert told not in before
    assert told in after
    assert told not in "".join(lines(["teacher", "distil@a"], "ran"))
