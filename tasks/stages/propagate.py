"""Stage `propagate NAME`: the student's first weights, f_s = f_t ⊕ O, or fresh random ones."""

import json
from collections.abc import Sequence
from functools import partial

import torch

from kd.audio.frontend import LogMel
from kd.models import Recogniser
from kd.propagation import CannotShrinkError, Propagated, propagate
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData, Utterance
from tasks.data.select_utterances import labelled, select_utterances
from tasks.onnx.budgets import cost_for
from tasks.params.pipeline import Params, Recipe
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.training.calibration import calibrator
from tasks.training.new_model import new_model
from tasks.training.validation import Validation


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/initial/NAME/; returns its size and its validation error before any training.

    Raises CannotShrinkError where an operator cannot be applied.
    """
    recipe = params.students[name]
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    frontend = LogMel(params.frontend)
    if recipe.init == "random":
        result = Propagated(_fresh(params, recipe, name, data, frontend))
    else:
        result = _propagated(params, recipe, paths, name, data, frontend)
    for line in result.lineage:
        reporter.say(line)
    settings = params.training_of(name)
    validate = Validation(data, "valid", frontend, batch_seconds=settings.batch_seconds, device=torch.device("cpu"))
    metrics = {f"initial_{key}": value for key, value in validate(result.model).items()}
    initial = Checkpoint(
        result.model,
        params.frontend,
        data.vocabulary,
        role="student",
        init=recipe.init,
        objective="none",
        lineage=result.lineage,
        masks=dict(result.masks),
        facts=metrics,
    )
    folder = paths.initial(name)
    save_checkpoint(folder, initial)
    write_whole(folder / "kept.json", json.dumps([dict(k) for k in result.kept], indent=1))
    return {**metrics, "params": float(sum(p.numel() for p in result.model.parameters()))}


def _fresh(params: Params, recipe: Recipe, name: str, data: PreparedData, frontend: LogMel) -> Recogniser:
    assert recipe.model is not None
    settings = params.training_of(name)
    torch.manual_seed(settings.seed)
    utterances = select_utterances(data, recipe.supervision)
    return new_model(params, recipe.model, data, utterances, frontend, settings.batch_seconds).eval()


def _propagated(
    params: Params, recipe: Recipe, paths: Paths, name: str, data: PreparedData, frontend: LogMel
) -> Propagated:
    source = load_checkpoint(paths.model(recipe.init))
    masks = {key: mask.bool() for key, mask in source.masks.items()}
    start = Propagated(source.model, masks, (*source.lineage, f"from {recipe.init}"))

    def utterances() -> Sequence[Utterance]:
        return labelled(select_utterances(data, recipe.supervision), f"students.{name}")

    calibrate = calibrator(data, utterances, frontend, params.training_of(name).batch_seconds)
    try:
        return propagate(start, recipe.operators, calibrate, partial(cost_for, params.frontend, data))
    except ValueError as error:
        raise CannotShrinkError(f"students.{name}.operators: {error}") from None
