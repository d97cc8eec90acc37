"""An export in the real sherpa-onnx, which runs on phones, boards and in browsers, against `kd transcribe`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx
from spoken_digits import RATE_HZ, Spoken, exported, strings

from kd.runtime.greedy import Greedy
from kd.runtime.recogniser import Recogniser
from kd.runtime.words import to_words

GRU = {"family": "rnn", "stem": 24, "width": 48, "layers": 2, "hidden": 40, "dropout": 0.0}


def ours(recogniser: Recogniser, spoken: Spoken) -> str:
    search = Greedy()
    search.push(recogniser.log_probs(spoken.samples_N))
    return " ".join(word.text for word in to_words(search.units(), recogniser.bundle.tokens, recogniser.bundle.step_s))


def theirs(recogniser: sherpa_onnx.OfflineRecognizer, spoken: Spoken) -> str:
    stream = recogniser.create_stream()
    stream.accept_waveform(RATE_HZ, spoken.samples_N)
    recogniser.decode_stream(stream)
    return " ".join(stream.result.text.split())


@dataclass(frozen=True)
class Transcripts:
    """150 strings of real recordings, of speakers in the training part and of one who was not."""

    said: list[str]
    ours: list[str]
    theirs: list[str]

    @property
    def share_right(self) -> float:
        return float(np.mean([said == text for said, text in zip(self.said, self.ours, strict=True)]))


def transcripts(folder: Path) -> Transcripts:
    sherpa = sherpa_onnx.OfflineRecognizer.from_zipformer_ctc(
        model=str(folder / "model.onnx"), tokens=str(folder / "tokens.txt"), num_threads=1
    )
    recogniser = Recogniser.load(folder)
    spoken = strings(150, (1, 6), seed=7, speakers=("jackson", "theo", "lucas"))
    return Transcripts(
        [one.text for one in spoken],
        [ours(recogniser, one) for one in spoken],
        [theirs(sherpa, one) for one in spoken],
    )


@pytest.mark.parametrize("export", ["digits_export", "causal_export"])
def test_sherpa_transcribes_the_same(export: str, request: pytest.FixtureRequest) -> None:
    found = transcripts(request.getfixturevalue(export))
    assert found.ours == found.theirs
    assert len(set(found.ours)) > 50
    assert found.share_right > 0.1


@pytest.mark.slow
def test_sherpa_transcribes_the_same_from_a_recurrent_model(tmp_path: Path) -> None:
    found = transcripts(exported(tmp_path, "gru", GRU, epochs=14))
    assert found.ours == found.theirs
    assert len(set(found.ours)) > 50
    assert found.share_right > 0.1
