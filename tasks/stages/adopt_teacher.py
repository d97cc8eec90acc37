"""Stage `adopt_teacher NAME`: adopt a further teacher of frames; one that gives text transcribes the training part."""

from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.params.teachers import (
    BundleTeacher,
    CheckpointTeacher,
    OnnxTeacher,
    PipelineModelTeacher,
    gives_posteriors,
)
from tasks.params.trained import PretrainedTeacher
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.adopt_checkpoint import adopt_checkpoint
from tasks.teachers.adopt_posterior_teacher import adopt_posteriors
from tasks.teachers.pseudo_label_table import write_pseudo_labels
from tasks.teachers.pseudo_labels import chosen, pseudo_label_metrics, pseudo_labels_of


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/NAME/: what frames are computed from, or hypotheses.parquet and teacher.json."""
    settings = params.teachers[name]
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    if isinstance(settings, CheckpointTeacher):
        return adopt_checkpoint(params, settings, paths, data, name, reporter)
    assert not isinstance(settings, PretrainedTeacher), "tasks.stages.fine_tune has these"
    try:
        if isinstance(settings, BundleTeacher | OnnxTeacher | PipelineModelTeacher) and gives_posteriors(settings):
            return adopt_posteriors(params, settings, paths, data, name, reporter)
        utterances = chosen(data, settings.parts)
        answers = pseudo_labels_of(params, settings, paths, data, utterances, reporter)
    except ValueError as error:
        raise ValueError(f"teachers.{name}: {error}") from None
    write_pseudo_labels(paths.model(name), answers, settings.model_dump(mode="json"))
    return pseudo_label_metrics(params.problem.kind, utterances, answers, data.sample_rate_hz)
