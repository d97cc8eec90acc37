"""Errors under other conditions: a table over all, a chart over noise."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from tasks.reporting.breakdown import Breakdown, Group
from tasks.reporting.figures import error_words, noise_chart
from tasks.reporting.results import Model

AS_RECORDED = "as recorded"


def robustness_section(models: Sequence[Model]) -> dict[str, Any]:
    """What robustness.html needs."""
    conditions = conditions_of(models)
    curves = noise_curves(models)
    chart = Markup(noise_chart(curves, error_words(models))) if curves else ""
    return {"conditions": conditions, "noise_chart": chart}


def conditions_of(models: Sequence[Model]) -> Breakdown:
    """Every model's error under every condition, and on the same utterances as they are."""
    table = models[0].conditions
    if table.empty:
        return Breakdown("Condition", "utterances", ())
    groups = [Group(AS_RECORDED, table["id"].nunique(), tuple(as_recorded(model) for model in models))]
    for name in table["condition"].unique():
        parts = [model.conditions[model.conditions["condition"] == name] for model in models]
        errors = tuple(float(part["errors"].sum() / part["reference_units"].sum()) for part in parts)
        groups.append(Group(str(name), len(parts[0]), errors))
    return Breakdown("Condition", "utterances", tuple(groups))


def as_recorded(model: Model) -> float:
    """Error on the utterances that conditions were tried on."""
    part = model.test[model.test["id"].isin(set(model.conditions["id"]))]
    return float(part["errors"].sum() / part["reference_units"].sum())


def noise_curves(models: Sequence[Model]) -> list[tuple[list[float], list[float], float]]:
    """For each model: SNRs in dB in rising order, errors at them, error as recorded. Empty with fewer than two SNRs."""
    curves = []
    for model in models:
        noisy = model.conditions[model.conditions["kind"] == "noise"] if len(model.conditions) else model.conditions
        if noisy.empty or noisy["snr_db"].nunique() < 2:
            return []
        sums = noisy.groupby("snr_db")[["errors", "reference_units"]].sum()
        curves.append((sums.index.tolist(), (sums["errors"] / sums["reference_units"]).tolist(), as_recorded(model)))
    return curves
