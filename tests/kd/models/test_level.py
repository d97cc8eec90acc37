"""No recogniser cares how loud it is spoken to."""

import math

import pytest
import torch
from factories import CASES, NUM_FEATURES, make_features, make_model
from torch.nn import functional as F

from kd.audio.frontend import KaldiFbank
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.models import level
from kd.runtime.frontend import FLOOR

every_case = pytest.mark.parametrize(("name", "problem"), CASES)


@every_case
@pytest.mark.parametrize("gain", [-4.6, 2.3])
def test_a_gain_changes_nothing(name: str, problem: str, gain: float) -> None:
    model, (features_BTF, lengths_B) = make_model(name, problem), make_features()
    with torch.no_grad():
        before, after = model(features_BTF, lengths_B)[0], model(features_BTF + gain, lengths_B)[0]
    for row, length in enumerate(model.output_lengths(lengths_B).tolist()):
        torch.testing.assert_close(after[row, :length], before[row, :length], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(("name", "problem"), [case for case in CASES if case[0] != "wav2vec2"])
def test_without_level_frames_it_does(name: str, problem: str) -> None:
    """The law above is no accident of the models: as they were before, they fail it.

    But wav2vec2, whose first convolution takes each channel's mean over time away.
    """
    model, (features_BTF, lengths_B) = make_model(name, problem), make_features()
    model.settings = model.settings.model_copy(update={"level_frames": 0})
    with torch.no_grad():
        before, after = model(features_BTF, lengths_B)[0], model(features_BTF + 2.3, lengths_B)[0]
    assert not torch.allclose(before[0], after[0], atol=1e-2)


def test_hand_worked() -> None:
    """Three frames of two bins, a window of three: means 1, 4 and 7 give levels (1+4)/2, (1+4+7)/3 and (4+7)/2."""
    features_BTF = torch.tensor([[[0.0, 2.0], [3.0, 5.0], [6.0, 8.0]]])
    counted_B2T = F.pad(level.level_of(features_BTF, torch.ones(1, 3, dtype=torch.bool)), (1, 1))
    expected = torch.tensor([[[-2.5, -0.5], [-1.0, 1.0], [0.5, 2.5]]])
    torch.testing.assert_close(level.relative(features_BTF, counted_B2T), expected)


def test_silence_is_just_above_the_floor() -> None:
    """Which it must be, and yet below the quietest frame with a bit of noise in it."""
    assert math.log(FLOOR) < level.SILENCE < math.log(1.1 * FLOOR)


def test_silent_frames_have_no_level_and_end_at_the_depth() -> None:
    floor = math.log(FLOOR)
    features_BTF = torch.full((1, 6, 4), floor)
    features_BTF[0, 2:4] = -6.0
    counted_B2T = F.pad(level.level_of(features_BTF, torch.ones(1, 6, dtype=torch.bool)), (5, 5))
    found_BTF = level.relative(features_BTF, counted_B2T)
    assert (found_BTF[0, 2:4] == 0).all()
    assert (found_BTF[0, :2] == floor + 6.0).all()
    features_BTF[0, 2:4] = 3.0
    counted_B2T = F.pad(level.level_of(features_BTF, torch.ones(1, 6, dtype=torch.bool)), (5, 5))
    assert (level.relative(features_BTF, counted_B2T)[0, :2] == -level.DEPTH).all()


def test_the_floor_below_the_peak_by_hand() -> None:
    """Whisper's: 2 below the greatest of each utterance's own frames, whatever its padding and the others hold."""
    features_BTF = torch.tensor([[[1.0, -2.0], [0.5, -0.5], [9.0, 9.0]], [[-0.5, -3.0], [-4.0, 0.0], [0.2, 0.1]]])
    mask_BT = torch.tensor([[True, True, False], [True, True, True]])
    expected = torch.tensor([[[1.0, -1.0], [0.5, -0.5]], [[-0.5, -1.8], [-1.8, 0.0]]])
    found_BTF = level.below_peak(features_BTF, mask_BT, 2.0, None)
    torch.testing.assert_close(found_BTF[:, :2], expected)
    moved_BTF = level.below_peak(features_BTF, mask_BT, 2.0, 1.2)
    torch.testing.assert_close(moved_BTF[0, :2], expected[0] + 0.2)
    torch.testing.assert_close(moved_BTF[1, :2], expected[1] + 1.0)


def test_with_a_peak_a_gain_changes_nothing_and_no_receptive_field_is_known() -> None:
    model, (features_BTF, lengths_B) = make_model("cnn"), make_features()
    assert model.receptive_field() is not None
    relative = {"level_frames": 0, "dynamic_range": 2.0, "peak": 1.0}
    model.settings = model.settings.model_copy(update=relative)
    with torch.no_grad():
        before, after = model(features_BTF, lengths_B)[0], model(features_BTF + 0.7, lengths_B)[0]
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    assert model.receptive_field() is None, "the peak may lie anywhere"


def test_a_peak_without_a_floor_is_refused() -> None:
    given = make_model("cnn").settings.model_dump()
    with pytest.raises(ValueError, match="peak 1 without dynamic_range: give both, or neither"):
        ModelSettings.model_validate({**given, "peak": 1.0})


@every_case
def test_audio_of_another_gain_gives_the_same(name: str, problem: str) -> None:
    """Through the front end: 20 dB quieter and 10 dB louder, with a quiet room at both ends."""
    settings = FrontEndSettings(num_mels=NUM_FEATURES)
    model, generator = make_model(name, problem), torch.Generator().manual_seed(1)
    waveform_BN = 0.02 * torch.randn(1, 12_000, generator=generator)
    waveform_BN[:, 2000:10_000] += 0.2 * torch.randn(1, 8000, generator=generator)
    with torch.no_grad():
        outputs = [
            model(*KaldiFbank(settings)(gain * waveform_BN, torch.tensor([12_000])))[0] for gain in (1.0, 0.1, 3.16)
        ]
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], atol=2e-3, rtol=1e-3)


def test_a_causal_models_window_lies_before_it() -> None:
    base = {"problem": "transcription", "num_features": 16, "num_outputs": 5, "level_frames": 301}
    encoder = {"family": "cnn", "stem": 4, "width": 4, "layers": 1, "hidden": 4}
    centred = ModelSettings.model_validate({**base, "encoder": encoder})
    causal = ModelSettings.model_validate({**base, "encoder": {**encoder, "causal": True}})
    assert (centred.level_sides, causal.level_sides) == ((150, 150), (300, 0))


def test_a_model_made_before_has_no_level() -> None:
    base = {"problem": "transcription", "num_features": 16, "num_outputs": 5}
    encoder = {"family": "cnn", "stem": 4, "width": 4, "layers": 1, "hidden": 4}
    assert ModelSettings.model_validate({**base, "encoder": encoder}).level_frames == 0


def test_samples_of_mean_zero_and_variance_one_by_hand() -> None:
    """0, 2 and 4 have the mean 2 and the variance 8 / 3; padding and silence count for nothing, and stay finite."""
    samples_BN1 = torch.tensor([[[0.0], [2.0], [4.0], [99.0]], [[0.1]] * 4])
    mask_BN = torch.tensor([[True, True, True, False], [True] * 4])
    found_BN1 = level.normalised(samples_BN1, mask_BN)
    torch.testing.assert_close(found_BN1[0, :3, 0], torch.tensor([-2.0, 0.0, 2.0]) / math.sqrt(8 / 3))
    assert found_BN1[1].abs().max() < 1e-3
