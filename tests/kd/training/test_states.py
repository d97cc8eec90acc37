"""Inner states: what is tapped, which layers meet, projections beside the model, and learning from them."""

from statistics import fmean
from typing import Any

import pytest
import torch
from factories import CASES, make_features, make_model
from tiny_training import TinyValidation, fresh, tiny_fit, tiny_inputs, tiny_settings
from torch import Tensor

from kd.config.losses import Features, ObjectiveSettings
from kd.config.states import NEEDS_STATES, layer_pairs, state_widths
from kd.losses import DISTILL_LOSSES
from kd.models import Recogniser
from kd.training import Batches, Inputs
from kd.training.best import best_epoch
from kd.training.frame_rates import averaged
from kd.training.states import States, states_of, tapped
from kd.training.student_with_heads import StudentWithHeads


def objective(**settings: Any) -> ObjectiveSettings:
    return ObjectiveSettings.model_validate({"beta": 1.0, "distill": {"name": "features", **settings}})


def encoder(name: str) -> Any:
    return make_model(name, "keyword").settings.encoder


def all_states(model: Recogniser) -> States:
    features, lengths = make_features()
    layers = range(1, 1 + len(state_widths(model.settings.encoder)))
    with torch.no_grad(), tapped(model, layers) as caught:
        model(features, lengths)
    return states_of(model, caught, lengths)


