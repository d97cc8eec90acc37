"""Frames of torchaudio's models: units and frame rates that cannot be brought together are named before any work."""

from typing import Any

import pytest
import torchaudio
from workspace import ENCODERS, FRONTEND, make_params

from tasks.params.checks.teacher_frames import frame_problems, labels_of
from tasks.params.checks.teacher_states import state_problems
from tasks.params.errors import ParamsError
from tasks.params.graph import gives_text
from tasks.params.load import parse_params
from tasks.params.pipeline import Params

SMALL = {"init": "random", "model": ENCODERS["baseline"]}
WAV2VEC = {"source": "torchaudio", "bundle": "WAV2VEC2_ASR_BASE_960H", "path": "models/none", "output": "posteriors"}
ONNX = {"source": "onnx", "path": "my/model", "output": "posteriors"}
TAUGHT = {**SMALL, "teacher": "big", "objective": {"label_weight": 0, "beta": 1}}


def params(**changes: Any) -> Params:
    values = {"teachers": {"big": WAV2VEC}, "students": {"a": TAUGHT}, **changes}
    return make_params("transcription", **values)


def test_what_is_known_of_the_bundles_is_what_torchaudio_says() -> None:
    bundles = {name: getattr(torchaudio.pipelines, name) for name in dir(torchaudio.pipelines) if "_ASR_" in name}
    assert len(bundles) > 15
    known = [name for name, bundle in bundles.items() if labels_of(name) is not None and hasattr(bundle, "get_labels")]
    for name in known:
        assert labels_of(name) == bundles[name].get_labels(blank="-"), name
    assert len(known) >= 16


def test_frames_are_matched_and_text_is_as_before() -> None:
    found = params()
    assert not gives_text(found, "big")
    assert found.teachers["big"].model_dump()["output"] == "posteriors"
    text = {key: value for key, value in WAV2VEC.items() if key != "output"}
    objective = {"label_weight": 0, "beta": 1, "distill": {"name": "hypotheses"}}
    hears = params(students={"a": {**TAUGHT, "objective": objective}},
                   teachers={"big": text})  # fmt: skip
    assert gives_text(hears, "big")
    assert "output" not in hears.teachers["big"].model_dump()


def test_a_student_that_is_cut_has_its_sources_frame_rate_and_not_its_layers() -> None:
    """Operators may take layers and leave the subsampling: what is known before any work, and what is not."""
    cut = {"init": "teacher", "operators": [{"op": "slice", "keep": {"layers": 1}}]}
    deep = {"name": "features", "pairs": [[1, 2]]}
    objective = {"label_weight": 1, "beta": 1, "distill": deep}
    students = {"cut": {**TAUGHT, "model": None, **cut}, "small": {**SMALL, "teacher": "cut", "objective": objective}}
    values = params().model_dump(mode="json") | {"students": students}
    slow = Params.model_validate(values | {"frontend": {**FRONTEND.model_dump(), "frame_shift_ms": 12.5}})
    assert [line.split(":")[0] for line in frame_problems(slow)] == ["students.cut.teacher"]
    assert list(state_problems(slow)) == []
    taught_by_the_whole = values | {"students": {"small": {**students["small"], "teacher": "teacher"}}}
    objective["distill"] = {**deep, "pairs": [[1, 9]]}
    assert "names layer 9 of the teacher" in next(state_problems(Params.model_validate(taught_by_the_whole)))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"problem": {"kind": "keyword"}},
            "teachers.big.output: the frames of WAV2VEC2_ASR_BASE_960H are of characters, but our units are whole utt",
        ),
        (
            {"problem": {"kind": "transcription", "units": {"kind": "sentencepiece"}}},
            "our units are pieces of words: use output: text",
        ),
        (
            {"problem": {"kind": "transcription", "units": {"kind": "characters", "alphabet": "abcé7 "}}},
            "teachers.big.bundle: WAV2VEC2_ASR_BASE_960H: it never says 'é', '7'",
        ),
        (
            {"teachers": {"big": {**WAV2VEC, "bundle": "VOXPOPULI_ASR_BASE_10K_EN"}}},
            'teachers.big.bundle: VOXPOPULI_ASR_BASE_10K_EN: it never says "\'"',
        ),
        (
            {"problem": {"kind": "transcription", "units": {"kind": "tokens", "file": "tokens.txt"}}},
            "our units are another recogniser's tokens: use output: text",
        ),
        (
            {"problem": {"kind": "keyword"}, "teachers": {"big": ONNX}},
            "teachers.big.output: the frames of an ONNX file are of tokens, but our units are whole utterances: use",
        ),
        (
            {"teachers": {"big": ONNX}, "ensembles": {"both": {"first": "teacher", "second": "big"}}},
            "ensembles.both.second: big gives frames of a network that is not ours",
        ),
        ({"teacher": ONNX}, "teacher: source: onnx is a file, and students begin from this section's weights: name it"),
        ({"teachers": {"big": {**ONNX, "model": "a/b.onnx"}}}, "teachers.big.model: 'a/b.onnx' is no file's name"),
        ({"teachers": {"big": {**WAV2VEC, "speeds": [0.9]}}}, "speeds is for output: text"),
        ({"teachers": {"big": {**WAV2VEC, "replace": {"a": "b"}}}}, "replace is for output: text"),
        (
            {"frontend": {**FRONTEND.model_dump(), "frame_shift_ms": 12.5}, "preprocess": {"frame_ms": 50.0}},
            "students.a.teacher: big has a frame every 20 ms and this student every 50 ms",
        ),
        (
            {"ensembles": {"both": {"first": "teacher", "second": "big"}}},
            "ensembles.both.second: big gives frames of a network that is not ours",
        ),
        (
            {"teachers": {"big": WAV2VEC, "again": {"source": "model", "path": "models/big", "output": "posteriors"}}},
            "teachers.again.path: big is no model of ours",
        ),
        (
            {"teachers": {"big": {"source": "model", "path": "models/a", "output": "posteriors"}}},
            "students.a: its init and teacher lead back to itself (a -> big -> a)",
        ),
    ],
)
def test_each_mistake_is_one_line_with_its_key(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ParamsError) as found:
        parse_params(params().model_dump(mode="json") | changes)
    assert any(line in one for one in found.value.lines), found.value.lines
