"""A checkpoint of this project, from elsewhere, as a teacher."""

import torch

from kd.audio.frontend import make_front_end
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.metric_names import ERROR_KINDS
from tasks.params.pipeline import Params
from tasks.params.teachers import CheckpointTeacher
from tasks.params.trainings import key_of
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter
from tasks.teachers.require_fit import require_fit
from tasks.training.history import write_history
from tasks.training.validation import Validation


def adopt_checkpoint(
    params: Params, teacher: CheckpointTeacher, paths: Paths, data: PreparedData, name: str, reporter: Reporter
) -> dict[str, float]:
    """Copy a checkpoint that fits this pipeline to models/NAME/; returns its validation error."""
    checkpoint = load_checkpoint(paths.root / teacher.path)
    _require_fit(params, teacher, checkpoint, data, key_of(name))
    adopted = Checkpoint(
        checkpoint.model,
        checkpoint.frontend,
        checkpoint.vocabulary,
        role="teacher",
        init="checkpoint",
        objective=checkpoint.objective,
        lineage=checkpoint.lineage,
        masks=checkpoint.masks,
        facts=training_facts(checkpoint.facts.get("unfinished"), reporter),
    )
    return save_untrained(adopted, paths, data, name)


def save_untrained(checkpoint: Checkpoint, paths: Paths, data: PreparedData, name: str) -> dict[str, float]:
    """Write models/NAME/ as it is, with its validation error as a history of one row, which it returns."""
    front_end = make_front_end(checkpoint.frontend)
    validate = Validation(data, "valid", front_end, batch_seconds=60.0, device=torch.device("cpu"))
    metrics = dict(validate(checkpoint.model))
    save_checkpoint(paths.model(name), checkpoint)
    error_kind = ERROR_KINDS[checkpoint.model.settings.problem]
    write_history(paths.model(name), [{"epoch": 0.0, **metrics}], error_kind)
    return metrics


def _require_fit(
    params: Params, teacher: CheckpointTeacher, checkpoint: Checkpoint, data: PreparedData, key: str
) -> None:
    """A checkpoint for audio of another rate or for other units than this pipeline's is refused."""
    pairs = [
        ("its problem differs", checkpoint.model.settings.problem, params.problem.kind),
        ("its sample rate in Hz differs", checkpoint.frontend.sample_rate_hz, params.frontend.sample_rate_hz),
        ("its units differ", checkpoint.vocabulary.tokens, data.vocabulary.tokens),
    ]
    remedy = "Change params.yaml to the teacher's, or train a teacher here"
    require_fit(f"{key}.path {teacher.path}", pairs, remedy)


def training_facts(warning: str | None, reporter: Reporter) -> dict[str, str]:
    """What config.json says of a training that ended too early, for the report and for `kd run`; and the line."""
    if warning is None:
        return {}
    reporter.say(f"warning: {warning}")
    return {"unfinished": warning}
