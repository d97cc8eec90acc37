"""A checkpoint of this project, from elsewhere, as a teacher."""

import torch

from kd.audio.frontend import LogMel
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.params.teachers import CheckpointTeacher
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter
from tasks.training.history import write_history
from tasks.training.validation import Validation


def adopt_checkpoint(
    params: Params, teacher: CheckpointTeacher, paths: Paths, data: PreparedData, name: str, reporter: Reporter
) -> dict[str, float]:
    """Copy a checkpoint that fits this pipeline to models/NAME/; returns its validation error."""
    checkpoint = load_checkpoint(paths.root / teacher.path)
    _require_fit(params, teacher, checkpoint, data, "teacher" if name == "teacher" else f"teachers.{name}")
    frontend = LogMel(params.frontend)
    validate = Validation(data, "valid", frontend, batch_seconds=60.0, device=torch.device("cpu"))
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
    metrics = dict(validate(checkpoint.model))
    save_checkpoint(paths.model(name), adopted)
    write_history(paths.model(name), [{"epoch": 0.0, **metrics}])
    return metrics


def _require_fit(
    params: Params, teacher: CheckpointTeacher, checkpoint: Checkpoint, data: PreparedData, key: str
) -> None:
    """A checkpoint of another front end or other units than this pipeline's is refused."""
    pairs = [
        ("problem", checkpoint.model.settings.problem, params.problem.kind),
        ("front end", checkpoint.frontend, params.frontend),
        ("units", checkpoint.vocabulary.tokens, data.vocabulary.tokens),
    ]
    for what, found, expected in pairs:
        if found != expected:
            raise ValueError(
                f"{key}.path {teacher.path}: its {what} differs from this pipeline's.\nfound: {found}\n"
                f"expected: {expected}\nChange params.yaml to the teacher's, or train a teacher here"
            )


def training_facts(doubt: str | None, reporter: Reporter) -> dict[str, str]:
    """What config.json says of a training that ended too early, for the report and for `kd run`; and the line."""
    if doubt is None:
        return {}
    reporter.say(f"warning: {doubt}")
    return {"unfinished": doubt}
