"""The numpy front end against kd.audio.frontend, whole and in pieces."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.runtime.frontend import FrontEndSettings as RuntimeSettings
from kd.runtime.frontend import LogMel, Samples

SHAPES = {
    "sherpa": FrontEndSettings(),
    "telephone": FrontEndSettings(sample_rate_hz=8_000, num_mels=32, high_freq_hz=0.0),
    "odd rate": FrontEndSettings(sample_rate_hz=11_025, num_mels=40, frame_length_ms=32.0, frame_shift_ms=12.5),
    "long shift": FrontEndSettings(frame_length_ms=25.0, frame_shift_ms=25.0, high_freq_hz=7_000.0),
    "whisper": FrontEndSettings(kind="whisper"),
    "whisper large-v3": FrontEndSettings(kind="whisper", num_mels=128),
    "waveform": FrontEndSettings(kind="waveform"),
}


def front(settings: FrontEndSettings) -> RuntimeSettings:
    return RuntimeSettings(**{field.name: getattr(settings, field.name) for field in fields(RuntimeSettings)})


def sound(num_samples: int, seed: int = 0) -> Samples:
    """Noise that swells and fades over 40 dB, with a hum and an offset."""
    rng, time = np.random.default_rng([seed, num_samples]), np.arange(num_samples)
    noise = np.convolve(rng.standard_normal(num_samples + 3), [0.5, 0.3, -0.2, 0.1])[3 : num_samples + 3]
    loudness = 0.1 * 10.0 ** (-1 + np.sin(time / 700.0))
    return (noise * loudness + 0.02 * np.sin(time / 40.0) + 0.001).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_samples", [0, 1, 60, 80, 119, 120, 121, 199, 200, 241, 400, 561, 4_000, 40_037])
def test_equals_the_torch_front_end(shape: str, num_samples: int) -> None:
    samples_N = sound(num_samples)
    found_TF = LogMel(front(SHAPES[shape])).push(samples_N, last=True)
    if num_samples == 0:
        assert found_TF.shape == (0, SHAPES[shape].num_mels)
        return
    expected_BTF, lengths_B = make_front_end(SHAPES[shape])(
        torch.from_numpy(samples_N)[None], torch.tensor([num_samples])
    )
    assert len(found_TF) == int(lengths_B)
    np.testing.assert_allclose(found_TF, expected_BTF[0, : int(lengths_B)].numpy(), atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from(list(SHAPES)),
    pieces=st.lists(st.integers(0, 700), min_size=1, max_size=9),
    ended=st.booleans(),
)
def test_pieces_give_the_same_as_the_whole(shape: str, pieces: list[int], ended: bool) -> None:
    samples_N = sound(sum(pieces))
    stream, first, found = LogMel(front(SHAPES[shape])), 0, []
    for i, size in enumerate(pieces):
        at_end = ended and i == len(pieces) - 1
        found.append(stream.push(samples_N[first : first + size], last=at_end))
        first += size
    if not ended:
        found.append(stream.push(samples_N[:0], last=True))
    whole_TF = LogMel(front(SHAPES[shape])).push(samples_N, last=True)
    np.testing.assert_array_equal(np.concatenate(found), whole_TF)


def test_a_frame_comes_as_soon_as_its_window_is_full() -> None:
    stream = LogMel(front(FrontEndSettings()))
    samples_N = sound(16_000)
    assert len(stream.push(samples_N[:279])) == 0
    assert len(stream.push(samples_N[279:280])) == 1  # centred on 80, half a window of 200 behind
    assert len(stream.push(samples_N[280:440])) == 1