@pytest.mark.parametrize(("name", "problem"), CASES)
def test_states_have_the_declared_widths_and_the_last_makes_the_logits(name: str, problem: str) -> None:
    model = make_model(name, problem)
    states = all_states(model)
    assert tuple(x.shape[2] for x in states.at.values()) == state_widths(model.settings.encoder)
    assert {x.shape[1] for x in states.at.values()} == {int(states.lengths_B.max())}
    with torch.no_grad():
        logits, lengths = model(*make_features())
        deepest = states.at[max(states.at)], states.lengths_B
        last = states.embedding_B1D if problem == "keyword" else model.pooled(*deepest)[0]
        found = model.head(last)
    for row, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :n], logits[row, :n])
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("settings", "student", "teacher", "expected"),
    [
        ({}, 4, 6, ((2, 3), (4, 6))),
        ({}, 1, 6, ((1, 6),)),
        ({"layers": 1}, 4, 6, ((4, 6),)),
        ({"layers": 3}, 3, 12, ((1, 4), (2, 8), (3, 12))),
        ({"layers": 4}, 5, 4, ((1, 1), (3, 2), (4, 3), (5, 4))),
        ({"pairs": ((1, 6), (3, 2))}, 4, 6, ((1, 6), (3, 2))),
    ],
)
def test_layers_meet_evenly_spaced_last_with_last(settings: Any, student: int, teacher: int, expected: Any) -> None:
    assert layer_pairs(Features(name="features", **settings), student, teacher) == expected


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"layers": 5}, "asks for 5 pairs of layers with the student, which has 4"),
        ({"pairs": ((1, 7),)}, "names layer 7 of the teacher, which has 6"),
        ({"pairs": ((5, 1),)}, "names layer 5 of the student, which has 4"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(settings: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        layer_pairs(Features(name="features", **settings), 4, 6)


def test_settings_that_contradict_themselves_are_refused() -> None:
    for settings, line in (
        ({"layers": 1, "pairs": [[1, 1]]}, "pairs names each: remove one"),
        ({"l1": 0, "cosine": 0}, "all 0, and nothing would be compared: raise one"),
        ({"name": "relational", "distance": 0, "angle": 0}, "both 0, and nothing would be compared: raise one"),
    ):
        with pytest.raises(ValueError, match=line):
            objective(**settings)


def test_settings_and_registry_agree_on_who_needs_states() -> None:
    assert set(NEEDS_STATES) == {
        name for name, loss in DISTILL_LOSSES.items() if loss.needs in ("layers", "embeddings")
    }


def test_a_faster_side_is_averaged() -> None:
    """Frames in pairs, the last alone; and all valid ones where the other has a single frame."""
    fast, slow = torch.tensor([[[1.0], [3.0], [5.0], [7.0], [9.0]]]), torch.zeros(1, 4, 1)
    three, five, one = torch.tensor([3]), torch.tensor([5]), torch.tensor([1])
    for student, teacher, lengths in averaged(fast, five, slow, three), reversed_sides(fast, five, slow, three):
        assert student.flatten().tolist() == [2, 6, 9]
        assert teacher.shape == (1, 3, 1)
        assert lengths.tolist() == [3]
    padded = torch.cat([fast, torch.full((1, 1, 1), torch.nan)], 1)
    assert averaged(padded, five, slow[:, :1], one)[0].tolist() == [[[5]]]


def reversed_sides(fast: Tensor, fast_B: Tensor, slow: Tensor, slow_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    student, teacher, lengths = averaged(slow, slow_B, fast, fast_B)
    return teacher, student, lengths


def test_projections_are_drawn_from_their_seed_and_leave_torchs_generator_alone() -> None:
    model, teacher = make_model("cnn"), encoder("patch_cnn")
    torch.manual_seed(3)
    made = [StudentWithHeads(model, objective(), seed, teacher) for seed in (1, 1, 2)]
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    first, again, other = (student.beside.state_dict() for student in made)
    sizes = {key: tuple(x.shape) for key, x in first.items()}
    assert sizes == {"project_3_1.weight": (9, 12), "project_3_1.bias": (9,)}
    assert torch.equal(first["project_3_1.weight"], again["project_3_1.weight"])
    assert not torch.equal(first["project_3_1.weight"], other["project_3_1.weight"])


def test_a_student_as_its_teacher_is_met_as_it_is() -> None:
    """Identity where the widths are equal, so that nothing is to be learnt of it; random where they differ."""
    settings, (features_BTF, lengths_B) = objective(projections="identity"), make_features()
    model = make_model("cnn")
    with torch.no_grad():
        out = StudentWithHeads(model, settings, 1, encoder("cnn"))(features_BTF, lengths_B)
    assert out.states is not None
    assert out.projected is not None
    for (mine, _), x_BTD in out.projected.items():
        torch.testing.assert_close(x_BTD, out.states.at[mine])
    mixed, drawn = (
        StudentWithHeads(model, s, 1, encoder("patch_cnn")).beside.state_dict() for s in (settings, objective())
    )
    assert all(torch.equal(x, drawn[key]) for key, x in mixed.items())


def test_no_error_chooses_an_epoch_where_the_output_layer_is_taught_nothing() -> None:
    """The last counts, of a history as of weights, and patience never ends it; beside labels, errors choose."""
    teacher, settings, validate = (
        make_model("gru", seed=5),
        tiny_settings(patience=1),
        TinyValidation(0.1, 0.2, 0.3, 0.4),
    )
    changes: dict[str, Any] = {"batches": taught("transcription", teacher), "teacher": teacher.settings.encoder}
    for label_weight, best in ((0, 3), (1, 0)):
        learns = ObjectiveSettings.model_validate(
            {"label_weight": label_weight, "beta": 1, "distill": [{"name": "features"}, {"name": "relational"}]}
        )
        model, validate.calls = fresh("cnn"), 0
        before = model.head.weight.clone()
        epochs = list(tiny_fit(model, settings, objective=learns, validate=validate, **changes))
        assert epochs[-1].state["best_epoch"] == best
        assert best_epoch([{"epoch": e.index, **e.metrics} for e in epochs])["epoch"] == best
        assert torch.equal(model.head.weight, before) is (label_weight == 0)
        assert ("head_taught" in epochs[-1].metrics) is (label_weight == 0)


@pytest.mark.parametrize(
    ("changes", "taught"),
    [
        ({}, False),
        ({"distill": [{"name": "features"}, {"name": "soft_targets"}]}, True),
        ({"self_distillation": [{"name": "cr_ctc"}]}, True),
        ({"label_weight": 0.1}, True),
    ],
)
def test_which_losses_reach_the_output_layer(changes: dict[str, Any], taught: bool) -> None:
    plain = {"label_weight": 0, "beta": 1, "distill": [{"name": "features"}, {"name": "relational"}]}
    assert ObjectiveSettings.model_validate({**plain, **changes}).teaches_head is taught


def test_a_teacher_without_states_is_refused() -> None:
    with pytest.raises(ValueError, match="compares inner states, but its teacher shows none"):
        StudentWithHeads(make_model("cnn"), objective(), 1)


def taught(problem: str, teacher: Recogniser) -> Batches:
    """Two batches with a teacher's states of all its layers."""
    layers = range(1, 1 + len(state_widths(teacher.settings.encoder)))

    def inputs(seed: int) -> Inputs:
        plain = tiny_inputs(problem, seed)
        with torch.no_grad(), tapped(teacher, layers) as caught:
            teacher(plain.features_BTF, plain.lengths_B)
        states = states_of(teacher, caught, plain.lengths_B)
        return Inputs(plain.features_BTF, plain.lengths_B, plain.targets_BL, plain.target_lengths_B, states=states)

    batches = [inputs(seed) for seed in range(2)]
    return Batches(lambda _: iter(batches), len(batches))


@pytest.mark.parametrize("match", ["features", "relational"])
@pytest.mark.parametrize(
    ("student", "teacher", "problem"),
    [("cnn", "gru", "transcription"), ("conformer", "lstm", "keyword"), ("patch_cnn", "gru", "keyword")],
)
def test_states_are_learnt_and_the_teacher_is_left_alone(student: str, teacher: str, problem: str, match: str) -> None:
    """At a rate at which no epoch is up again, whatever the last bits of a processor are."""
    source, model = make_model(teacher, problem, seed=5), fresh(student, problem)
    before = {name: x.clone() for name, x in source.state_dict().items()}
    settings = tiny_settings(epochs=30, optimiser={"name": "adam", "lr": 0.001}, schedule={"name": "constant"})
    learns = ObjectiveSettings.model_validate({"label_weight": 0, "beta": 1, "distill": {"name": match}})
    batches = taught(problem, source)
    epochs = list(tiny_fit(model, settings, objective=learns, batches=batches, teacher=source.settings.encoder))
    losses = [epoch.metrics["distill_loss"] for epoch in epochs]
    assert fmean(losses[-10:]) < 0.6 * losses[0]
    assert epochs[-1].best.keys() == model.state_dict().keys()
    assert bool(epochs[-1].state["beside"]) is (match == "features")
    assert all(torch.equal(x, before[name]) for name, x in source.state_dict().items())
    assert all(parameter.grad is None for parameter in source.parameters())
