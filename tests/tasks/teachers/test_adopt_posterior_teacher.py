"""Named teachers of frames: torchaudio's models (one of small random weights stands in), and assistants of our own."""

import shutil
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchaudio
from tiny_bundle import LABELS, make_tiny_bundle
from tiny_stages import LEARNS, TRAINING, KillingReporter, run_student, same, stage_params, weights
from torch import Tensor
from workspace import ENCODERS, RATE_HZ, make_params, make_workspace

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.models import build
from kd.teachers.mapped_posteriors import in_our_units
from kd.text.unit_mapping import map_units
from kd.training.frame_rates import ratio_of
from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter
from tasks.stages import adopt_teacher, cache_logits, distil, propagate
from tasks.teachers.bundle_posteriors import FEWEST_SAMPLES, BundlePosteriorTeacher
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.posterior_teacher import CheckpointPosteriorTeacher, load_posterior_teacher
from tasks.teachers.teacher_pass import output_keys, views

SMALL = {"init": "random", "model": ENCODERS["baseline"]}
ASSISTANT = {"source": "model", "path": "models/middle", "output": "posteriors"}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    make_tiny_bundle(tmp_path, monkeypatch)
    return make_workspace(tmp_path)


def bundle_params(**changes: Any) -> Params:
    wav2vec = {"source": "torchaudio", "bundle": "TINY_ASR", "path": "tiny.pth", "output": "posteriors", **changes}
    taught = {**SMALL, "teacher": "wav2vec", "objective": {"label_weight": 0, "beta": 1}}
    values: dict[str, Any] = {"student_training": TRAINING, "student_augment": {"speeds": [0.9, 1.0]}}
    return make_params("transcription", teachers={"wav2vec": wav2vec}, students={"taught": taught}, **values)


