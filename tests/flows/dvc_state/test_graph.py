"""Order and exclusive stages, on graphs small enough to work out by hand."""

from flows.dvc_state.graph import Graph, Node, stage_label

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


def test_stages_have_one_name_for_dvc_and_one_for_mlflow():
    assert [stage_label(s) for s in ("distil@a", "cache_logits_of_teachers@big", "export_teacher", "teacher")] == [
        "distil/a",
        "cache_logits/big",
        "export/teacher",
        "teacher",
    ]
