"""Every model against the teacher and against its baseline, on the test part: one family of claims."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from kd.stats import Difference, Discordant, Judgement, MatchedPairs, adjusted, judge, mapsswe, mcnemar
from tasks.params.evaluation import EvaluationParams
from tasks.reporting.choice import lowest
from tasks.reporting.results import Model
from tasks.reporting.wording import NARROW, points_of

Against = Literal["teacher", "baseline"]


@dataclass(frozen=True)
class Comparison:
    """One model against another.

    twin: whether the other is this very student from scratch, for comparisons with a baseline. other_tests: what
    stands beside the judgement and has no say, with p-values that are Holm-adjusted over all comparisons.
    """

    model: str
    other: str
    against: Against
    twin: bool
    judgement: Judgement
    other_test: MatchedPairs | Discordant
    other_p: float

    @property
    def verdict(self) -> str:
        """`worse than teacher`, or what is lacking to tell."""
        claim = self.judgement.claim
        if claim == "too little data to tell":
            return f"{claim} from {self.other} ({self.needed})"
        return f"{claim} than {self.other}"

    @property
    def needed(self) -> str:
        """How much more would settle it."""
        more, what = self.judgement.more_speakers, "utterances" if "unknown" in self.judgement.method else "speakers"
        if more is None:
            return f"no number of {what} would settle it"
        unit = what if more != 1 else what.removesuffix("s")
        return f"about {more:,} more {unit} needed".replace(",", NARROW)

    @property
    def bounds(self) -> str:
        """The difference in points with its adjusted bounds."""
        judgement = self.judgement
        if abs(judgement.low) == abs(judgement.high) == float("inf"):
            return f"{points_of(judgement.estimate)} points, and no bound at this confidence"
        low, high = points_of(judgement.low), points_of(judgement.high)
        return f"{points_of(judgement.estimate)} points ({low} to {high})"


def compare_all(
    models: Sequence[Model], evaluation: EvaluationParams, extras: Sequence[Model] = ()
) -> list[Comparison]:
    """Each model but the teacher against the teacher, then each but that baseline itself against a baseline.

    extras: what was not trained here, compared with the teacher alone.
    The baseline is the model's twin; where it has none, that of the lowest validation error. All claims together
    hold with the confidence of params. Raises ValueError where two models were evaluated on different utterances.
    """
    pairs = list(_pairs(models, extras))
    differences = [difference(model, other) for model, other, _, _ in pairs]
    margins = [evaluation.margin.of(other.row["test_error"]) for _, other, _, _ in pairs]
    judgements = judge(differences, margins, evaluation.confidence)
    tests = [beside(model, other) for model, other, _, _ in pairs]
    return [
        Comparison(model.name, other.name, against, twin, judgement, test, p)
        for (model, other, against, twin), judgement, test, p in zip(
            pairs, judgements, tests, adjusted([test.p for test in tests]), strict=True
        )
    ]


def twin_of(model: Model, models: Sequence[Model]) -> Model | None:
    """The baseline of a model's shape, from random weights and labels alone, which tells a teacher's worth from a
    shape's; None where there is none."""
    twins = (m for m in models if m.row["role"] == "baseline" and m is not model and m.shape == model.shape)
    return next(twins, None)


def without_twin(models: Sequence[Model]) -> list[str]:
    """Students that no baseline of the same shape stands beside."""
    return [m.name for m in models if m.row["role"] == "student" and twin_of(m, models) is None]


def difference(model: Model, other: Model, split: str = "test") -> Difference:
    """Of the errors on the test part, or on the canary, paired by utterance."""
    ours, theirs = model.part(split), other.part(split)
    if ours["id"].tolist() != theirs["id"].tolist():
        raise ValueError(f"{model.name} and {other.name} were evaluated on different utterances. Evaluate both again")
    speakers = [None if pd.isna(speaker) else str(speaker) for speaker in ours["speaker"]]
    return Difference.of(ours["errors"].tolist(), theirs["errors"].tolist(), ours["reference_units"].tolist(), speakers)


def beside(model: Model, other: Model) -> MatchedPairs | Discordant:
    """The field's usual test: matched pairs for words, McNemar for keywords. Both take utterances for independent."""
    ours, theirs = model.test, other.test
    if model.row["error_kind"] == "keyword_error":
        return mcnemar(ours["errors"].tolist(), theirs["errors"].tolist())
    return mapsswe(ours["reference"].tolist(), ours["hypothesis"].tolist(), theirs["hypothesis"].tolist())


def verdicts(models: Sequence[Model], comparisons: Sequence[Comparison]) -> dict[str, str]:
    """What results.csv says of each model."""
    return {
        model.name: "; ".join(c.verdict for c in comparisons if c.model == model.name) or "compared with nothing"
        for model in models
    }


def _pairs(models: Sequence[Model], extras: Sequence[Model]) -> Iterator[tuple[Model, Model, Against, bool]]:
    teacher = next((m for m in models if m.row["role"] == "teacher"), None)
    for model in (*models, *extras):
        if teacher is not None and model is not teacher:
            yield model, teacher, "teacher", False
    best = lowest(m.row for m in models if m.row["role"] == "baseline")
    for model in models:
        twin = twin_of(model, models)
        other = twin or next((m for m in models if m.name == best), None)
        if other is not None and model.row["role"] != "baseline":
            yield model, other, "baseline", twin is not None
