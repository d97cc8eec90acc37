"""Stage `distil NAME`: train a student's first weights on labels, on its teacher, or on both."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from accelerate import Accelerator
from torch import Tensor

from kd.frontend import LogMel
from kd.models import Recogniser
from kd.posteriors import Codec
from kd.shrinking import fit_and_shrink, restored
from kd.training import Epoch, fit
from tasks.budgets import cost_for
from tasks.calibration import calibrator
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data import PreparedData, Utterance
from tasks.fresh import write_whole
from tasks.hearing import heard, labelled, teachable
from tasks.inputs import TeacherOutputs
from tasks.params.pipeline import Params, Recipe
from tasks.paths import Paths
from tasks.teacher import best_metrics
from tasks.teaching.answers import gives_text, read_answers
from tasks.teaching.frame_teacher import load_frame_teacher
from tasks.teaching.hypothesis_table import HypothesisTable
from tasks.teaching.labels import Labels, choose_labels, write_labels
from tasks.teaching.output_store import OutputStore
from tasks.teaching.teacher_outputs import open_stored
from tasks.teaching.teacher_pass import views
from tasks.teaching.teacher_states import LiveStates
from tasks.training import Run, Trained, train, write_history
from tasks.watch import Silent, Watch


def run(params: Params, paths: Paths, name: str = "", watch: Watch = Silent()) -> dict[str, float]:
    """Writes models/NAME/ and an empty outputs/NAME/; returns the metrics of its best epoch."""
    recipe = params.students[name]
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    initial = load_checkpoint(paths.initial(name))
    frontend, by_text = LogMel(params.frontend), recipe.teacher != "none" and gives_text(paths.model(recipe.teacher))
    by_outputs = recipe.teacher != "none" and not by_text
    utterances = heard(data, recipe.hears)
    labels = _labels(recipe, paths, data, utterances, initial.model, frontend) if by_text else None
    masks = {key: mask.bool() for key, mask in initial.masks.items()}
    trained = train(
        Run(
            initial.model,
            frontend,
            data,
            recipe.objective,
            params.training_of(name),
            params.student_augment,
            _teacher(params, paths, name, data, initial.model, watch) if by_outputs else None,
            masks,
            None if labels is None else HypothesisTable(labels.rows),
            teachable(
                utterances,
                by_labels=recipe.objective.labels > 0,
                by_outputs=by_outputs,
                by_text=() if labels is None else labels.rows,
            ),
            paths.features,
            _loop(params, name, data, frontend),
        ),
        watch,
    )
    if trained.writes:
        _write(params, paths, name, initial, trained)
        if labels is not None:
            write_labels(paths.model(name), labels)
    return {**best_metrics(trained.history), **({} if labels is None else labels.metrics())}


def _write(params: Params, paths: Paths, name: str, initial: Checkpoint, trained: Trained) -> None:
    """The student, its history, what it kept of its source while it shrank, and room for its own outputs."""
    recipe, folder = params.students[name], paths.model(name)
    shrunk = None if recipe.shrink is None else restored(trained.model, trained.state)
    student = Checkpoint(
        trained.model,
        params.frontend,
        initial.vocabulary,
        role=role(recipe),
        init=recipe.init,
        objective=recipe.objective.describe(),
        lineage=(*initial.lineage, *(() if shrunk is None else shrunk.lineage)),
        masks=initial.masks if shrunk is None else dict(shrunk.masks),
        facts=initial.facts,
    )
    save_checkpoint(folder, student)
    write_history(folder, trained.history)
    OutputStore.begin(paths.outputs(name), Codec.of(len(initial.vocabulary), params.outputs.keep))
    if shrunk is not None:
        kept = [*json.loads((paths.initial(name) / "kept.json").read_text(encoding="utf-8")), *shrunk.kept]
        write_whole(folder / "kept.json", json.dumps(kept, indent=1))


def _loop(params: Params, name: str, data: PreparedData, frontend: LogMel) -> Callable[..., Iterator[Epoch]]:
    """The training loop, and around it what makes the student smaller on its way."""
    recipe = params.students[name]
    if recipe.shrink is None:
        return fit

    def utterances() -> Sequence[Utterance]:
        return labelled(heard(data, recipe.hears), f"students.{name}")

    calibrate = calibrator(data, utterances, frontend, params.training_of(name).batch_seconds)
    costs = partial(cost_for, params.frontend, data)
    return partial(fit_and_shrink, shrink=recipe.shrink, calibrate=calibrate, costs=costs)


def _labels(
    recipe: Recipe,
    paths: Paths,
    data: PreparedData,
    utterances: Sequence[Utterance],
    student: Recogniser,
    frontend: LogMel,
) -> Labels:
    """What a teacher that gives text says of these utterances, filtered."""

    def frames(num_samples_B: Tensor) -> Tensor:
        return student.output_lengths(frontend.output_lengths(num_samples_B))

    return choose_labels(data, utterances, read_answers(paths.model(recipe.teacher)), recipe.filter, frames)


def _teacher(
    params: Params, paths: Paths, name: str, data: PreparedData, student: Recogniser, watch: Watch
) -> Callable[[Accelerator], TeacherOutputs]:
    """Opens the stored outputs of a student's teacher; the first process computes those that are missing.

    Where the objective reads inner states, the teacher runs beside the student, and nothing is stored.
    """
    source, objective = params.students[name].teacher, params.students[name].objective
    teacher = load_frame_teacher(paths, source)
    codec = Codec.of(len(data.vocabulary), params.outputs.keep)

    def outputs(accelerator: Accelerator) -> TeacherOutputs:
        if objective.reads_states:
            return LiveStates(teacher.to(accelerator.device), objective, student.settings.encoder)
        with accelerator.main_process_first():
            there = teacher.to(accelerator.device)
            return open_stored(paths.outputs(source), codec, there, data, views(params.student_augment), watch)

    return outputs


def role(recipe: Recipe) -> str:
    """`baseline` is the same kind of student that no teacher ever touched: random weights, labels only."""
    return "baseline" if recipe.is_baseline else "student"
