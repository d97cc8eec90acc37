"""ONNX files as named teachers of frames: adopted, stored and learnt from, as a checkpoint is."""

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from tiny_onnx_ctc import BLANKS, make_onnx_ctc, speech_like, tokens_of
from tiny_stages import TRAINING, KillingReporter
from torch import Tensor
from workspace import ENCODERS, FRONTEND, make_params, make_workspace

from kd.config.models import ModelSettings
from kd.models import build
from kd.text.vocabulary import Vocabulary
from kd.training.frame_rates import aligned
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter
from tasks.stages import adopt_teacher, cache_logits, distil, export, propagate
from tasks.teachers.adopt_posterior_teacher import valid_error
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.onnx_ctc.model import OnnxCtc
from tasks.teachers.onnx_ctc.posteriors import OnnxPosteriorTeacher
from tasks.teachers.posterior_teacher import CheckpointPosteriorTeacher, load_posterior_teacher
from tasks.teachers.teacher_pass import output_keys

ROUNDING = 1e-4
SMALL = {"init": "random", "model": ENCODERS["baseline"]}
PIECES = ("<blk>", "<unk>", "▁t", "wo", "▁two", "on", "▁on", "▁one", "re", "▁", *"enowtrhu'")


def onnx_params(**changes: Any) -> Params:
    file = {"source": "onnx", "path": "theirs", "output": "posteriors", **changes.pop("file", {})}
    taught = {**SMALL, "teacher": "file", "objective": {"label_weight": 0, "beta": 1}}
    values: dict[str, Any] = {"student_training": TRAINING, "teachers": {"file": file}, "students": {"taught": taught}}
    return make_params("transcription", **(values | changes))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A workspace whose teacher is also an exported file, away from the project's own folders."""
    paths = make_workspace(tmp_path)
    hand_over(paths)
    return paths


def hand_over(paths: Paths) -> None:
    export.run(onnx_params(), paths, "teacher")
    shutil.copytree(paths.export("teacher"), paths.root / "theirs", dirs_exist_ok=True)


def take_over_pieces(paths: Paths) -> None:
    """The workspace's units become pieces of words, and its teacher one of them, with a frame every 20 ms."""
    vocabulary = Vocabulary.taken_over(PIECES)
    file = paths.prepared / "prepared.json"
    description = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**description, "vocabulary": vocabulary.to_dict()}), encoding="utf-8")
    encoder = {**ENCODERS["teacher"], "subsampling": 2}
    values = {"problem": "transcription", "num_features": FRONTEND.num_mels, "num_outputs": len(PIECES)}
    torch.manual_seed(3)
    model = build(ModelSettings.model_validate({**values, "encoder": encoder}))
    save_checkpoint(
        paths.model("teacher"), Checkpoint(model, FRONTEND, vocabulary, role="teacher", init="random", objective="")
    )
    hand_over(paths)


