"""Comparisons as rows of a forest plot: interval, estimate, zero and margin as places on one axis, in per cent."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from kd.stats import MatchedPairs
from tasks.params.evaluation import EvaluationParams
from tasks.reporting.comparisons import Comparison, without_twin
from tasks.reporting.results import Model
from tasks.reporting.wording import percent, points_of

PADDING = 0.06


@dataclass(frozen=True)
class ForestRow:
    """One comparison; left, right, estimate, margin: places on the axis in per cent."""

    comparison: Comparison
    left: float
    right: float
    estimate: float
    margin: float

    @property
    def kind(self) -> str:
        """What the verdict looks like: a class of the style sheet."""
        return self.comparison.judgement.claim.split()[0] if self.comparison.judgement.claim != "not worse" else "same"

    @property
    def beside(self) -> str:
        """The test that has no say, in numbers."""
        test, value = self.comparison.other_test, self.comparison.other_p
        p = "p < 0.001" if value < 0.001 else f"p {value:.3f}"
        if isinstance(test, MatchedPairs):
            return f"{p}, z {test.z:+.1f}, {test.segments} segments".replace("-", "−")
        return f"{p}, wrong alone {test.only_this} : {test.only_other}"


@dataclass(frozen=True)
class Forest:
    """A forest plot: its title, where no difference lies, and a row for each comparison."""

    title: str
    zero: float
    rows: tuple[ForestRow, ...]


def forests(comparisons: Sequence[Comparison]) -> list[Forest]:
    """One plot against the teacher, one against baselines; none where there is nothing to compare."""
    titles = {"teacher": "Against the teacher", "baseline": "Against the same without a teacher"}
    groups = {against: [c for c in comparisons if c.against == against] for against in titles}
    return [_forest(titles[against], group) for against, group in groups.items() if group]


def _forest(title: str, comparisons: Sequence[Comparison]) -> Forest:
    judgements = [c.judgement for c in comparisons]
    values = [0.0] + [v for j in judgements for v in (j.low, j.high, j.estimate, j.margin) if isfinite(v)]
    pad = PADDING * (max(values) - min(values) or 1.0)
    start, end = min(values) - pad, max(values) + pad

    def place(value: float) -> float:
        return 100 * (min(max(value, start), end) - start) / (end - start)

    rows = (
        ForestRow(c, place(j.low), place(j.high), place(j.estimate), place(j.margin))
        for c, j in zip(comparisons, judgements, strict=True)
    )
    return Forest(title, place(0.0), tuple(rows))


def verdict_section(
    comparisons: Sequence[Comparison], models: Sequence[Model], evaluation: EvaluationParams
) -> dict[str, Any]:
    """What verdicts.html needs."""
    words = models[0].row["error_kind"] == "wer"
    value = evaluation.margin.value
    relative = evaluation.margin.kind == "relative"
    return {
        "comparisons": comparisons,
        "forests": forests(comparisons),
        "without_twin": without_twin(models),
        "beside": "MAPSSWE" if words else "McNemar's test",
        "margin": f"{percent(value)} of the other's errors" if relative else f"{points_of(value)} points",
        "blocks": comparisons[0].judgement.method.partition(" over ")[2] if comparisons else "",
    }
