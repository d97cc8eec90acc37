"""What must hold where a student matches the frames of networks that are not ours: units and frame rates.

Of an ONNX file both are known when it is read, in the stage that adopts it and where frames meet.
"""

from collections.abc import Iterator

from kd.config.losses import FRAME_RATIOS
from kd.text.unit_mapping import map_units
from tasks.params.graph import front_end_of, gives_foreign_posteriors
from tasks.params.pipeline import Params
from tasks.params.teachers import BundleTeacher

FRAME_MS = 20.0
"""A frame of wav2vec 2.0 and HuBERT."""

ENGLISH = "ETAONIHSRDLUMWCFGYPBVK'XJQZ"
LETTERS = {
    "WAV2VEC2_ASR_": ENGLISH,
    "HUBERT_ASR_": ENGLISH,
    "VOXPOPULI_ASR_BASE_10K_DE": "enirstadhulgcmobwfkzpvüäöjßyxq",
    "VOXPOPULI_ASR_BASE_10K_EN": "etoiansrhldcumpfgwybvkxjqz",
    "VOXPOPULI_ASR_BASE_10K_ES": "eaosnrildctupmbqygvhófíájzñéxúkwü",
    "VOXPOPULI_ASR_BASE_10K_FR": "esnitraouldcpmévqfgbhxàjèyêzôkçœûùîâwïëüæ",
    "VOXPOPULI_ASR_BASE_10K_IT": "eiaontrlscdupmgvhzfbqàèùéòìkyxwjóíï",
}
"""What torchaudio's bundles write, by how their names begin: parameters are checked without torch."""


def labels_of(bundle: str) -> tuple[str, ...] | None:
    """Units of a bundle, the blank first; None for one that is not known here: its stage looks at it."""
    letters = next((letters for name, letters in LETTERS.items() if bundle.startswith(name)), None)
    return None if letters is None else ("-", "|", *letters)


def frame_problems(params: Params) -> Iterator[str]:
    """One line for each mistake in teachers whose posteriors a student cannot match frame by frame."""
    for name, teacher in params.teachers.items():
        if not gives_foreign_posteriors(params, name):
            continue
        if isinstance(teacher, BundleTeacher):
            yield from _unit_problems(params, name, teacher.bundle)
        elif params.problem.kind == "keyword":
            yield (
                f"teachers.{name}.output: the frames of an ONNX file are of tokens, but our units are whole "
                "utterances: use output: text, which students match by hypotheses"
            )
    for name, recipe in params.students.items():
        if isinstance(params.teachers.get(recipe.teacher), BundleTeacher) and gives_foreign_posteriors(
            params, recipe.teacher
        ):
            yield from _rate_problems(params, name)


def _unit_problems(params: Params, name: str, bundle: str) -> Iterator[str]:
    if params.problem.kind == "keyword":
        ours = "whole utterances"
    elif params.problem.units.kind == "sentencepiece":
        ours = "pieces of words"
    elif params.problem.units.kind == "tokens":
        ours = "another recogniser's tokens"
    else:
        yield from _character_problems(name, bundle, params.problem.units.alphabet)
        return
    yield (
        f"teachers.{name}.output: the frames of {bundle} are of characters, but our units are {ours}: "
        "use output: text, which students match by hypotheses"
    )


def _character_problems(name: str, bundle: str, alphabet: str) -> Iterator[str]:
    labels = labels_of(bundle)
    try:
        if labels is not None:
            map_units(labels, ("", *alphabet))
    except ValueError as error:
        yield f"teachers.{name}.bundle: {bundle}: {error}"


def _rate_problems(params: Params, name: str) -> Iterator[str]:
    encoder = _cut_from(params, name)
    if encoder is None:
        return
    front = front_end_of(params, name)
    assert front is not None  # of a model that begins here
    step_ms = front.frame_shift_ms * getattr(encoder, "subsampling", 1)
    if max(step_ms, FRAME_MS) / min(step_ms, FRAME_MS) not in FRAME_RATIOS:
        ratios = f"{', '.join(map(str, FRAME_RATIOS[:-1]))} or {FRAME_RATIOS[-1]}"
        yield (
            f"students.{name}.teacher: {params.students[name].teacher} has a frame every {FRAME_MS:g} ms and this "
            f"student every {step_ms:g} ms; one must be {ratios} times the other: change frontend.frame_shift_ms"
        )


def _cut_from(params: Params, name: str) -> object | None:
    """The shape that a student begins with or is cut from, which leaves subsampling as it is; None: of a checkpoint."""
    seen: set[str] = set()
    while name in params.students and name not in seen:
        seen.add(name)
        recipe = params.students[name]
        if recipe.model is not None:
            return recipe.model
        name = recipe.init
    return params.teacher.model if name == "teacher" and params.teacher.source == "train" else None
