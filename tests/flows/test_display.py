"""The lines and bars of a first run, of whose stages nothing is known yet."""

import json
from types import SimpleNamespace

import pytest

from flows import display
from flows.graph import Graph, Node, State
from flows.session import Session

NOW_S = 1_000.0
GRAPH = Graph([Node("teacher", frozenset()), Node("distil@a", frozenset({"teacher"}))])


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A first run of two stages, the teacher under way, that says how long it takes with every look.

    The clock stands still.
    """
    clock = SimpleNamespace(time=lambda: NOW_S, monotonic=lambda: NOW_S)
    monkeypatch.setattr(display, "time", clock)
    monkeypatch.setattr(display, "LINE_EVERY_S", -1.0)
    session = Session(tmp_path, State(GRAPH, frozenset(GRAPH.nodes)), None, 2, False, 60.0)
    session.display.began("teacher")
    return session


def tell(session, done, total, ago_s, label="epochs"):
    event = {"event": "progress", "label": label, "done": done, "total": total, "time_s": NOW_S - ago_s}
    session.display.told("teacher", event)


def test_before_the_first_step_nothing_is_known(session, capsys):
    tell(session, 0, 10, ago_s=20.0)
    session.show_time_left({"teacher"})
    assert "time left unknown" in capsys.readouterr().out


def test_a_training_under_way_tells_the_time_left_by_its_epochs(session, capsys):
    tell(session, 0, 10, ago_s=30.0)
    tell(session, 2, 10, ago_s=10.0)
    assert session.display.own_seconds_left()["teacher"] == pytest.approx(8 * 10 - 10)
    session.show_time_left({"teacher"})
    line = capsys.readouterr().out
    assert "teacher epochs 2 of 10" in line
    assert "at least 1:10 left" in line


def test_work_without_an_end_or_after_another_label_is_counted_by_itself(session):
    tell(session, 0, 4, ago_s=100.0, label="features")
    tell(session, 4, 4, ago_s=60.0, label="features")
    tell(session, 0, 10, ago_s=50.0)
    tell(session, 5, 10, ago_s=0.0)
    assert session.display.own_seconds_left()["teacher"] == pytest.approx(50.0)
    tell(session, 0, None, ago_s=0.0, label="words")
    tell(session, 7, None, ago_s=0.0, label="words")
    assert session.display.own_seconds_left() == {}


def test_with_all_known_it_is_about(session, capsys):
    session.display.expect(70.0, {"teacher": 70.0, "distil@a": 10.0})
    assert "about 1:10 left" in capsys.readouterr().out


def test_remarks_on_models_are_told_unless_their_stage_has_just_run(tmp_path, monkeypatch, capsys):
    """Of what is up to date before anything runs, of what is restored with it; a stage that runs says its own."""
    graph = Graph([Node("teacher", frozenset(), ("models/teacher",)), Node("distil@a", frozenset({"teacher"}))])
    folder = tmp_path / "models" / "teacher"
    folder.mkdir(parents=True)
    told = "teacher: warning: train it longer"

    def lines(todo, verdict):
        (folder / "config.json").write_text(json.dumps({"facts": {"unfinished": "train it longer"}}))
        monkeypatch.setattr("flows.session.run_job", lambda *_: verdict)
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
