"""The training loop: a generator of epochs. Whoever runs it saves what it yields.

Each epoch reseeds torch from (seed, epoch), so a run resumed at an epoch's end goes on exactly as
one that was never stopped. Several processes (Accelerate) share each batch and reach the losses and
gradients of one process that has the whole of it, but for dropout, which each draws for itself, and for relational
losses, whose pairs are those of a process's share.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from kd.decode import NotANumberError
from kd.models import Recogniser
from kd.propagation.pruning import zeroed
from kd.settings.models import EncoderSettings
from kd.settings.training import TrainingSettings
from kd.training.eight_bits import in_eight_bits
from kd.training.gauges import Gauges
from kd.training.inputs import Inputs
from kd.training.meters import Meters, shares
from kd.training.objective import Objective, Term, total
from kd.training.optim import make_optimiser, make_schedule
from kd.training.pressure import NoPressure, Pressure
from kd.training.trainee import Trainee


@dataclass(frozen=True)
class Batches:
    """Training batches: `epoch(i)` gives those of epoch i, always `per_epoch` of them.

    frame_shift_ms: between two frames of their features.
    """

    epoch: Callable[[int], Iterable[Inputs]]
    per_epoch: int
    frame_shift_ms: float = 10.0


@dataclass(frozen=True)
class Span:
    """Epochs from `first` up to, without it, `end`: all that a model of one shape is trained for.

    rates: first and end of the epochs that its learning-rate schedule is stretched over.
    """

    first: int
    end: int
    rates: tuple[int, int]


@dataclass(frozen=True)
class Epoch:
    """What an epoch leaves behind.

    index: from 0. metrics: means over the epoch, and what validation gave. state: all that `resume`
    needs, to be saved before the next epoch: it holds the model's own tensors. best: weights of the best
    epoch so far. finished: nothing more will come.
    """

    index: int
    metrics: dict[str, float]
    state: dict[str, Any]
    best: dict[str, Tensor]
    finished: bool


# (model in evaluation mode) -> metrics, among them `valid_error` and `valid_loss`, lower is better.
Validate = Callable[[Recogniser], Mapping[str, float]]


class TrainingDivergedError(RuntimeError):
    """The loss, or what the model says, is not finite any more."""


def fit(
    model: Recogniser,
    objective: Objective,
    batches: Batches,
    validate: Validate,
    settings: TrainingSettings,
    *,
    accelerator: Accelerator,
    masks: Mapping[str, Tensor] | None = None,
    resume: Mapping[str, Any] | None = None,
    teacher: EncoderSettings | None = None,
    pressure: Pressure | None = None,
    span: Span | None = None,
) -> Iterator[Epoch]:
    """Train `model` in place, yielding after each epoch; with `resume` (an earlier `state`), go on from there.

    masks: weights kept at zero (true = alive). teacher: its encoder, where inner states are compared. pressure: acts
    beside the objective. span: these epochs alone; None: all of the settings'. The best epoch has the least
    (valid_error, valid_loss); after `patience` epochs without a better one the run ends. Raises
    TrainingDivergedError, and ValueError for layers that are not there.
    """
    masks, pressure = masks or {}, pressure or NoPressure()
    span = span or Span(0, settings.epochs, (0, settings.epochs))
    trainee = Trainee(model, objective.schedule, settings.seed, teacher)
    optimiser = make_optimiser(trainee.parameters(), settings.optimiser)
    start, end = (epoch * batches.per_epoch for epoch in span.rates)
    schedule = make_schedule(optimiser, settings.schedule, end - start, span.first * batches.per_epoch - start)
    first, record = span.first, _Best()
    if resume is not None:
        model.load_state_dict(resume["model"])
        trainee.beside.load_state_dict(resume["beside"])
        optimiser.load_state_dict(resume["optimiser"])
        schedule.load_state_dict(resume["schedule"])
        pressure.load_state_dict(resume["pressure"])
        first, record = resume["epoch"] + 1, _Best.restored(resume)
        if resume["finished"]:
            return
    wrapped, optimiser = accelerator.prepare(trainee, optimiser)
    if resume is not None and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(resume["scaler"])
    with in_eight_bits(model, settings.quantised == "int8"):
        for index in range(first, span.end):
            torch.manual_seed(settings.seed * 100_003 + index + accelerator.process_index * 1_000_000_007)
            wrapped.train()
            now, meters = objective.at(index), Meters()
            gauges = Gauges(now, batches.per_epoch, accelerator)
            for number, inputs in enumerate(batches.epoch(index)):
                measured = gauges if gauges.measures(number) else None
                terms = _step(wrapped, now, inputs, optimiser, settings, accelerator, measured, pressure)
                if not accelerator.optimizer_step_was_skipped:
                    schedule.step()
                zeroed(model, masks)
                meters.add(terms, accelerator)
            model.eval()
            losses, diagnosis = now.metrics(meters.means()), gauges.means(batches.frame_shift_ms)
            with pressure.acting(training=False):
                validated = _validated(validate, model, index)
            rate = float(schedule.get_last_lr()[0])
            metrics = {**losses, **diagnosis, "rate": rate, **pressure.metrics(), **validated}
            metrics = broadcast_object_list([metrics])[0]
            _require_finite(metrics, index)
            record.see(index, metrics, model)
            finished = index + 1 == span.end or record.stale(index, settings.patience)
            state = {
                "model": model.state_dict(),
                "shape": model.settings.model_dump(mode="json"),
                "beside": trainee.beside.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "scaler": None if accelerator.scaler is None else accelerator.scaler.state_dict(),
                "pressure": pressure.state_dict(),
                "epoch": index,
                "finished": finished,
                **record.saved(),
            }
            yield Epoch(index, metrics, state, record.weights, finished)
            if finished:
                return


def _step(
    trainee: torch.nn.Module,
    objective: Objective,
    inputs: Inputs,
    optimiser: Any,
    settings: TrainingSettings,
    accelerator: Accelerator,
    gauges: Gauges | None,
    pressure: Pressure,
) -> list[Term]:
    """One step of the optimiser on this process's share of a batch; returns the terms of its objective.

    gauges: where the batch is measured, None for most.
    """
    if objective.settings.two_views is not None:
        inputs = inputs.both_views()
    with pressure.acting(training=True):
        with accelerator.autocast():
            outputs = trainee(inputs.features_BTF, inputs.lengths_B)
        terms = objective.terms(outputs, inputs)
        parts = shares(terms, accelerator)
        if gauges is not None:
            gauges.add(outputs, inputs, terms, parts)
        optimiser.zero_grad()
        accelerator.backward(total(terms, parts))
    pressure.press()
    if settings.clip_norm is not None:
        accelerator.clip_grad_norm_(trainee.parameters(), settings.clip_norm)
    optimiser.step()
    return terms


class _Best:
    """The best epoch so far, and its weights."""

    def __init__(self) -> None:
        self.score: Sequence[float] = (math.inf, math.inf)
        self.epoch = -1
        self.weights: dict[str, Tensor] = {}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "_Best":
        record = cls()
        record.score, record.epoch, record.weights = state["best_score"], state["best_epoch"], state["best_weights"]
        return record

    def see(self, epoch: int, metrics: Mapping[str, float], model: Recogniser) -> None:
        score = (metrics["valid_error"], metrics["valid_loss"])
        if tuple(score) < tuple(self.score):
            self.score, self.epoch = score, epoch
            self.weights = {name: t.detach().clone() for name, t in model.state_dict().items()}

    def stale(self, epoch: int, patience: int | None) -> bool:
        return patience is not None and epoch - self.epoch >= patience

    def saved(self) -> dict[str, Any]:
        return {"best_score": list(self.score), "best_epoch": self.epoch, "best_weights": self.weights}


def _validated(validate: Validate, model: Recogniser, epoch: int) -> dict[str, float]:
    try:
        return dict(validate(model))
    except NotANumberError as error:
        raise TrainingDivergedError(f"after epoch {epoch} {error}") from None


def _require_finite(metrics: Mapping[str, float], epoch: int) -> None:
    if not math.isfinite(metrics["train_loss"]):
        raise TrainingDivergedError(
            f"the loss became {metrics['train_loss']} in epoch {epoch}: lower the learning rate, "
            "clip the gradient, or look for a transcript longer than its audio"
        )
    if math.isnan(metrics["valid_loss"]):
        raise TrainingDivergedError(
            f"the validation loss is not a number after epoch {epoch}: the last step broke the weights. "
            "Lower the learning rate, or clip the gradient"
        )
