"""The front ends against kaldi-native-fbank and transformers, their laws, and their ONNX form against themselves."""

import io

import kaldi_native_fbank as knf
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kd.audio.frontend import KaldiFbank, make_front_end
from kd.config.frontend import LEVEL_FRAMES, WHISPER_RANGE, FrontEndSettings
from kd.models.level import below_peak
from kd.padding import frame_mask
from kd.runtime.frontend import FLOOR

SHAPES = {
    "sherpa": FrontEndSettings(),
    "keyword": FrontEndSettings(num_mels=32),
    "telephone": FrontEndSettings(sample_rate_hz=8_000, num_mels=32, high_freq_hz=0.0),
    "odd rate": FrontEndSettings(sample_rate_hz=11_025, num_mels=40, frame_length_ms=32.0, frame_shift_ms=12.5),
    "long shift": FrontEndSettings(frame_length_ms=25.0, frame_shift_ms=25.0, high_freq_hz=7_000.0),
}
WHISPER = FrontEndSettings(kind="whisper")
KINDS = {"kaldi": FrontEndSettings(), "whisper": WHISPER, "waveform": FrontEndSettings(kind="waveform")}
FRONT_ENDS = {**SHAPES, "whisper": WHISPER, "128 mels": FrontEndSettings(kind="whisper", num_mels=128)}
every_kind = pytest.mark.parametrize("front", KINDS.values(), ids=KINDS)
NUM_SAMPLES = (80, 81, 120, 159, 199, 239, 240, 241, 400, 401, 561, 4_000, 16_037)


def speechlike(num_samples: int, seed: int = 0) -> Tensor:
    """Coloured noise that swells and fades over 60 dB, with a hum and an offset."""
    rng = np.random.default_rng([seed, num_samples])
    noise = np.convolve(rng.standard_normal(num_samples + 7), [0.4, 0.3, 0.2, -0.1, 0.05, 0.1, -0.2, 0.1], "valid")
    time = np.arange(num_samples)
    loudness = 10.0 ** (-1.5 + 1.5 * np.sin(time / 700.0)) * 0.2
    return torch.tensor(noise * loudness + 0.02 * np.sin(time / 40.0) + 0.001, dtype=torch.float32)


def kaldi(waveform: Tensor, front: FrontEndSettings) -> Tensor:
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = front.sample_rate_hz
    options.frame_opts.frame_length_ms = front.frame_length_ms
    options.frame_opts.frame_shift_ms = front.frame_shift_ms
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = front.num_mels
    options.mel_opts.low_freq = front.low_freq_hz
    options.mel_opts.high_freq = front.high_freq_hz
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(front.sample_rate_hz, waveform.tolist())
    fbank.input_finished()
    frames = [torch.from_numpy(fbank.get_frame(i).copy()) for i in range(fbank.num_frames_ready)]
    return torch.stack(frames) if frames else torch.zeros(0, front.num_mels)


def batch(lengths: list[int], padding: float = 0.0) -> tuple[Tensor, Tensor]:
    waveform_BN = torch.full((len(lengths), max(lengths)), padding)
    for i, length in enumerate(lengths):
        waveform_BN[i, :length] = speechlike(length, seed=i)
    return waveform_BN, torch.tensor(lengths)


