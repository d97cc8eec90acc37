"""Stage `distil NAME`: train a student's first weights on labels, on its teacher, or on both."""

import json
from collections.abc import Callable, Iterator
from functools import partial

from kd.audio.frontend import FrontEnd, make_front_end
from kd.propagation.shrink import fit_and_shrink, restored
from kd.teachers.codec import Codec
from kd.training import Epoch, fit
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.data.select_utterances import select_utterances, teachable
from tasks.metric_names import ERROR_KINDS
from tasks.onnx.budgets import cost_for
from tasks.params.pipeline import Params, Recipe
from tasks.params.trainings import is_baseline, training_of
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.supply import teacher_supply
from tasks.training.calibration import calibrator
from tasks.training.history import best_metrics, write_history
from tasks.training.train import Run, Trained, train


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/NAME/ and an empty outputs/NAME/; returns the metrics of its best epoch."""
    recipe = params.students[name]
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    initial = load_checkpoint(paths.initial(name))
    frontend = make_front_end(initial.frontend)
    selected = select_utterances(data, recipe.supervision)
    supply = teacher_supply(params, paths, name, data, selected, initial, reporter)
    by_labels = recipe.objective.label_weight > 0
    student_run = Run(
        model=initial.model,
        frontend=frontend,
        data=data,
        utterances=teachable(selected, by_labels=by_labels, by_teacher=supply.teaches),
        objective=recipe.objective,
        settings=training_of(params, name),
        augment=params.student_augment,
        teacher=supply.open,
        masks={key: mask.bool() for key, mask in initial.masks.items()},
        features=paths.features,
        fit=_loop(params, name, data, frontend),
    )
    trained = train(student_run, reporter)
    if trained.writes:
        _write(params, paths, name, initial, trained)
        supply.write(paths.model(name))
    return {**best_metrics(trained.history), **supply.metrics()}


def _write(params: Params, paths: Paths, name: str, initial: Checkpoint, trained: Trained) -> None:
    """The student, its history, what it kept of its source while it shrank, and room for its own outputs."""
    recipe, folder = params.students[name], paths.model(name)
    shrunk = None if recipe.shrink is None else restored(trained.model, trained.state)
    student = Checkpoint(
        trained.model,
        initial.frontend,
        initial.vocabulary,
        role=role(recipe),
        init=recipe.init,
        objective=recipe.objective.describe(),
        lineage=(*initial.lineage, *(() if shrunk is None else shrunk.lineage)),
        masks=initial.masks if shrunk is None else dict(shrunk.masks),
        facts=initial.facts,
    )
    save_checkpoint(folder, student)
    write_history(folder, trained.history, ERROR_KINDS[trained.model.settings.problem])
    LogitCache.begin(paths.outputs(name), Codec.of(len(initial.vocabulary), params.logit_cache.top_k))
    if shrunk is not None:
        kept = [*json.loads((paths.initial(name) / "kept.json").read_text(encoding="utf-8")), *shrunk.kept]
        write_whole(folder / "kept.json", json.dumps(kept, indent=1))


def _loop(params: Params, name: str, data: PreparedData, frontend: FrontEnd) -> Callable[..., Iterator[Epoch]]:
    """The training loop, and around it what makes the student smaller on its way."""
    recipe = params.students[name]
    if recipe.shrink is None:
        return fit
    calibrate = calibrator(params, name, data, frontend)
    costs = partial(cost_for, frontend.settings, data)
    return partial(fit_and_shrink, shrink=recipe.shrink, calibrate=calibrate, costs=costs)


def role(recipe: Recipe) -> str:
    """`baseline` is the same kind of student that no teacher ever touched: random weights, labels only."""
    return "baseline" if is_baseline(recipe) else "student"
