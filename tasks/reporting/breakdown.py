"""Where each model's errors are: by speaker, by length, by noise; and the words it loses most often."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from rapidfuzz.distance import Levenshtein

from tasks.reporting.results import Model

PARTS = 3
MOST_LOST = 12


@dataclass(frozen=True)
class Group:
    """Some test utterances, or a word: how many, and the error of each model on them, as a share."""

    name: str
    count: int
    errors: tuple[float, ...]


@dataclass(frozen=True)
class Breakdown:
    """Groups in rows, models in columns; `unit` is what is counted."""

    title: str
    unit: str
    groups: tuple[Group, ...]

    @property
    def greatest(self) -> float:
        """For shading: the greatest error of any cell."""
        return max((error for group in self.groups for error in group.errors), default=0.0) or 1.0


def breakdowns(models: Sequence[Model], best: str) -> list[Breakdown]:
    """All of them; one that parts nothing is left out."""
    test = models[0].test
    found = [
        Breakdown("By length", "utterances", tuple(_grouped(models, _thirds(test["duration_s"], "s")))),
        Breakdown("By noise", "utterances", tuple(_grouped(models, _noise(test["snr_db"])))),
        Breakdown("Words most often lost", "times said", tuple(_lost(models, best))),
        Breakdown("By speaker", "utterances", tuple(_speakers(models, best))),
    ]
    return [b for b in found if len(b.groups) > (b.unit == "utterances")]


def lost_words(model: Model) -> Counter[str]:
    """Words of the references that the model left out or took for others; for keywords, labels."""
    lost: Counter[str] = Counter()
    for reference, hypothesis in zip(model.test["reference"], model.test["hypothesis"], strict=True):
        words, recognised = _units(model, reference), _units(model, hypothesis)
        lost.update(words[op.src_pos] for op in Levenshtein.editops(words, recognised) if op.tag != "insert")
    return lost


def _units(model: Model, text: str) -> list[str]:
    return text.split() if model.row["error_kind"] == "wer" else [text]


def _lost(models: Sequence[Model], best: str) -> Iterator[Group]:
    """The words that `best` loses most often, with the share that each model loses."""
    said = Counter(word for reference in models[0].test["reference"] for word in _units(models[0], reference))
    lost = {model.name: lost_words(model) for model in models}
    worst = sorted(lost[best], key=lambda word: (-lost[best][word], word))[:MOST_LOST]
    for word in worst:
        yield Group(word, said[word], tuple(lost[model.name][word] / said[word] for model in models))


def _speakers(models: Sequence[Model], best: str) -> list[Group]:
    """The hardest for `best` first."""
    column = [model.name for model in models].index(best)
    groups = _grouped(
        models, models[0].test["speaker"].astype(object).where(models[0].test["speaker"].notna(), "unknown")
    )
    return sorted(groups, key=lambda group: (-group.errors[column], group.name))


def _grouped(models: Sequence[Model], labels: pd.Series) -> Iterator[Group]:
    """One group for each label, in the order in which labels first come when sorted as categories."""
    for label, indices in labels.groupby(labels, observed=True, sort=True).groups.items():
        parts = [model.test.loc[indices] for model in models]
        errors = tuple(float(p["errors"].sum() / max(p["reference_units"].sum(), 1)) for p in parts)
        yield Group(str(label), len(indices), errors)


def _thirds(values: pd.Series, unit: str) -> pd.Series:
    """Each value's third, named by its limits; equal values share one."""
    edges = [values.quantile(i / PARTS) for i in range(1, PARTS)]
    low, high = (f"{edge:.1f}" for edge in (edges[0], edges[-1]))
    names = [f"up to {low} {unit}", f"{low} to {high} {unit}", f"over {high} {unit}"]
    return _ordered([sum(value > edge for edge in edges) for value in values], names, values.index)


def _noise(snr_db: pd.Series) -> pd.Series:
    """Thirds of the known levels; the rest is called unknown."""
    known = snr_db.dropna()
    if known.empty:
        return pd.Series("no level known", index=snr_db.index)
    thirds = _thirds(known, "dB SNR")
    names = [*thirds.cat.categories, "no level known"]
    codes = thirds.cat.codes.reindex(snr_db.index).fillna(PARTS)
    return _ordered([int(code) for code in codes], names, snr_db.index)


def _ordered(places: Sequence[int], names: Sequence[str], index: pd.Index) -> pd.Series:
    """Names by their places, to be sorted in the order of the names."""
    labels = pd.Categorical([names[place] for place in places], categories=list(names), ordered=True)
    return pd.Series(labels, index=index)
