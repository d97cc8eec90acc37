"""Stage `ensembles NAME`: two teachers as one, by their posteriors or, where one gives text, by their transcripts."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.params.teachers import Ensemble, PipelineModelTeacher
from tasks.runner.atomic_io import fresh_folder, write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.posterior_teacher import ENSEMBLE_FILE, first_checkpoint
from tasks.teachers.pseudo_label_table import PseudoLabel, has_pseudo_labels, read_pseudo_labels, write_pseudo_labels
from tasks.teachers.pseudo_labels import chosen, pseudo_label_metrics, pseudo_labels_of


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/NAME/: ensemble.json with both members, or hypotheses.parquet."""
    ensemble = params.ensembles[name]
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    if not any(has_pseudo_labels(paths.model(member)) for member in (ensemble.first, ensemble.second)):
        return _join(ensemble, paths, name)
    utterances = chosen(data, None)
    first, second = (
        _pseudo_labels(params, paths, data, member, reporter) for member in (ensemble.first, ensemble.second)
    )
    answers = [most_confident(u.id, first, second) for u in utterances if u.id in {**first, **second}]
    write_pseudo_labels(paths.model(name), answers, ensemble.model_dump(mode="json"))
    return pseudo_label_metrics(params.problem.kind, utterances, answers, data.sample_rate_hz)


def most_confident(name: str, first: Mapping[str, PseudoLabel], second: Mapping[str, PseudoLabel]) -> PseudoLabel:
    """The answer of higher confidence, with the other as a second opinion; the first's where both are equal.

    Raises ValueError where one has no confidence.
    """
    answers = [found[name] for found in (first, second) if name in found and found[name].best is not None]
    if not answers:
        return first.get(name) or second[name]
    if len(answers) == 2 and any(answer.confidence is None for answer in answers):
        raise ValueError(
            f"of utterance {name} one teacher gives no confidence: which is higher cannot be known. Name two that give "
            "confidences"
        )
    best, *others = sorted(answers, key=lambda answer: -(answer.confidence or 0.0))
    texts = [other.best.text or other.best.raw for other in others if other.best is not None]
    return replace(best, opinions=(*best.opinions, *texts))


def _pseudo_labels(
    params: Params, paths: Paths, data: PreparedData, member: str, reporter: Reporter
) -> dict[str, PseudoLabel]:
    """A member's pseudo-labels of the training part; those of a model are made now."""
    if has_pseudo_labels(paths.model(member)):
        return read_pseudo_labels(paths.model(member))
    settings = PipelineModelTeacher(source="model", path=Path("models", member))
    return {a.id: a for a in pseudo_labels_of(params, settings, paths, data, chosen(data, None), reporter)}


def _join(ensemble: Ensemble, paths: Paths, name: str) -> dict[str, float]:
    """Both members' files in one folder, so that it can be used as it is."""
    units = [first_checkpoint(paths.model(m)).vocabulary.tokens for m in (ensemble.first, ensemble.second)]
    if units[0] != units[1]:
        raise ValueError(
            f"ensembles.{name}: {ensemble.first} has {len(units[0])} units and {ensemble.second} {len(units[1])}, and "
            "they are not the same: their posteriors cannot be joined. Name two of the same units"
        )
    with fresh_folder(paths.model(name)) as folder:
        for place, member in (("first", ensemble.first), ("second", ensemble.second)):
            shutil.copytree(paths.model(member), folder / place)
        write_whole(folder / ENSEMBLE_FILE, ensemble.model_dump_json(indent=1) + "\n")
    return {"members": 2.0}
