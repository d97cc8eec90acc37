"""Stage `ensembles`: two teachers as one for whoever learns from them, whether they give posteriors or text."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tiny_stages import LEARNS, TRAINING, run_student, same, weights
from workspace import ENCODERS, make_params, make_workspace

from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.params.teachers import Ensemble
from tasks.runner.paths import Paths
from tasks.stages import adopt_teacher, ensembles
from tasks.stages.ensembles import most_confident
from tasks.teachers.posterior_teacher import EnsembleTeacher, load_posterior_teacher
from tasks.teachers.pseudo_label_table import Hypothesis, PseudoLabel, read_pseudo_labels

SMALL = {"init": "random", "model": ENCODERS["baseline"]}
FROM_TEXT = {"label_weight": 0.0, "beta": 1.0, "distill": {"name": "hypotheses"}}


def params(joined: dict[str, Any], problem: str = "transcription", **changes: Any) -> Params:
    learns = {**SMALL, "teacher": "both", "objective": LEARNS}
    students = {"baseline": {**SMALL, "teacher": "none"}, "distilled": {**SMALL, "teacher": "none"}, "taught": learns}
    values = {"ensembles": joined, "students": students, "student_training": TRAINING, **changes}
    return make_params(problem, **values)


def outputs(paths: Paths, name: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    waveform_BN = torch.rand(2, 8_000, generator=generator) - 0.5
    return load_posterior_teacher(paths, name).posteriors(waveform_BN, torch.tensor([8_000, 6_000]))[0]


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_a_mean_of_models_teaches_as_one(problem: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, problem)
    settings = params({"both": {"first": "teacher", "second": "distilled", "weight": 0.7}}, problem)
    ensembles.run(settings, paths, "both")
    expected = 0.7 * outputs(paths, "teacher").exp() + 0.3 * outputs(paths, "distilled").exp()
    torch.testing.assert_close(outputs(paths, "both").exp(), expected)
    run_student(settings, paths, "taught")
    assert not same(weights(paths.model("taught")), weights(paths.initial("taught")))


def test_an_ensemble_of_an_ensemble_and_the_surer_of_two(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    joined = {
        "inner": {"first": "teacher", "second": "distilled"},
        "both": {"first": "inner", "second": "baseline", "combine": "max_confidence"},
    }
    settings = params(joined)
    for name in joined:
        ensembles.run(settings, paths, name)
    found, inner, other = (outputs(paths, name) for name in ("both", "inner", "baseline"))
    assert all(torch.equal(found[i], inner[i]) or torch.equal(found[i], other[i]) for i in range(2))
    assert len({load_posterior_teacher(paths, name).key for name in ("both", "inner", "teacher")}) == 3


def test_a_model_gives_a_recogniser_that_gives_text_its_second_opinion(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    train = PreparedData.load(paths.prepared).split("train")
    rows = [{"id": u.id, "hypothesis": u.text, "confidence": 0.99 - 0.98 * (i % 2)} for i, u in enumerate(train)]
    pd.DataFrame(rows).to_csv(tmp_path / "said.csv", index=False)
    learns = {
        **SMALL,
        "teacher": "both",
        "objective": FROM_TEXT,
        "filter": {"max_disagreement": 1.0, "min_range_db": None},
    }
    settings = params(
        {"both": {"first": "crowd", "second": "teacher", "combine": "max_confidence"}},
        teachers={"crowd": {"source": "table", "path": "said.csv"}},
        students={"taught": learns},
    )
    adopt_teacher.run(settings, paths, "crowd")
    ensembles.run(settings, paths, "both")
    answers = read_pseudo_labels(paths.model("both"))
    for i, utterance in enumerate(train):
        answer = answers[utterance.id]
        assert answer.best is not None
        heard_by_crowd = answer.best.text == utterance.text and answer.confidence == pytest.approx(0.99)
        assert heard_by_crowd == (i % 2 == 0)
        assert len(answer.opinions) == 1
        assert (answer.opinions[0] == utterance.text) == (i % 2 == 1)
    run_student(settings, paths, "taught")
    assert (paths.model("taught") / "labels.parquet").is_file()


def test_who_is_surer_must_be_known() -> None:
    one = {"u": PseudoLabel("u", (Hypothesis("A", "a", 1.0),), confidence=0.4, opinions=("x",))}
    other = {"u": PseudoLabel("u", (Hypothesis("B.", "b", 1.0),), confidence=0.6)}
    assert most_confident("u", one, other) == PseudoLabel(
        "u", (Hypothesis("B.", "b", 1.0),), confidence=0.6, opinions=("a",)
    )
    silent = {"u": PseudoLabel("u", (), refused="too short")}
    assert most_confident("u", silent, one) == one["u"]
    assert most_confident("u", silent, {}) == silent["u"]
    unsure = {"u": PseudoLabel("u", (Hypothesis("C", "c", 1.0),))}
    assert most_confident("u", unsure, {}) == unsure["u"]
    with pytest.raises(ValueError, match="utterance u one teacher gives no confidence"):
        most_confident("u", one, unsure)


class Fixed:
    """A teacher that gives the same posteriors of whatever it is given."""

    key = "fixed"

    def __init__(self, frames: list[int], units: int = 3) -> None:
        generator = torch.Generator().manual_seed(units)
        self.posteriors_BTV = torch.randn(len(frames), max(frames), units, generator=generator).log_softmax(-1)
        self.frames_B = torch.tensor(frames)

    def to(self, device: torch.device) -> "Fixed":
        return self

    def posteriors(self, waveform_BN: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.posteriors_BTV, self.frames_B


def joined_frames(first: Fixed, second: Fixed) -> tuple[torch.Tensor, torch.Tensor]:
    settings = Ensemble(first="whisper", second="cnn")
    silence_BN = torch.zeros(len(first.frames_B), 1_000)
    return EnsembleTeacher(first, second, settings, "transcription").posteriors(silence_BN, first.frames_B)


def test_a_last_frame_that_one_front_end_leaves_out_is_left_out() -> None:
    mean_BTV, frames_B = joined_frames(Fixed([5, 4]), Fixed([4, 4]))
    assert frames_B.tolist() == [4, 4]
    assert mean_BTV.shape == (2, 4, 3)
    torch.testing.assert_close(mean_BTV.exp().sum(-1), torch.ones(2, 4))


@pytest.mark.parametrize(
    ("second", "said"), [(Fixed([3, 4]), r"\[5, 4\] and \[3, 4\] frames"), (Fixed([5, 4], 4), "of 3 and 4 units")]
)
def test_other_frames_or_units_are_refused(second: Fixed, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        joined_frames(Fixed([5, 4]), second)
