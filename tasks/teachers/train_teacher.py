"""A teacher that is trained here: from nothing, or from weights that others trained and a new head."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from kd.audio.frontend import FrontEnd, make_front_end
from kd.models import Recogniser
from kd.models.macs import count_params
from kd.training import fit
from kd.training.convergence import unfinished
from kd.training.lora import fit_adapters, require_peft
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData, Utterance
from tasks.data.select_utterances import labelled, select_utterances
from tasks.metric_names import ERROR_KINDS
from tasks.params.pipeline import Params
from tasks.params.trained import FineTune, PretrainedTeacher, TrainedTeacher
from tasks.params.trainings import key_of
from tasks.pretrained.read import read_pretrained
from tasks.pretrained.weight_files import download_snapshot
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter
from tasks.teachers.adopt_checkpoint import save_untrained, training_facts
from tasks.training.history import best_metrics, write_history
from tasks.training.new_model import new_model
from tasks.training.pretrained_model import pretrained_model
from tasks.training.train import Run, train


@dataclass(frozen=True)
class _Start:
    """What a training begins with; init: where the weights come from, for config.json."""

    model: Recogniser
    front_end: FrontEnd
    utterances: Sequence[Utterance]
    init: str


def train_from_scratch(
    params: Params, teacher: TrainedTeacher, paths: Paths, data: PreparedData, reporter: Reporter
) -> dict[str, float]:
    """Trains models/teacher/ from random weights; returns the metrics of its best epoch."""
    front_end = make_front_end(teacher.frontend or params.frontend)
    utterances = labelled(select_utterances(data, teacher.supervision), "teacher")
    torch.manual_seed(teacher.training.seed)
    model = new_model(params, teacher.model, data, utterances, front_end, teacher.training.batch_seconds)
    return _train(_Start(model, front_end, utterances, "random"), teacher, paths, data, "teacher", reporter)


def from_pretrained(
    params: Params, teacher: PretrainedTeacher, paths: Paths, data: PreparedData, name: str, reporter: Reporter
) -> dict[str, float]:
    """Makes models/NAME/ of weights that others trained, and trains it; returns the metrics of its best epoch.

    Raises ValueError for weights that are not understood.
    """
    key, how = key_of(name), teacher.fine_tune
    if how is not None and how.lora is not None:
        try:
            require_peft()
        except ValueError as error:
            raise ValueError(f"{key}.fine_tune.lora: {error}") from None
    try:
        folder = _folder(teacher, paths)
        weights = read_pretrained(folder, teacher.bundle)
    except ValueError as error:
        raise ValueError(f"{key}.{'path' if teacher.hub is None else 'hub'}: {error}") from None
    front_end = make_front_end(weights.frontend)
    utterances = data.split("train") if how is None else labelled(select_utterances(data, how.supervision), key)
    torch.manual_seed(1 if how is None else how.training.seed)
    try:
        model = pretrained_model(params, teacher, weights, data, utterances, front_end)
    except ValueError as error:
        raise ValueError(f"{key}.{error}") from None
    source = teacher.path.name if teacher.hub is None else f"{teacher.hub}@{folder.name}"  # its commit
    own = "a new head" if teacher.head == "new" else "its own head"
    reporter.say(f"{source}: {weights.called} with {own}, {count_params(model)[0]:,} parameters")
    start = _Start(model, front_end, utterances, f"pretrained {source}")
    if how is None:  # its errors are those of a head that has learnt nothing
        untrained = Checkpoint(model.eval(), front_end.settings, data.vocabulary, "teacher", start.init, "none")
        return save_untrained(untrained, paths, data, name)
    return _train(start, how, paths, data, name, reporter)


def _folder(teacher: PretrainedTeacher, paths: Paths) -> Path:
    if teacher.hub is None:
        return paths.root / teacher.path
    return download_snapshot(teacher.hub, teacher.revision)


def _train(
    start: _Start, how: TrainedTeacher | FineTune, paths: Paths, data: PreparedData, name: str, reporter: Reporter
) -> dict[str, float]:
    lora = how.lora if isinstance(how, FineTune) else None
    run = Run(
        model=start.model,
        frontend=start.front_end,
        data=data,
        objective=how.objective,
        settings=how.training,
        augment=how.augment,
        utterances=start.utterances,
        features=paths.features,
        fit=fit if lora is None else partial(fit_adapters, lora=lora),
    )
    trained = train(run, reporter)
    if trained.writes:
        checkpoint = Checkpoint(
            trained.model,
            start.front_end.settings,
            data.vocabulary,
            role="teacher",
            init=start.init,
            objective=how.objective.describe(),
            facts=training_facts(unfinished(trained.history), reporter),
        )
        save_checkpoint(paths.model(name), checkpoint)
        write_history(paths.model(name), trained.history, ERROR_KINDS[trained.model.settings.problem])
    return best_metrics(trained.history)
