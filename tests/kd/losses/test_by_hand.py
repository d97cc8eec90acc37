"""A case worked by hand for each loss that compares student and teacher."""

import math

import pytest
import torch
from precision import FLOAT32
from torch import Tensor

from kd.config.losses import BlankSelected, Decoupled, Dist, Features, GuidedCTC, Relational, ShiftTolerant, SoftTargets
from kd.losses import blank_selected, decoupled, dist, features, guided_ctc, relational, shift_tolerant, soft_targets
from kd.losses.blank_selected import nonblank_frames


def logits(*probabilities: tuple[float, ...]) -> Tensor:
    """One utterance whose softmax is exactly these rows."""
    return torch.tensor([probabilities]).log()


def lengths(*n: int) -> Tensor:
    return torch.tensor(n)


SPOKEN = (0.2, 0.8)
SILENT = (0.9, 0.1)
HALF = (0.5, 0.5)
KL_SPOKEN_HALF = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
KL_SILENT_HALF = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)


def test_blank_selected_counts_spoken_frames_and_their_neighbours() -> None:
    teacher, student = logits(SPOKEN, SILENT, SILENT, SILENT), logits(HALF, HALF, HALF, HALF)
    for dilation, expected in ((0, KL_SPOKEN_HALF / 4), (1, (KL_SPOKEN_HALF + KL_SILENT_HALF) / 4)):
        settings = BlankSelected(name="blank_selected", temperature=1.0, dilation=dilation)
        assert float(blank_selected(student, teacher, lengths(4), settings=settings)) == pytest.approx(
            expected, rel=FLOAT32
        )


def test_blank_selected_with_wide_dilation_is_soft_targets() -> None:
    teacher, student = logits(SILENT, SPOKEN, SILENT), logits(HALF, SILENT, HALF)
    selected = BlankSelected(name="blank_selected", temperature=2.0, dilation=3)
    expected = soft_targets(student, teacher, lengths(3), settings=SoftTargets(temperature=2.0))
    torch.testing.assert_close(blank_selected(student, teacher, lengths(3), settings=selected), expected)


def test_a_silent_teacher_gives_nothing() -> None:
    teacher, student = logits(SILENT, SILENT), logits(HALF, HALF).requires_grad_()
    loss = blank_selected(student, teacher, lengths(2), settings=BlankSelected(name="blank_selected"))
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_dilation_stays_within_the_utterance() -> None:
    teacher = torch.cat([logits(SILENT, SPOKEN, SPOKEN), logits(SILENT, SILENT, SPOKEN)])
    assert nonblank_frames(teacher, lengths(2, 3), 1).tolist() == [[True, True, False], [False, True, True]]


def test_guided_ctc_is_the_mean_probability_at_the_teachers_spikes() -> None:
    teacher, student = logits(SPOKEN, SILENT, SPOKEN), logits((0.7, 0.3), SPOKEN, (0.4, 0.6))
    loss = guided_ctc(student, teacher, lengths(3), settings=GuidedCTC(name="guided_ctc"))
    assert float(loss) == pytest.approx(-(0.3 + 0.6) / 3, rel=FLOAT32)


def test_a_late_student_is_forgiven() -> None:
    teacher, late = logits(SPOKEN, SILENT, SILENT), logits(SILENT, SPOKEN, SILENT)
    settings = ShiftTolerant(name="shift_tolerant", temperature=1.0, max_delay=1)
    assert float(shift_tolerant(late, teacher, lengths(3), settings=settings)) == pytest.approx(0.0, abs=FLOAT32)
    strict = ShiftTolerant(name="shift_tolerant", temperature=1.0, max_delay=0)
    expected = soft_targets(late, teacher, lengths(3), settings=SoftTargets(temperature=1.0))
    torch.testing.assert_close(shift_tolerant(late, teacher, lengths(3), settings=strict), expected)


def test_soft_least_lies_between_the_delays() -> None:
    """With divergences 0 at delay 1 and k at delay 0: -s log((1 + exp(-k / s)) / 2)."""
    teacher, late = logits(SPOKEN, SILENT, SILENT), logits(SILENT, SPOKEN, SILENT)
    hard = ShiftTolerant(name="shift_tolerant", temperature=1.0, max_delay=0)
    k = float(shift_tolerant(late, teacher, lengths(3), settings=hard))
    soft = ShiftTolerant(name="shift_tolerant", temperature=1.0, max_delay=1, softness=0.5)
    expected = -0.5 * math.log((1 + math.exp(-k / 0.5)) / 2)
    assert float(shift_tolerant(late, teacher, lengths(3), settings=soft)) == pytest.approx(expected, abs=FLOAT32)


