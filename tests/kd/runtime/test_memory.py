"""Peak memory of the runtime is that of a chunk, however long the audio."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from benchmark import load_benchmark
from tiny_export import export_tiny

from kd.runtime import audio
from kd.runtime.audio_decoder import KEPT_SAMPLES, Recording
from kd.runtime.phrases import spell
from kd.runtime.recogniser import Recogniser
from kd.runtime.spotter import Spotter

RATE = 16_000


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Recogniser:
    return Recogniser.load(export_tiny(tmp_path_factory.mktemp("tiny")), chunk_s=5.0)


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def noise(seconds: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    return ((0.1 * rng.standard_normal(RATE)).astype(np.float32) for _ in range(seconds))


def test_recognition_holds_a_chunk(recogniser: Recogniser) -> None:
    def work(seconds: int) -> None:
        for _ in recogniser.stream(noise(seconds)):
            pass

    assert peak_bytes(lambda: work(120)) < 1.1 * peak_bytes(lambda: work(40))


def test_spotting_holds_a_chunk(recogniser: Recogniser) -> None:
    spotter = Spotter([spell("abc", recogniser.bundle.tokens)], recogniser.bundle.tokens)
    short, long = (
        peak_bytes(lambda seconds=seconds: spotter.through(recogniser.stream(noise(seconds)), -0.01))
        for seconds in (40, 120)
    )
    assert long < 1.1 * short


def test_decoding_holds_a_block(tmp_path: Path) -> None:
    """Stereo at 44.1 kHz, beyond what is decoded once: 16 MB of samples are kept at most, of 34 and 68."""
    peaks = []
    for blocks in (2, 4):
        file = tmp_path / f"{blocks}.wav"
        with soundfile.SoundFile(file, "w", 44_100, 2) as out:
            for _ in range(blocks):
                out.write(np.full((KEPT_SAMPLES // 2 + 100, 2), 1e-3, np.float32))

        def work(file: Path = file) -> None:
            for _ in audio.blocks(Recording.open(file), 44_100):
                pass

        peaks.append(peak_bytes(work))
    assert peaks[1] < 1.1 * peaks[0] < 1.1 * 2 * 4 * KEPT_SAMPLES


@pytest.mark.slow
def test_transcribing_twenty_minutes_of_stereo_takes_the_memory_of_two(tmp_path: Path) -> None:
    """The whole process at the prompt; 18 minutes more would be 190 MB in 16 bits."""
    long_recording, model = load_benchmark("long_recording"), export_tiny(tmp_path)
    found = [
        long_recording.transcribe(model, long_recording.record(tmp_path / "a.wav", minutes)) for minutes in (2, 20)
    ]
    assert found[1]["characters"] > 9 * found[0]["characters"] > 0
    assert found[1]["peak_mb"] < found[0]["peak_mb"] + 10
