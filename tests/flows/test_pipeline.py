"""The flow over the real graph with toy stages: what runs, what is restored, what happens when something fails."""

import pytest

from flows.pipeline import pipeline

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_runs_restores_and_rests(toy):
    first = pipeline(root=str(toy.root))
    assert set(first.values()) == {"ran"}
    assert len(first) == 15
    assert pipeline(root=str(toy.root)) == {}
    locked = toy.lock()

    toy.forget()
    toy.set("students.distilled.objective.beta", 0.25)
    second = pipeline(root=str(toy.root))
    ran = {name for name, verdict in second.items() if verdict == "ran"}
    assert {"distil@distilled", "export@distilled", "evaluate@distilled", "measure", "report"} <= ran
    assert not any("baseline" in name or "teacher" in name for name in ran), "one student's parameter reran more"

    toy.forget()
    toy.set("students.distilled.objective.beta", 0.5)
    third = pipeline(root=str(toy.root))
    assert set(third.values()) <= {"restored", "cached"}
    assert toy.noted("begin") == []
    assert toy.lock() == locked
