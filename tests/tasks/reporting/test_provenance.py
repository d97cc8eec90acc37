"""What the report says of a run's origin."""

from workspace import make_params

from tasks.reporting.provenance import seeds


def test_every_seed_is_found() -> None:
    found = seeds(make_params(preprocess={"splits": {"seed": 7}}))
    assert found["preprocess.splits.seed"] == 7
    assert found["student_training.seed"] == 1
