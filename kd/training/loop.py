"""The training loop: a generator of epochs. Whoever runs it saves what it yields.

Each epoch reseeds torch from (seed, epoch), so a run resumed at an epoch's end goes on exactly as
one that was never stopped. Several processes (Accelerate) share each batch and reach the losses and
gradients of one process that has the whole of it, but for dropout, which each draws for itself, and for relational
losses and DIST, whose pairs and columns are those of a process's share. So do the groups of a batch that pass one after
another (`micro_batches`), for which batch norms, too, take the statistics of a group.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from kd.config.length import Length
from kd.config.models import EncoderSettings
from kd.config.training import TrainingSettings
from kd.models import Recogniser
from kd.models.masks import apply_masks
from kd.text.decoding import NotANumberError
from kd.training.averaging import make_average
from kd.training.best import HEAD_TAUGHT
from kd.training.best_weights import BestWeights
from kd.training.distill_metrics import DistillMetrics
from kd.training.groups import groups_of
from kd.training.inputs import Inputs
from kd.training.meters import Meters, shares
from kd.training.objective import Objective, Term, total
from kd.training.optim import learning_rates, make_optimiser, make_schedule
from kd.training.qat import fake_quantised
from kd.training.student_with_heads import StudentWithHeads
from kd.training.weight_hook import NoWeightHook, WeightHook


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


@dataclass(frozen=True)
class TrainingTask:
    """What a model learns from: an objective, batches, how it is validated, and the settings of all this.

    teacher: the encoder whose inner states the objective compares; None where it compares none.
    """

    objective: Objective
    batches: Batches
    validate: Validate
    settings: TrainingSettings
    accelerator: Accelerator
    teacher: EncoderSettings | None = None

    @property
    def length(self) -> Length:
        """The one place that knows how many epochs there are. Raises ValueError where the settings give no length."""
        return self.settings.length(self.batches.per_epoch)


def fit(
    model: Recogniser,
    task: TrainingTask,
    *,
    masks: Mapping[str, Tensor] | None = None,
    resume: Mapping[str, Any] | None = None,
    weight_hook: WeightHook | None = None,
    span: Span | None = None,
) -> Iterator[Epoch]:
    """Train `model` in place, yielding after each epoch; with `resume` (an earlier `state`), go on from there.

    masks: weights kept at zero (true = alive). weight_hook: acts beside the objective. span: these epochs alone; None:
    all of the task's. The best epoch has the least (valid_error, valid_loss), or is the last where no loss reaches the
    output layer; after `patience` epochs without a better one the run ends. Raises TrainingDivergedError, and
    ValueError for layers that are not there.
    """
    settings, epochs = task.settings, task.length.epochs
    span = span or Span(0, epochs, (0, epochs))
    learner = _Learner(model, task, span, masks or {}, weight_hook or NoWeightHook(), resume)
    if resume is not None and resume["finished"]:
        return
    with fake_quantised(model, settings.qat == "int8"):
        for index in range(span.first if resume is None else resume["epoch"] + 1, span.end):
            metrics = learner.epoch(index)
            finished = index + 1 == span.end or learner.best.stale(index, settings.patience)
            state = {**learner.state(), "epoch": index, "finished": finished}
            yield Epoch(index, metrics, state, learner.best.weights, finished)
            if finished:
                return


class _Learner:
    """A model with all that is saved beside it: what learns with it, its optimiser, its average, the best epoch."""

    def __init__(
        self,
        model: Recogniser,
        task: TrainingTask,
        span: Span,
        masks: Mapping[str, Tensor],
        weight_hook: WeightHook,
        resume: Mapping[str, Any] | None,
    ) -> None:
        self.model, self.task, self.masks, self.weight_hook = model, task, masks, weight_hook
        self.student = StudentWithHeads(model, task.objective.schedule, task.settings.seed, task.teacher)
        rates = learning_rates(
            self.student.named_parameters(), task.settings, getattr(model.settings.encoder, "layers", 0)
        )
        optimiser = make_optimiser(rates, task.settings.optimiser)
        model.encoder.set_gradient_checkpointing(task.settings.gradient_checkpointing)
        steps = task.length.within(*span.rates)
        done = task.length.within(span.rates[0], span.first)
        self.schedule = make_schedule(optimiser, task.settings.schedule, steps, done)
        self.best, self.average = BestWeights(), make_average(model, task.settings.averaging)
        if resume is not None:
            model.load_state_dict(resume["model"])
            self.student.beside.load_state_dict(resume["beside"])
            optimiser.load_state_dict(resume["optimiser"])
            self.schedule.load_state_dict(resume["schedule"])
            weight_hook.load_state_dict(resume["weight_hook"])
            self.average.load_state_dict(resume["average"])
            self.best = BestWeights.restored(resume)
        self.wrapped, self.optimiser = task.accelerator.prepare(self.student, optimiser)
        if resume is not None and task.accelerator.scaler is not None:
            task.accelerator.scaler.load_state_dict(resume["scaler"])

    def epoch(self, index: int) -> dict[str, float]:
        """Train for an epoch, validate, and remember the weights if it was the best; returns its metrics."""
        task, accelerator = self.task, self.task.accelerator
        torch.manual_seed(task.settings.seed * 100_003 + index + accelerator.process_index * 1_000_000_007)
        now, meters = task.objective.at(index), Meters()
        distill_metrics = DistillMetrics(now, task.batches.per_epoch, accelerator)
        self.wrapped.train()
        frozen = index < task.settings.frozen_epochs
        batches = islice(task.batches.epoch(index), task.length.within(index, index + 1))
        for number, inputs in enumerate(batches):
            terms = self._step(now, inputs, distill_metrics if distill_metrics.measures(number) else None, frozen)
            meters.add(terms, accelerator)
        self.model.eval()
        losses, diagnosis = now.metrics(meters.means()), distill_metrics.means(task.batches.frame_shift_ms)
        with self.average.acting(), self.weight_hook.acting(training=False):
            found = validated(task.validate, self.model, index)
        rate = float(self.schedule.get_last_lr()[0])
        untaught = {} if now.schedule.teaches_head else {HEAD_TAUGHT: 0.0}
        ours = {**losses, **untaught, **diagnosis, "lr": rate, **self.weight_hook.metrics(), **found}
        metrics: dict[str, float] = broadcast_object_list([ours])[0]
        _require_finite(metrics, index)
        self.best.see(index, metrics, self.average.weights())
        return metrics

    def _step(
        self, objective: Objective, inputs: Inputs, distill_metrics: DistillMetrics | None, frozen: bool
    ) -> list[Term]:
        """One step of the optimiser on this process's share of a batch; returns the terms of its objective.

        distill_metrics: where the batch is measured, None for most. frozen: the encoder's weights stay.
        """
        accelerator, max_grad_norm = self.task.accelerator, self.task.settings.max_grad_norm
        two_views = objective.settings.two_views is not None
        groups = groups_of(inputs, self.task.settings.micro_batches, two_views, accelerator)
        counts = [objective.counts(group, *self.student.frames(group.lengths_B)) for group in groups]
        self.optimiser.zero_grad()
        terms = list[Term]()
        with self.weight_hook.acting(training=True):
            weighed = zip(groups, counts, shares(counts, accelerator), strict=True)
            for number, (group, of, parts) in enumerate(weighed, 1):
                with nullcontext() if number == len(groups) else accelerator.no_sync(self.wrapped):
                    terms += self._gradients(objective, group, of, parts, distill_metrics, len(groups))
        self.weight_hook.add_gradients()
        if frozen:
            for parameter in self.model.encoder.parameters():
                parameter.grad = None
        if max_grad_norm is not None:
            accelerator.clip_grad_norm_(self.wrapped.parameters(), max_grad_norm)
        self.optimiser.step()
        if not accelerator.optimizer_step_was_skipped:
            self.schedule.step()
        apply_masks(self.model, self.masks)
        self.average.add()
        return terms

    def _gradients(
        self,
        objective: Objective,
        group: Inputs,
        counts: Sequence[int],
        parts: Sequence[float],
        distill_metrics: DistillMetrics | None,
        groups: int,
    ) -> list[Term]:
        """Adds the gradients of a group of utterances; returns its terms, detached."""
        with self.task.accelerator.autocast():
            outputs = self.wrapped(group.features_BTF, group.lengths_B)
        terms = objective.terms(outputs, group, counts)
        if distill_metrics is not None:
            distill_metrics.add(outputs, group, terms, parts, groups)
        self.task.accelerator.backward(total(terms, parts))
        return [replace(term, value=term.value.detach()) for term in terms]

    def state(self) -> dict[str, Any]:
        scaler = self.task.accelerator.scaler
        return {
            "model": self.model.state_dict(),
            "shape": self.model.settings.model_dump(mode="json"),
            "beside": self.student.beside.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "weight_hook": self.weight_hook.state_dict(),
            "average": self.average.state_dict(),
            **self.best.saved(),
        }


def validated(validate: Validate, model: Recogniser, epoch: int) -> dict[str, float]:
    """What validation gives after an epoch. Raises TrainingDivergedError where the model says what is not a number."""
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
