"""Said before training starts: what the test part is too small to claim."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kd.stats.limits import FEW_SPEAKERS, least_speakers, limit_of, most_comparisons
from tasks.params.pipeline import Params
from tasks.params.trainings import is_baseline


def impossible(params: Params, prepared: Path) -> list[str]:
    """One line for each claim that the prepared test part cannot bear, whatever the models do.

    Empty where nothing is prepared yet.
    """
    file = prepared / "card.json"
    if not file.is_file():
        return []
    return list(_impossible(params, json.loads(file.read_text(encoding="utf-8"))["splits"]["test"]))


def num_comparisons(params: Params) -> int:
    """How many comparisons the report makes: with the teacher, and with a baseline; 8 bits and others included."""
    baselines = sum(is_baseline(recipe) for recipe in params.students.values())
    others = len(params.students) - baselines + 1
    extras = len(params.evaluation.external) + any(form.startswith("int8") for form in params.export.forms)
    return len(params.students) + (others if baselines else 0) + extras


def _impossible(params: Params, test: dict[str, Any]) -> Iterator[str]:
    confidence, count = params.evaluation.confidence, num_comparisons(params)
    blocks = test["speakers"] or test["utterances"]
    most = most_comparisons(blocks, confidence)
    if most is not None and most < count:
        least = least_speakers((1 - confidence) / 2 / count)
        yield (
            f"{limit_of(blocks, confidence)}. These parameters make {count}: no verdict but 'too little data to tell' "
            f"is possible. {_remedy(least, most)}"
        )
    elif not params.evaluation.margin.value:
        yield "evaluation.margin is 0: a model as good as the other can never be called 'not worse', only a better one"


def _remedy(least: int, most: int) -> str:
    fewer = f", or compare {most} at most" if most else ""
    enough = f"{least} test speakers" + (" (then by Student's t)" if least > FEW_SPEAKERS else "")
    return f"Have at least {enough}{fewer}"