def waveforms(*lengths: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(len(lengths), max(lengths), generator=generator) - 0.5, torch.tensor(lengths)


def test_a_student_learns_from_the_stored_frames_of_torchaudios_model(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = bundle_params()
    reporter = KillingReporter()
    metrics = adopt_teacher.run(params, paths, "wav2vec", reporter)
    assert metrics["valid_error"] > 0, "random weights err"
    assert reporter.said == [
        "TINY_ASR also writes A I S D L M C F G Y P B V K X J Q Z, no units here: all of ours share their mass"
    ]
    filled = cache_logits.run(params, paths, "wav2vec")
    train = PreparedData.load(paths.prepared).split("train")
    assert filled["outputs"] == filled["computed"] == 2 * len(train), "in both views"
    monkeypatch.setattr(BundlePosteriorTeacher, "posteriors", None)
    propagate.run(params, paths, "taught")
    distil.run(params, paths, "taught", reporter)
    assert reporter.curves[3]["distill_loss"] < 0.9 * reporter.curves[0]["distill_loss"]


def test_the_store_holds_what_the_model_says_over_our_units(paths: Paths) -> None:
    """By hand: the bundle's own model on audio at its rate, softmax, each label's mass to our unit."""
    params = bundle_params()
    adopt_teacher.run(params, paths, "wav2vec")
    cache_logits.run(params, paths, "wav2vec")
    data, teacher = PreparedData.load(paths.prepared), load_posterior_teacher(paths, "wav2vec")
    utterances = data.split("train")
    store = LogitCache(paths.outputs("wav2vec"))
    keys = output_keys(utterances, views(params.student_augment), teacher.key)
    assert list(store.places) == keys
    model = torchaudio.pipelines.TINY_ASR.get_model(dl_kwargs={"model_dir": paths.root, "file_name": "tiny.pth"})
    waveform = torch.from_numpy(data.waveform(utterances[0]))[None]
    with torch.no_grad():
        logits, _ = model.eval()(torchaudio.functional.resample(waveform, RATE_HZ, 16_000))
    expected = in_our_units(logits, map_units(("-", *LABELS), data.vocabulary.tokens))
    found, lengths = store.read(keys[:1])
    torch.testing.assert_close(found, expected, atol=4e-3, rtol=0)
    assert lengths.tolist() == [expected.shape[1]]
    torch.testing.assert_close(found[..., 0].exp(), logits.softmax(-1)[..., 0], atol=1e-3, rtol=0)


def test_neighbours_and_padding_change_nothing(paths: Paths) -> None:
    adopt_teacher.run(bundle_params(), paths, "wav2vec")
    teacher = load_posterior_teacher(paths, "wav2vec")
    together, frames = teacher.posteriors(*waveforms(8_000, 5_000))
    waveform_BN, _ = waveforms(8_000, 5_000)
    alone, its_frames = teacher.posteriors(waveform_BN[1:, :5_000], torch.tensor([5_000]))
    assert frames[1:].tolist() == its_frames.tolist()
    torch.testing.assert_close(together[1:, : int(frames[1])], alone)
    assert teacher.posteriors(*waveforms(FEWEST_SAMPLES // 8))[1].tolist() == [1], "too short for one frame of its own"


@pytest.mark.parametrize("subsampling", [1, 2, 4])
def test_its_frames_meet_every_students(subsampling: int, paths: Paths) -> None:
    """20 ms against 10, 20 and 40: the aligners know the ratio, whatever the length."""
    adopt_teacher.run(bundle_params(), paths, "wav2vec")
    lengths = list(range(1_600, 24_000, 977))
    _, theirs = load_posterior_teacher(paths, "wav2vec").posteriors(*waveforms(*lengths))
    encoder = {**ENCODERS["baseline"], "subsampling": subsampling}
    values = {"problem": "transcription", "num_features": 16, "num_outputs": 5, "encoder": encoder}
    settings = FrontEndSettings(sample_rate_hz=RATE_HZ, num_mels=16)
    ours = build(ModelSettings.model_validate(values)).output_lengths(
        make_front_end(settings).output_lengths(torch.tensor(lengths))
    )
    fast, slow = (ours, theirs) if subsampling == 1 else (theirs, ours)
    assert ratio_of(fast, slow) == {1: 2, 2: 1, 4: 2}[subsampling]


def test_by_name_its_weights_are_downloaded_once(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """And lie in the teacher's folder, from which alone it is loaded."""
    asked: list[str] = []

    def download(url: str, place: str, *_: object, **__: object) -> None:
        asked.append(url)
        shutil.copy(paths.root / "tiny.pth", place)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    adopt_teacher.run(bundle_params(path="models/none"), paths, "wav2vec")
    assert asked == ["https://download.pytorch.org/torchaudio/models/tiny.pth"]
    by_name = load_posterior_teacher(paths, "wav2vec").key
    adopt_teacher.run(bundle_params(), paths, "wav2vec")
    assert load_posterior_teacher(paths, "wav2vec").key == by_name
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"path": "models/none"},
            r"^teachers.wav2vec: the weights of TINY_ASR cannot be .*name the file as path$",
        ),
        ({"path": "gone.pth"}, r"^teachers.wav2vec: path .*gone.pth: no such file"),
        ({"bundle": "HUBERT"}, "^teachers.wav2vec: 'HUBERT' is no CTC bundle"),
        ({"bundle": "VOXPOPULI_ASR_BASE_10K_EN"}, r"^teachers.wav2vec: it never says \"'\", of which we have a unit"),
    ],
)
def test_what_cannot_be_had_is_one_line(
    changes: dict[str, str], message: str, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    params = bundle_params(bundle="TINY_ASR")
    settings = params.teachers["wav2vec"].model_copy(
        update={key: Path(value) if key == "path" else value for key, value in changes.items()}
    )
    with pytest.raises(ValueError, match=message) as found:
        adopt_teacher.run(params.model_copy(update={"teachers": {"wav2vec": settings}}), paths, "wav2vec")
    assert "\n" not in str(found.value)
    assert not paths.model("wav2vec").exists()


def test_its_key_is_that_of_its_weights_and_units(paths: Paths) -> None:
    def key() -> str:
        adopt_teacher.run(bundle_params(), paths, "wav2vec")
        return load_posterior_teacher(paths, "wav2vec").key

    first = key()
    assert key() == first
    state = torch.load(paths.root / "tiny.pth", weights_only=True)
    state["aux.bias"][5] += 1
    torch.save(state, paths.root / "tiny.pth")
    assert key() != first


def chain(**changes: Any) -> Params:
    """Teacher, assistant, small students; and one that names the assistant's model itself."""
    learns = {**SMALL, "teacher": "assistant", "objective": LEARNS}
    middle = {"init": "random", "model": {**ENCODERS["baseline"], "width": 12}, "teacher": "teacher"}
    students = {
        "middle": {**middle, "objective": LEARNS},
        "small": learns,
        "other": {**learns, "objective": {"label_weight": 0, "beta": 1}},
        "direct": {**learns, "teacher": "middle"},
    }
    return stage_params("transcription", teachers={"assistant": ASSISTANT}, students=students, **changes)


def test_a_chain_of_sizes_computes_the_assistants_outputs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever learns from the store learns what it would learn from the model itself."""
    paths, params = make_workspace(tmp_path), chain(student_augment={"speeds": [0.9, 1.0]})
    cache_logits.run(params, paths)
    run_student(params, paths, "middle")
    assert adopt_teacher.run(params, paths, "assistant")["valid_error"] >= 0
    train = PreparedData.load(paths.prepared).split("train")
    assert cache_logits.run(params, paths, "assistant")["computed"] == 2 * len(train)
    assert cache_logits.run(params, paths, "assistant")["computed"] == 0
    real = CheckpointPosteriorTeacher.posteriors
    monkeypatch.setattr(CheckpointPosteriorTeacher, "posteriors", None)
    for name in ("small", "other"):
        run_student(params, paths, name)
    monkeypatch.setattr(CheckpointPosteriorTeacher, "posteriors", real)
    run_student(params, paths, "direct")
    assert same(weights(paths.model("small")), weights(paths.model("direct")))
    assert not same(weights(paths.model("small")), weights(paths.model("other")))
    assert load_posterior_teacher(paths, "assistant").key == load_posterior_teacher(paths, "middle").key


def test_an_assistant_of_other_units_is_refused(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path / "here")
    make_workspace(tmp_path / "there", "keyword")
    there = {**ASSISTANT, "path": "../there/models/teacher"}
    params = stage_params("transcription", teachers={"assistant": there})
    with pytest.raises(ValueError, match=r"teachers.assistant: path .*: its units differ: [0-9]+ found, "):
        adopt_teacher.run(params, paths, "assistant", NullReporter())
    assert not paths.model("assistant").exists()


def test_a_teacher_of_text_has_an_empty_store(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    params = stage_params("transcription", teachers={"transcripts": {"source": "model", "path": "models/teacher"}})
    adopt_teacher.run(params, paths, "transcripts")
    assert cache_logits.run(params, paths, "transcripts")["outputs"] == 0
    assert len(LogitCache(paths.outputs("transcripts"))) == 0
