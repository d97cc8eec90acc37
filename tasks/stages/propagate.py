"""Stage `propagate NAME`: the student's first weights, f_s = f_t ⊕ O, or fresh random ones."""

import json
from functools import partial

import torch

from kd.audio.frontend import FrontEnd, make_front_end
from kd.models import Recogniser
from kd.propagation import CannotShrinkError, Propagated, propagate
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.data.select_utterances import select_utterances
from tasks.onnx.budgets import cost_for
from tasks.params.pipeline import Params, Recipe
from tasks.params.trainings import training_of
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
    if recipe.init == "random":
        frontend = make_front_end(recipe.frontend or params.frontend)
        result = Propagated(_fresh(params, recipe, name, data, frontend))
    else:
        source = load_checkpoint(paths.model(recipe.init))
        frontend = make_front_end(source.frontend)
        result = _propagated(params, recipe, source, name, data, frontend)
    for line in result.lineage:
        reporter.say(line)
    settings = training_of(params, name)
    validate = Validation(data, "valid", frontend, batch_seconds=settings.batch_seconds, device=torch.device("cpu"))
    metrics = {f"initial_{key}": value for key, value in validate(result.model).items()}
    initial = Checkpoint(
        result.model,
        frontend.settings,
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


def _fresh(params: Params, recipe: Recipe, name: str, data: PreparedData, frontend: FrontEnd) -> Recogniser:
    assert recipe.model is not None
    settings = training_of(params, name)
    torch.manual_seed(settings.seed)
    utterances = select_utterances(data, recipe.supervision)
    return new_model(params, recipe.model, data, utterances, frontend, settings.batch_seconds).eval()


def _propagated(
    params: Params, recipe: Recipe, source: Checkpoint, name: str, data: PreparedData, frontend: FrontEnd
) -> Propagated:
    masks = {key: mask.bool() for key, mask in source.masks.items()}
    start = Propagated(source.model, masks, (*source.lineage, f"from {recipe.init}"))
    calibrate = calibrator(params, name, data, frontend)
    try:
        return propagate(start, recipe.operators, calibrate, partial(cost_for, source.frontend, data))
    except ValueError as error:
        raise CannotShrinkError(f"students.{name}.operators: {error}") from None