def test_an_utterance_of_one_frame_has_no_delay() -> None:
    teacher, student = logits(SPOKEN, SILENT), logits(HALF, HALF)
    settings = ShiftTolerant(name="shift_tolerant", temperature=1.0, max_delay=5)
    assert float(shift_tolerant(student, teacher, lengths(1), settings=settings)) == pytest.approx(
        KL_SPOKEN_HALF, rel=FLOAT32
    )


def test_decoupled_weighs_the_target_and_the_others() -> None:
    teacher, student = logits((0.6, 0.3, 0.1)), logits((0.2, 0.4, 0.4))
    binary = 0.6 * math.log(0.6 / 0.2) + 0.4 * math.log(0.4 / 0.8)
    rest = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    settings = Decoupled(name="decoupled", temperature=1.0, target=2.0, others=5.0)
    expected = 2 * binary + 5 * rest
    assert float(decoupled(student, teacher, lengths(1), settings=settings)) == pytest.approx(expected, rel=FLOAT32)


def test_decoupled_holds_soft_targets() -> None:
    """KL = binary + (1 - p_target) * rest (Zhao et al. 2022, eq. 5)."""
    teacher, student = logits((0.6, 0.3, 0.1)), logits((0.2, 0.4, 0.4))
    settings = Decoupled(name="decoupled", temperature=1.0, target=1.0, others=0.4)
    expected = soft_targets(student, teacher, lengths(1), settings=SoftTargets(temperature=1.0))
    torch.testing.assert_close(decoupled(student, teacher, lengths(1), settings=settings), expected)


def test_decoupled_needs_others() -> None:
    with pytest.raises(ValueError, match="at least 3 units, found 2"):
        decoupled(logits(HALF), logits(SPOKEN), lengths(1), settings=Decoupled(name="decoupled"))


def test_dist_is_one_minus_the_correlations() -> None:
    """Opposite rows (correlation -1) beside equal ones (+1); columns worked out with numpy's corrcoef."""
    teacher = logits((0.7, 0.2, 0.1), (0.1, 0.2, 0.7), (0.3, 0.4, 0.3))
    student = logits((0.7, 0.2, 0.1), (0.7, 0.2, 0.1), (0.3, 0.4, 0.3))
    columns = [torch.corrcoef(torch.stack([teacher[0].exp()[:, v], student[0].exp()[:, v]]))[0, 1] for v in range(3)]
    rows = [torch.corrcoef(torch.stack([teacher[0].exp()[n], student[0].exp()[n]]))[0, 1] for n in range(3)]
    expected = (1 - torch.stack(rows).mean()) + 3 * (1 - torch.stack(columns).mean())
    settings = Dist(name="dist", between=1.0, within=3.0)
    torch.testing.assert_close(dist(student, teacher, lengths(3), settings=settings), expected, rtol=1e-4, atol=1e-5)


def test_dist_by_hand() -> None:
    """Less their mean 1/3 and times 30, (0.5, 0.3, 0.2) is (5, -1, -4), whose square is 42.

    Rows: 25 + 4 + 4 = 33 and 16 - 5 - 5 = 6 of 42. The first column falls in both (+1); the second stands still in
    the student alone (0), the third in the teacher alone, so that it has no correlation and is left out.
    """
    student = logits((0.5, 0.3, 0.2), (0.2, 0.3, 0.5))
    teacher = logits((0.5, 0.2, 0.3), (0.2, 0.5, 0.3))
    for between, within in ((1, 0), (0, 1), (1, 2)):
        expected = between * (1 - (33 / 42 + 6 / 42) / 2) + within * (1 - (1 + 0) / 2)
        settings = Dist(name="dist", between=between, within=within)
        assert float(dist(student, teacher, lengths(2), settings=settings)) == pytest.approx(expected, abs=1e-5)


def keywords(scale: float) -> Tensor:
    """16 utterances of 3 of 12 classes, each as sure as `scale` says; 9 classes are absent, two of them improbable."""
    drawn = torch.randn(16, 1, 12, generator=torch.Generator().manual_seed(3))
    drawn[torch.arange(16), 0, torch.arange(16) % 3] += scale
    drawn[..., 10:] -= torch.tensor([40.0, 200.0])
    return drawn


@pytest.mark.parametrize("scale", [5.0, 15.0, 40.0])
def test_dist_learns_classes_that_are_absent(scale: float) -> None:
    """Their columns are all but 0, yet correlated as any other; nothing is left at identity."""
    teacher, settings = keywords(scale), Dist(name="dist", between=0)
    there = lengths(*[1] * 16)
    assert float(dist(teacher.clone(), teacher, there, settings=settings)) == pytest.approx(0, abs=FLOAT32)
    student = (teacher + torch.randn(16, 1, 12, generator=torch.Generator().manual_seed(4))).requires_grad_()
    dist(student, teacher, there, settings=settings).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad[:, 0, 3:].abs().amax(0).min() > 1e-4


