"""Stage `teacher`: train one here, or adopt a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kd.frontend import LogMel
from kd.models import build
from kd.settings.models import LEVEL_FRAMES, EncoderSettings, ModelSettings
from kd.text import Vocabulary
from kd.training.convergence import unfinished
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data import PreparedData
from tasks.hearing import heard, labelled
from tasks.params.pipeline import Params, TrainedTeacher
from tasks.params.teachers import CheckpointTeacher
from tasks.paths import Paths
from tasks.training import Run, feature_statistics, train, write_history
from tasks.validation import Validation
from tasks.watch import Silent, Watch


def run(params: Params, paths: Paths, name: str = "", watch: Watch = Silent()) -> dict[str, float]:
    """Writes models/teacher/; returns the metrics of its best epoch."""
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    if isinstance(params.teacher, CheckpointTeacher):
        return adopt(params, params.teacher, paths, data, "teacher", watch)
    return _train(params, params.teacher, paths, data, watch)


def model_settings(params: Params, encoder: EncoderSettings, vocabulary: Vocabulary) -> ModelSettings:
    """Settings of a new model for this problem and its units."""
    return ModelSettings(
        problem=params.problem.kind,
        num_features=params.frontend.num_mels,
        num_outputs=len(vocabulary),
        encoder=encoder,
        level_frames=LEVEL_FRAMES,
    )


def _train(params: Params, teacher: TrainedTeacher, paths: Paths, data: PreparedData, watch: Watch) -> dict[str, float]:
    frontend = LogMel(params.frontend)
    utterances = labelled(heard(data, teacher.hears), "teacher")
    torch.manual_seed(teacher.training.seed)
    model = build(model_settings(params, teacher.model, data.vocabulary))
    model.set_statistics(*feature_statistics(model, data, utterances, frontend, teacher.training.batch_seconds))
    how = teacher.objective, teacher.training, teacher.augment
    trained = train(Run(model, frontend, data, *how, utterances=utterances, features=paths.features), watch)
    if trained.writes:
        checkpoint = Checkpoint(
            trained.model,
            params.frontend,
            data.vocabulary,
            role="teacher",
            init="random",
            objective=teacher.objective.describe(),
            facts=_facts(unfinished(trained.history), watch),
        )
        save_checkpoint(paths.model("teacher"), checkpoint)
        write_history(paths.model("teacher"), trained.history)
    return best_metrics(trained.history)


def _facts(doubt: str | None, watch: Watch) -> dict[str, str]:
    """What config.json says of a training that ended too early, for the report and for `kd run`; and the line."""
    if doubt is None:
        return {}
    watch.say(f"warning: {doubt}")
    return {"unfinished": doubt}


def best_metrics(history: Sequence[Mapping[Any, float]]) -> dict[str, float]:
    """Metrics of the best epoch, and how many epochs there were; a model that shrank has its best in its last phase."""
    final = [row for row in history if row.get("phase") == history[-1].get("phase")]
    best = min(final, key=lambda row: (row["valid_error"], row["valid_loss"]))
    return {**{k: v for k, v in best.items() if k != "epoch"}, "best_epoch": best["epoch"], "epochs": len(history)}


def adopt(
    params: Params, teacher: CheckpointTeacher, paths: Paths, data: PreparedData, name: str, watch: Watch
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
        facts=_facts(checkpoint.facts.get("unfinished"), watch),
    )
    metrics = dict(validate(checkpoint.model))
    save_checkpoint(paths.model(name), adopted)
    write_history(paths.model(name), [{"epoch": 0.0, **metrics}])
    return metrics


def _require_fit(
    params: Params, teacher: CheckpointTeacher, checkpoint: Checkpoint, data: PreparedData, key: str
) -> None:
    """A checkpoint that hears or speaks otherwise than this pipeline is refused."""
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