def waveforms(*lengths: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(len(lengths), max(lengths), generator=generator) - 0.5, torch.tensor(lengths)


def test_our_own_file_teaches_what_its_checkpoint_teaches(paths: Paths) -> None:
    params = onnx_params()
    metrics = adopt_teacher.run(params, paths, "file")
    checkpoint = CheckpointPosteriorTeacher(load_checkpoint(paths.model("teacher")))
    teacher, data = load_posterior_teacher(paths, "file"), PreparedData.load(paths.prepared)
    assert isinstance(teacher, OnnxPosteriorTeacher)
    assert metrics == {"valid_error": valid_error(checkpoint, data, params)}
    found, frames = teacher.posteriors(*waveforms(8_000, 5_000))
    expected, expected_frames = checkpoint.posteriors(*waveforms(8_000, 5_000))
    assert frames.tolist() == expected_frames.tolist()
    for row, count in enumerate(frames.tolist()):
        torch.testing.assert_close(found[row, :count], expected[row, :count], atol=ROUNDING, rtol=0)
    cache_logits.run(params, paths, "file")
    stored, _ = LogitCache(paths.outputs("file")).read(output_keys(data.split("train")[:1], [1], teacher.key))
    waveform = torch.from_numpy(data.waveform(data.split("train")[0]))[None]
    expected, _ = checkpoint.posteriors(waveform, torch.tensor([waveform.shape[1]]))
    torch.testing.assert_close(stored, expected, atol=4e-3, rtol=0)


def test_a_student_learns_pieces_at_half_the_teachers_frames(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    take_over_pieces(paths)
    params, reporter = onnx_params(), KillingReporter()
    assert adopt_teacher.run(params, paths, "file", reporter)["valid_error"] > 0
    (said,) = reporter.said
    assert said.endswith(f"model.onnx: kd, {len(PIECES)} tokens, 8000 Hz")
    cache_logits.run(params, paths, "file")
    monkeypatch.setattr(OnnxPosteriorTeacher, "posteriors", None)
    shutil.rmtree(paths.root / "theirs")
    propagate.run(params, paths, "taught")
    distil.run(params, paths, "taught", reporter)
    assert reporter.curves[3]["distill_loss"] < 0.9 * reporter.curves[0]["distill_loss"]
    student = load_checkpoint(paths.model("taught"))
    assert student.vocabulary.tokens == PIECES
    assert student.model.settings.encoder.subsampling == 4


def test_a_taken_over_students_file_says_words(paths: Paths) -> None:
    take_over_pieces(paths)
    text = (paths.export("teacher") / "tokens.txt").read_text(encoding="utf-8")
    assert text.split("\n")[4:6] == ["▁two 4", "on 5"]
    again = Vocabulary.taken_over([line.rsplit(" ", 1)[0] for line in text.splitlines()])
    assert again.decode(again.encode("one two there")) == "one two there"


def test_pieces_without_a_unit_of_ours_are_refused_before_anything_is_copied(paths: Paths) -> None:
    take_over_pieces(paths)
    plain = make_workspace(paths.root / "plain")
    params = onnx_params(file={"path": "../theirs"})
    with pytest.raises(ValueError, match=r"^teachers.file: it writes pieces of words such as '▁t', of which") as found:
        adopt_teacher.run(params, plain, "file", NullReporter())
    assert "\n" not in str(found.value)
    assert not plain.model("file").exists()


def test_a_model_for_more_of_the_spectrum_is_refused(paths: Paths) -> None:
    make_onnx_ctc(paths.root / "other", "zipformer_ctc")
    with pytest.raises(ValueError, match=r"^teachers.file: .*model.onnx takes audio of 16000 Hz.*frontend.sample_rate"):
        adopt_teacher.run(onnx_params(file={"path": "other"}), paths, "file")


def test_its_key_is_that_of_its_files_and_our_units(paths: Paths) -> None:
    def key() -> str:
        adopt_teacher.run(onnx_params(), paths, "file")
        return load_posterior_teacher(paths, "file").key

    first = key()
    assert key() == first
    model = onnx.load(paths.root / "theirs" / "model.onnx")
    model.doc_string = "another"
    onnx.save(model, paths.root / "theirs" / "model.onnx")
    assert key() != first


def test_its_key_is_that_of_the_library_of_its_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NeMo's come from kaldi-native-fbank, all others' from code of ours."""
    keys = []
    for kind in ("nemo_ctc", "wenet_ctc"):
        write_facts(make_onnx_ctc(tmp_path / kind, kind), kind)
        for version in ("1.0", "2.0"):
            monkeypatch.setattr("tasks.teachers.onnx_ctc.model.version", lambda name, found=version: found)
            keys.append(OnnxPosteriorTeacher(tmp_path / kind).key)
    assert keys[0] != keys[1]
    assert keys[2] == keys[3]


def test_weights_beside_the_model_come_along(paths: Paths) -> None:
    file = paths.root / "theirs" / "model.onnx"
    before = make_teacher(paths).posteriors(*waveforms(5_000))[0]
    model = onnx.load(file)
    onnx.save(model, file, save_as_external_data=True, location="model.weights", size_threshold=0)
    assert (file.parent / "model.weights").is_file()
    torch.testing.assert_close(make_teacher(paths).posteriors(*waveforms(5_000))[0], before)
    assert (paths.model("file") / "model.weights").is_file()


def make_teacher(paths: Paths) -> OnnxPosteriorTeacher:
    adopt_teacher.run(onnx_params(), paths, "file")
    return OnnxPosteriorTeacher(paths.model("file"))


def write_facts(folder: Path, kind: str) -> None:
    """As of a teacher that is adopted, whose tokens are our units."""
    units = ["<blk>", *(token for token in tokens_of(kind) if token != BLANKS[kind])]
    facts = {"model": "model.onnx", "tokens": "tokens.txt", "type": None, "units": units, "sample_rate_hz": 16_000}
    (folder / "onnx.json").write_text(json.dumps(facts), encoding="utf-8")


@pytest.mark.parametrize("kind", ["zipformer_ctc", "wenet_ctc", "nemo_ctc", "omnilingual"])
def test_each_type_teaches_its_own_tokens(kind: str, tmp_path: Path) -> None:
    """At 16 kHz: a distribution over the tokens in our order, wherever its blank stands, one frame or more."""
    make_onnx_ctc(tmp_path, kind)
    write_facts(tmp_path, kind)
    teacher = OnnxPosteriorTeacher(tmp_path)
    log_probs, frames = teacher.posteriors(*waveforms(16_000, 9_000))
    step = 320 if kind == "omnilingual" else 640
    assert [abs(n - m // step) <= 1 for n, m in zip(frames.tolist(), (16_000, 9_000), strict=True)] == [True, True]
    torch.testing.assert_close(log_probs[0].exp().sum(-1), torch.ones(log_probs.shape[1]))
    alone, _ = teacher.posteriors(waveforms(16_000, 9_000)[0][1:, :9_000], torch.tensor([9_000]))
    torch.testing.assert_close(log_probs[1, : int(frames[1])], alone[0])
    scores = teacher.model.scores(waveforms(16_000)[0][0], 16_000).log_softmax(-1)
    place = tokens_of(kind).index(BLANKS[kind])
    torch.testing.assert_close(teacher.posteriors(*waveforms(16_000))[0][0, :, 0], scores[:, place])


@pytest.mark.parametrize("kind", ["zipformer_ctc", "wenet_ctc", "nemo_ctc", "omnilingual"])
def test_its_frames_fit_students_of_every_rate(kind: str, tmp_path: Path) -> None:
    """Though unpadded convolutions lose some: of 10 s icefall's give 248 of 250, WeNet's 249."""
    model = OnnxCtc(make_onnx_ctc(tmp_path, kind), "model.onnx", "tokens.txt", None)
    for num_samples in (3_000, 8_160, 32_100, 160_000):
        scores_1TW = model.scores(torch.from_numpy(speech_like(11, 1)[:num_samples]), 16_000)[None]
        theirs, features = torch.tensor([scores_1TW.shape[1]]), round(num_samples / 160)
        for stride in (2, 4, 8):
            ours = torch.tensor([-(-features // stride)])
            student, teacher, frames = aligned(torch.zeros(1, int(ours), 32), ours, scores_1TW, theirs, "maximum")
            assert student.shape == teacher.shape == (1, int(frames), 32)