@pytest.mark.parametrize("even", [0.0, 7.0])
def test_dist_of_what_does_not_vary(even: float) -> None:
    """An even teacher says nothing; a student that is even yet, as a new head of zeros, has somewhere to go."""
    flat, teacher = torch.full((2, 1, 4), even), keywords(5.0)[:2, :, :4]
    there, settings = lengths(1, 1), Dist(name="dist")
    assert float(dist(flat, flat, there, settings=settings)) == 0
    assert float(dist(teacher, flat, there, settings=settings)) == 0
    student = flat.clone().requires_grad_()
    loss = dist(student, teacher, there, settings=settings)
    loss.backward()
    assert loss.item() == pytest.approx(2, abs=1e-3)
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad.any()


def test_dist_forgives_scale_but_not_order() -> None:
    teacher = logits((0.5, 0.3, 0.2), (0.2, 0.5, 0.3))
    flatter = (teacher.softmax(-1) * 0.5 + 1 / 6).log()
    settings = Dist(name="dist")
    assert float(dist(flatter, teacher, lengths(2), settings=settings)) == pytest.approx(0.0, abs=1e-5)
    assert float(dist(teacher.flip(1), teacher, lengths(2), settings=settings)) > 0.5


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1.0, 0.0, 0.0), 1.5), ((0.0, 1.0, 0.0), 0.52), ((0.0, 0.0, 1.0), 3.0), ((2.0, 1.0, 0.5), 5.02)],
)
def test_features_are_differences_and_an_angle(weights: tuple[float, float, float], expected: float) -> None:
    """Frames (3, 4) of (4, 3) and (1, 0) of (0, 3): differences 1, 1, 1, 3; cosines 24/25 and 0, of mean 0.48."""
    student, teacher = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]]), torch.tensor([[[4.0, 3.0], [0.0, 3.0]]])
    l1, cosine, mse = weights
    settings = Features(name="features", l1=l1, cosine=cosine, mse=mse)
    assert float(features(student, teacher, lengths(2), settings=settings)) == pytest.approx(expected, rel=FLOAT32)


def embedded(*points: tuple[float, float]) -> Tensor:
    """Utterances of one frame each."""
    return torch.tensor(points, dtype=torch.float32)[:, None]


RIGHT, LINE = embedded((0, 0), (3, 0), (0, 4)), embedded((0, 0), (1, 0), (3, 0))


def test_distances_are_compared_in_units_of_their_mean() -> None:
    """Of 3, 4, 5 the mean is 4; of 1, 3, 2 it is 2. Huber at a difference d < 1 is d^2 / 2."""
    settings = Relational(name="relational", angle=0)
    apart = [3 / 4 - 1 / 2, 4 / 4 - 3 / 2, 5 / 4 - 2 / 2]
    loss = float(relational(RIGHT, LINE, lengths(1, 1, 1), settings=settings))
    assert loss == pytest.approx(sum(d**2 / 2 for d in apart) / 3, rel=FLOAT32)


def test_angles_are_compared_at_every_utterance() -> None:
    """Cosines at the three corners: 0, 3/5, 4/5; on the line 1, -1, 1. Huber at |d| > 1 is |d| - 1/2."""
    settings = Relational(name="relational", distance=0, angle=2)
    loss = float(relational(RIGHT, LINE, lengths(1, 1, 1), settings=settings))
    assert loss == pytest.approx(2 * (1**2 / 2 + (1.6 - 0.5) + 0.2**2 / 2) / 3, rel=FLOAT32)


def test_few_utterances_have_few_relations() -> None:
    """One has none, two a distance that is its own mean and no angle; both can be learnt from without an error."""
    for count in (1, 2):
        student = RIGHT[:count].clone().requires_grad_()
        loss = relational(student, LINE[:count], lengths(*[1] * count), settings=Relational(name="relational"))
        loss.backward()
        assert loss.item() == 0
        assert student.grad is not None
        assert student.grad.isfinite().all()


def test_equal_utterances_have_a_finite_gradient() -> None:
    student = embedded((1, 2), (1, 2), (1, 2)).requires_grad_()
    relational(student, RIGHT, lengths(1, 1, 1), settings=Relational(name="relational")).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_an_utterance_is_the_mean_of_its_frames() -> None:
    frames = torch.tensor([[[2.0, 0.0], [4.0, 0.0]], [[0.0, 4.0], [9.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]]])
    settings = Relational(name="relational")
    expected = relational(embedded((3, 0), (0, 4), (0, 0)), LINE, lengths(1, 1, 1), settings=settings)
    twice = LINE.repeat(1, 2, 1)
    torch.testing.assert_close(relational(frames, twice, lengths(2, 1, 2), settings=settings), expected)
