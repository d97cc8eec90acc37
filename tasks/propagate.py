"""Stage `propagate NAME`: the student's first weights, f_s = f_t ⊕ O, or fresh random ones."""

import json
from collections.abc import Sequence
from functools import partial

import torch

from kd.frontend import LogMel
from kd.models import Recogniser, build
from kd.propagation import CannotShrinkError, Propagated, propagate
from tasks.budgets import cost_for
from tasks.calibration import calibrator
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data import PreparedData, Utterance
from tasks.fresh import write_whole
from tasks.hearing import heard, labelled
from tasks.params.pipeline import Params, Recipe
from tasks.paths import Paths
from tasks.teacher import model_settings
from tasks.training import feature_statistics
from tasks.validation import Validation
from tasks.watch import Silent, Watch


def run(params: Params, paths: Paths, name: str = "", watch: Watch = Silent()) -> dict[str, float]:
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
        watch.say(line)
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
    model = build(model_settings(params, recipe.model, data.vocabulary)).eval()
    model.set_statistics(*feature_statistics(model, data, heard(data, recipe.hears), frontend, settings.batch_seconds))
    return model


def _propagated(
    params: Params, recipe: Recipe, paths: Paths, name: str, data: PreparedData, frontend: LogMel
) -> Propagated:
    source = load_checkpoint(paths.model(recipe.init))
    masks = {key: mask.bool() for key, mask in source.masks.items()}
    start = Propagated(source.model, masks, (*source.lineage, f"from {recipe.init}"))

    def utterances() -> Sequence[Utterance]:
        return labelled(heard(data, recipe.hears), f"students.{name}")

    calibrate = calibrator(data, utterances, frontend, params.training_of(name).batch_seconds)
    try:
        return propagate(start, recipe.operators, calibrate, partial(cost_for, params.frontend, data))
    except ValueError as error:
        raise CannotShrinkError(f"students.{name}.operators: {error}") from None
