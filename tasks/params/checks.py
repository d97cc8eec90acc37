"""What must hold between the parts of params.yaml: references, shapes, frames. One line for each mistake."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import ValidationError

from kd.config.losses import NEEDS_BLANK
from kd.config.models import ModelSettings
from kd.config.self_distillation import inner_layers
from kd.text.writing import Writing, lower, shown
from tasks.params.frames import frame_problems
from tasks.params.graph import gives_text, way_back
from tasks.params.operators import operator_problems
from tasks.params.shrinking import shrink_problems
from tasks.params.states import state_problems
from tasks.params.teachers import CheckpointTeacher
from tasks.params.teaching import teaching_problems
from tasks.params.writing import writing_of

if TYPE_CHECKING:
    from tasks.params.pipeline import Params


def find_problems(params: "Params") -> Iterator[str]:
    """Every impossible combination, with the path of the key to change."""
    yield from _reference_problems(params)
    yield from teaching_problems(params)
    yield from frame_problems(params)
    yield from _shape_problems(params)
    yield from operator_problems(params)
    yield from shrink_problems(params)
    yield from _loss_problems(params)
    yield from _self_problems(params)
    yield from state_problems(params)
    yield from _text_problems(params)


def _reference_problems(params: "Params") -> Iterator[str]:
    weights = ["teacher", *params.students]
    weights += [name for name, t in params.teachers.items() if isinstance(t, CheckpointTeacher)]
    teachers = [*weights, *params.teachers, *params.ensembles]
    for name, recipe in params.students.items():
        for key, target, known in (
            ("init", recipe.init, ["random", *weights]),
            ("teacher", recipe.teacher, ["none", *teachers]),
        ):
            if target not in known or target == name:
                others = [k for k in known if k != name]
                near = get_close_matches(target, others, n=1)
                hint = f"did you mean '{near[0]}'? " if near else ""
                why = "is this student itself" if target == name else "is no model of this file"
                yield f"students.{name}.{key}: '{target}' {why}; {hint}there are {', '.join(others)}"
    for name in params.students:
        if way := way_back(params, name):
            yield f"students.{name}: its init and teacher lead back to itself ({' -> '.join(way)})"


def _shape_problems(params: "Params") -> Iterator[str]:
    models = {f"students.{name}.model": r.model for name, r in params.students.items() if r.model is not None}
    if params.teacher.source == "train":
        models["teacher.model"] = params.teacher.model
    for key, encoder in models.items():
        try:
            ModelSettings(
                problem=params.problem.kind, num_features=params.frontend.num_mels, num_outputs=2, encoder=encoder
            )
        except ValidationError as error:
            yield from (f"{key}: {detail['msg'].removeprefix('Value error, ')}" for detail in error.errors())
        step_ms = params.frontend.frame_shift_ms * getattr(encoder, "subsampling", 1)
        if params.problem.kind == "transcription" and step_ms > params.preprocess.frame_ms:
            yield (
                f"preprocess.frame_ms: {key} has a frame every {step_ms:g} ms, so this must be {step_ms:g} or more, "
                f"found {params.preprocess.frame_ms:g}"
            )


def _loss_problems(params: "Params") -> Iterator[str]:
    for name, recipe in params.students.items():
        for loss in (match.name for match in recipe.objective.distill_losses):
            if params.problem.kind == "keyword" and loss in NEEDS_BLANK:
                yield f"students.{name}.objective.distill: {loss} looks for CTC's blank, which keywords have not"
            if params.problem.kind == "keyword" and loss == "hypotheses" and not gives_text(params, recipe.teacher):
                yield (
                    f"students.{name}.objective.distill: {recipe.teacher} gives posteriors, among which hypotheses "
                    "searches CTC's paths, which a keyword problem has not: use soft_targets"
                )


def _text_problems(params: "Params") -> Iterator[str]:
    if params.problem.kind == "keyword" and params.corpus.kind == "fsdd" and params.corpus.connected is not None:
        yield (
            "corpus.connected: strings of digits are no keywords, each would be a label of its own; "
            "remove connected, or use problem.kind: transcription"
        )
    if params.problem.kind != "transcription":
        return
    yield from _alphabet_problems(params.problem.units.alphabet, writing_of(params))
    if params.preprocess.too_long != "quarantine":
        yield (
            f"preprocess.too_long: {params.preprocess.too_long} would part transcripts from their audio; "
            "use quarantine, or problem.kind: keyword"
        )


def _alphabet_problems(alphabet: str, writing: Writing) -> Iterator[str]:
    """What no transcript could ever hold, so that a unit is learnt from nothing or all transcripts are put aside."""
    never = writing.never_written()
    capitals = [c for c in never if writing.lowercase and c != lower(c, writing.language)]
    if capitals:
        yield (
            f"problem.units.alphabet: holds capitals, which preprocess.lowercase leaves in no transcript "
            f"({shown(capitals)}); write them small, or set lowercase: false"
        )
    if others := [c for c in never if c not in capitals]:
        yield (
            f"problem.units.alphabet: {shown(others)} can never be written: invisible characters, tabs and line ends "
            "are left out of transcripts, and what preprocess.replace replaces; remove them from it"
        )
    if writing.lowercase and writing.language is None and "\u0131" in alphabet:
        yield (
            "problem.units.alphabet: holds '\u0131', whose capital I becomes i unless preprocess.language says "
            "otherwise; set it: tr or az, or another such as en where I shall become i"
        )


def _self_problems(params: "Params") -> Iterator[str]:
    """Self-distillation looks at CTC's frames, at two views that differ, and at layers that are there."""
    learners = {f"students.{n}": (r.objective, params.student_augment, r.model) for n, r in params.students.items()}
    if params.teacher.source == "train":
        learners["teacher"] = (params.teacher.objective, params.teacher.augment, params.teacher.model)
    for key, (objective, augment, encoder) in learners.items():
        if objective.self_distillation and params.problem.kind == "keyword":
            loss = objective.self_distillation[0].name
            yield f"{key}.objective.self_distillation: {loss} is for CTC, which a keyword problem has not"
        if objective.two_views and not augment.masks_features:
            where = "teacher.augment" if key == "teacher" else "student_augment"
            yield f"{key}.objective.self_distillation: cr_ctc compares two masked views, but {where} masks nothing"
        if objective.intermediate and encoder is not None:
            try:
                inner_layers(objective.intermediate, getattr(encoder, "layers", 0))
            except ValueError as error:
                yield f"{key}.objective.self_distillation: {error}"