@pytest.mark.parametrize("front", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("num_samples", NUM_SAMPLES)
def test_equals_kaldi(front: FrontEndSettings, num_samples: int) -> None:
    waveform_N = speechlike(num_samples)
    features_BTF, lengths_B = KaldiFbank(front)(waveform_N[None], torch.tensor([num_samples]))
    expected_TF = kaldi(waveform_N, front)
    assert lengths_B.tolist() == [len(expected_TF)]
    torch.testing.assert_close(features_BTF[0], expected_TF, atol=5e-4, rtol=0)


@pytest.mark.parametrize("num_mels", [80, 128])
def test_equals_transformers_above_the_floor_of_each_utterance(num_mels: int) -> None:
    """Of a batch; theirs one by one, since their floor is by the peak of what they are given."""
    transformers = pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")
    extractor = transformers.WhisperFeatureExtractor(feature_size=num_mels)
    waveform_BN, lengths_B = batch([16_037, 4_000, 561, 9_999], padding=float("nan"))
    front = make_front_end(FrontEndSettings(kind="whisper", num_mels=num_mels))
    features_BTF, frames_B = front(waveform_BN, lengths_B)
    floored_BTF = below_peak(features_BTF, frame_mask(frames_B, features_BTF.shape[1]), WHISPER_RANGE, None)
    for i, length in enumerate(lengths_B.tolist()):
        given = {"sampling_rate": 16_000, "padding": "longest", "return_tensors": "pt"}
        expected_FT = extractor(waveform_BN[i, :length].numpy(), **given)["input_features"][0]
        torch.testing.assert_close(floored_BTF[i, : frames_B[i]], expected_FT.T, atol=2e-4, rtol=0)


@pytest.mark.parametrize("front", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_the_fast_transform_gives_what_the_matrices_give(front: FrontEndSettings) -> None:
    """In a batch of one length and another, with a length of 0, and what is shorter than a frame."""
    waveform_BN, lengths_B = batch([4_000, 3, 90, 2_345, 1, 700], padding=float("nan"))
    lengths_B[1] = 0
    given = waveform_BN, lengths_B
    (fast_BTF, fast_B), (slow_BTF, slow_B) = (
        make_front_end(front)(*given),
        make_front_end(front, as_exported=True)(*given),
    )
    assert torch.equal(fast_B, slow_B)
    torch.testing.assert_close(fast_BTF, slow_BTF, atol=1e-3, rtol=0)


def test_digital_silence_is_the_logarithm_of_the_floor() -> None:
    features_BTF, _ = KaldiFbank(FrontEndSettings())(torch.zeros(1, 1_600), torch.tensor([1_600]))
    torch.testing.assert_close(features_BTF, torch.full((1, 10, 80), FLOOR).log())


@every_kind
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 3_000), min_size=1, max_size=4), extra=st.integers(0, 900))
def test_neither_padding_nor_batch_mates_matter(front: FrontEndSettings, lengths: list[int], extra: int) -> None:
    front_end = make_front_end(front)
    waveform_BN, lengths_B = batch(lengths, padding=float("nan"))
    padded_BN = torch.nn.functional.pad(waveform_BN, (0, extra), value=float("inf"))
    features_BTF, frames_B = front_end(padded_BN, lengths_B)
    shift, rounding = (1 if front.kind == "waveform" else 160), (80 if front.kind == "kaldi" else 0)
    assert frames_B.tolist() == [(n + rounding) // shift for n in lengths] == [front.num_frames(n) for n in lengths]
    for i, length in enumerate(lengths):
        alone_BTF, _ = front_end(waveform_BN[i : i + 1, :length], lengths_B[i : i + 1])
        torch.testing.assert_close(features_BTF[i, : frames_B[i]], alone_BTF[0], atol=1e-3, rtol=0)
        assert (features_BTF[i, frames_B[i] :] == 0).all()


@every_kind
def test_mixed_precision_leaves_the_features_alone(front: FrontEndSettings) -> None:
    front_end, (waveform_BN, lengths_B) = make_front_end(front), batch([2_000, 900])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed_BTF, _ = front_end(waveform_BN, lengths_B)
    assert mixed_BTF.dtype == torch.float32
    assert torch.equal(mixed_BTF, front_end(waveform_BN, lengths_B)[0])


@every_kind
def test_adds_nothing_to_a_checkpoint(front: FrontEndSettings) -> None:
    assert make_front_end(front).state_dict() == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("front", [*KINDS.values(), SHAPES["odd rate"]], ids=[*KINDS, "odd rate"])
def test_onnx_gives_the_same_features(front: FrontEndSettings) -> None:
    module = make_front_end(front).eval()
    file = io.BytesIO()
    torch.onnx.export(
        module,
        batch([3_000, 2_000]),
        file,
        dynamo=False,
        opset_version=17,
        input_names=["waveform", "lengths"],
        output_names=["features", "frames"],
        dynamic_axes={"waveform": {0: "B", 1: "N"}, "lengths": {0: "B"}, "features": {0: "B", 1: "T"}},
    )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for lengths in ([300], [90, 4_000], [16_000, 1, 7_777], [5_000, 5_000]):
        waveform_BN, lengths_B = batch(lengths)
        features, frames = session.run(None, {"waveform": waveform_BN.numpy(), "lengths": lengths_B.numpy()})
        expected_BTF, expected_B = module(waveform_BN, lengths_B)
        assert frames.tolist() == expected_B.tolist()
        torch.testing.assert_close(torch.from_numpy(features), expected_BTF, atol=1e-3, rtol=0)


@every_kind
def test_torch_export_keeps_both_axes_dynamic(front: FrontEndSettings) -> None:
    """What the newer ONNX exporter begins with."""
    module, dim = make_front_end(front), torch.export.Dim
    axes = ({0: dim("B"), 1: dim("N", min=320 if front.kind == "whisper" else 240)}, {0: dim("B")})
    program = torch.export.export(module, batch([3_000, 2_000]), dynamic_shapes=axes)
    waveform_BN, lengths_B = batch([700, 1_234, 9_000])
    got_BTF, _ = program.module()(waveform_BN, lengths_B)
    torch.testing.assert_close(got_BTF, module(waveform_BN, lengths_B)[0], atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("waveform", "lengths", "message"),
    [
        (torch.zeros(2, 500), torch.tensor([500, 501]), "not within the 500 samples"),
        (torch.zeros(2, 500), torch.tensor([-1, 5]), "not within the 500 samples"),
        (torch.zeros(2, 1, 500), torch.tensor([500, 500]), "expected \\(utterances, samples\\)"),
        (torch.zeros(2, 500), torch.tensor([500]), "expected \\(utterances, samples\\)"),
        (torch.zeros(1, 0), torch.tensor([0]), "none of them 0"),
    ],
)
def test_says_what_is_wrong_with_a_batch(waveform: Tensor, lengths: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_front_end(FrontEndSettings())(waveform, lengths)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ({"sample_rate_hz": 8_000, "num_mels": 128}, "Lower num_mels"),
        ({"sample_rate_hz": 8_000, "high_freq_hz": -3_990.0}, "half of sample_rate_hz 8000"),
        ({"high_freq_hz": 9_000.0}, "half of sample_rate_hz 16000"),
        ({"frame_shift_ms": 0.01}, "less than a sample"),
    ],
)
def test_refuses_impossible_mel_bins(front: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrontEndSettings(**front)


def test_a_recogniser_levels_its_features_as_their_front_end_needs() -> None:
    """Kaldi's by the frames around, Whisper's by the peak alone, samples by their variance."""
    assert FrontEndSettings().level() == (LEVEL_FRAMES, 0.0, None, False)
    assert FrontEndSettings(kind="whisper").level() == (0, WHISPER_RANGE, 0.0, False)
    assert FrontEndSettings(kind="waveform").level() == (0, 0.0, None, True)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_settings_refuse_exactly_the_empty_mel_bins(rate_hz: int) -> None:
    """The settings count without torch; the matrix itself is the oracle. Validation is skipped to build it."""
    for num_mels in range(8, 257, 8):
        front = FrontEndSettings.model_construct(sample_rate_hz=rate_hz, num_mels=num_mels)
        empty = int((KaldiFbank(front).mel_RF.sum(0) == 0).sum())
        if empty == 0:
            FrontEndSettings(sample_rate_hz=rate_hz, num_mels=num_mels)
        else:
            with pytest.raises(ValueError, match=f"{empty} of {num_mels} mel bins"):
                FrontEndSettings(sample_rate_hz=rate_hz, num_mels=num_mels)
