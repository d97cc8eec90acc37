"""Order, exclusive stages and the estimate of the time left, on graphs small enough to work out by hand."""

import pytest

from flows.estimate import expected_seconds, seconds_left, stage_label, with_progress
from flows.graph import Graph, Node
from tasks.runner.stage_durations import Timing, add_timing

GRAPH = Graph(
    [
        Node("a", frozenset()),
        Node("b", frozenset({"a"})),
        Node("c", frozenset({"a"})),
        Node("alone", frozenset({"b"}), exclusive=True),
        Node("d", frozenset({"alone", "c"})),
        Node("e", frozenset()),
    ]
)


def test_descendants_hold_the_stages_themselves():
    assert GRAPH.descendants(["b"]) == {"b", "alone", "d"}
    assert GRAPH.descendants([]) == set()


def test_an_exclusive_stage_waits_for_all_before_it_and_all_behind_wait_for_it():
    everything = list(GRAPH.nodes)
    assert GRAPH.wait_for("b", everything) == ["a"]
    assert GRAPH.wait_for("alone", everything) == ["a", "b", "c"]
    assert GRAPH.wait_for("e", everything) == ["alone"]


def test_only_chosen_stages_are_waited_for():
    assert GRAPH.wait_for("alone", ["c", "alone"]) == ["c"]


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 60.0), (2, 50.0)])
def test_time_left_of_a_run_that_has_not_begun(jobs, seconds):
    """10 s each: a, then b and c (side by side where two may run), then alone, then d, then e."""
    graph = Graph([*(node for name, node in GRAPH.nodes.items() if name != "e"), Node("e", frozenset({"d"}))])
    expected = dict.fromkeys(graph.nodes, 10.0)
    assert seconds_left(graph, expected, graph.nodes, {}, jobs) == seconds


def test_time_left_counts_what_a_running_stage_has_done():
    expected = dict.fromkeys(GRAPH.nodes, 10.0)
    assert seconds_left(GRAPH, expected, [], {"d": 4.0}, 2) == 6.0
    assert seconds_left(GRAPH, expected, [], {"d": 40.0}, 2) == 1.0


def test_time_left_is_unknown_only_where_no_stages_time_is_known():
    assert seconds_left(GRAPH, {}, ["a", "b"], {}, 2) is None
    assert seconds_left(GRAPH, {"a": 1.0}, ["a", "b"], {}, 2) == 1.0


def test_what_a_stage_says_itself_counts_more_than_its_past_and_counts_for_its_likes():
    found = with_progress(
        {"teacher": 99.0, "report": 3.0},
        {"teacher": 10.0, "distil@a": 20.0},
        {"teacher": 5.0, "distil@a": 40.0},
        ["teacher", "distil@a", "distil@b", "report", "profile"],
    )
    assert found == {"teacher": 15.0, "distil@a": 60.0, "distil@b": 60.0, "report": 3.0}


def test_expected_times_come_from_the_last_run_or_from_stages_alike(tmp_path):
    for seconds in (50.0, 20.0):
        add_timing(tmp_path, Timing("distil/baseline", 0.0, seconds))
    add_timing(tmp_path, Timing("export/teacher", 0.0, 2.0))
    found = expected_seconds(tmp_path, ["distil@baseline", "distil@new", "export_teacher", "profile"])
    start_up = found["distil@baseline"] - 20.0
    assert 0 < start_up < 10
    assert found["distil@new"] == 35.0 + start_up
    assert found["export_teacher"] == 2.0 + start_up
    assert "profile" not in found


def test_stages_have_one_name_for_dvc_and_one_for_mlflow():
    assert [stage_label(s) for s in ("distil@a", "cache_logits_of_teachers@big", "export_teacher", "teacher")] == [
        "distil/a",
        "cache_logits/big",
        "export/teacher",
        "teacher",
    ]
