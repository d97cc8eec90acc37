"""Training in phases: each trains one shape of a model, and between two of them something goes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import Tensor

from kd.config.models import ModelSettings
from kd.config.shrink import Shrink
from kd.models import Recogniser, build
from kd.propagation.budget import Costs
from kd.propagation.errors import CannotShrinkError
from kd.propagation.operators import Calibrate, Propagated
from kd.propagation.shrink.method import Method, ShrinkContext
from kd.propagation.shrink.methods import make_method
from kd.training import Epoch, Span, TrainingTask, fit
from kd.training.loop import validated
from kd.training.qat import fake_quantised
from kd.training.weight_hook import NoWeightHook


def fit_and_shrink(
    model: Recogniser,
    task: TrainingTask,
    *,
    shrink: Shrink,
    calibrate: Calibrate | None = None,
    costs: Costs | None = None,
    masks: Mapping[str, Tensor] | None = None,
    resume: Mapping[str, Any] | None = None,
) -> Iterator[Epoch]:
    """As `kd.training.fit`, but the model shrinks on the way, and what is trained at last is a new one.

    Each phase has an optimiser, an average of weights, and weights beside the model, of its own; what goes is of the
    weights as they are, not as they were averaged. Patience and the best epoch are those of the last.
    `state["shape"]` holds the settings of the model that an epoch trained; see `restored` for what went.
    The first epoch of each later phase has `valid_error_at_cut`: that right after something went.
    Raises CannotShrinkError where the model cannot shrink so, before it is trained.
    """
    try:
        method = make_method(
            shrink, Propagated(model, masks or {}), ShrinkContext(calibrate, costs, begins=resume is None)
        )
    except ValueError as error:
        raise CannotShrinkError(str(error)) from None
    spans = _spans(method, shrink, task)
    number = 0 if resume is None else int(resume["phase"])
    now = Propagated(model, masks or {}) if resume is None else restored(model, resume)
    inner = None if resume is None else resume["inner"]
    device, at_cut = model.mean_F.device, dict[str, float]()
    for phase in range(number, len(spans)):
        span, last = spans[phase], phase == len(spans) - 1
        steps = task.length.within(span.first, span.end)
        weight_hook = NoWeightHook() if last else method.weight_hook(now.model, steps, task.settings.seed)
        of_span = task if last else replace(task, settings=task.settings.model_copy(update={"patience": None}))
        for epoch in fit(now.model, of_span, masks=now.masks, resume=inner, weight_hook=weight_hook, span=span):
            yield _seen_from_outside(epoch, phase, last, now, at_cut)
            at_cut = {}
        inner = None
        if not last:
            on_cpu = Propagated(now.model.cpu().eval(), now.masks, now.lineage, now.kept)
            now = method.cut(on_cpu, weight_hook, phase)
            with fake_quantised(now.model.to(device).eval(), task.settings.qat == "int8"):
                left = validated(task.validate, now.model, span.end - 1)["valid_error"]
            at_cut = {"valid_error_at_cut": broadcast_object_list([left])[0]}


def restored(model: Recogniser, state: Mapping[str, Any]) -> Propagated:
    """The model of a state's shape, whose weights are still to be loaded, with its masks and what led to it.

    model: that with which training began; it comes back itself where it has the shape still.
    """
    settings = ModelSettings.model_validate(state["shape"])
    there = model if settings == model.settings else build(settings).to(model.mean_F.device)
    return Propagated(there, state["masks"], tuple(state["lineage"]), tuple(state["kept"]))


def _spans(method: Method, shrink: Shrink, task: TrainingTask) -> list[Span]:
    epochs = task.length.epochs
    if shrink.epochs >= epochs:
        raise CannotShrinkError(
            f"shrink.epochs: {shrink.epochs} of the training's {epochs} epochs ({task.length.steps} steps of "
            f"{task.length.per_epoch} an epoch) leave none for the smaller model: lower it, or train longer"
        )
    bounds = [0, *method.cuts, epochs]
    return [Span(first, end, (first, end) if method.anew else (0, epochs)) for first, end in pairwise(bounds)]


def _seen_from_outside(epoch: Epoch, phase: int, last: bool, now: Propagated, at_cut: Mapping[str, float]) -> Epoch:
    """The epoch with its phase and size, and a state from which all phases can go on."""
    dead = sum(int((~mask).sum()) for mask in now.masks.values())
    params = sum(p.numel() for p in now.model.parameters()) - dead
    metrics = {**epoch.metrics, "phase": float(phase), "params": float(params), **at_cut}
    finished = epoch.finished and last
    state = {
        "inner": epoch.state,
        "phase": phase,
        "shape": epoch.state["shape"],
        "masks": dict(now.masks),
        "lineage": list(now.lineage),
        "kept": [dict(kept) for kept in now.kept],
        "best_weights": epoch.best,
        "finished": finished,
    }
    return Epoch(epoch.index, metrics, state, epoch.best, finished)
