"""ONNX models of each of sherpa-onnx's types, of random weights, against sherpa-onnx itself on the same files.

Their tokens follow from every feature of a frame, so that equal transcripts mean equal features.
"""

from pathlib import Path

import onnx
import pytest
import sherpa_onnx
from clips import make_clip
from jiwer import cer
from tiny_export import export_tiny
from tiny_onnx_ctc import METADATA, make_onnx_ctc, speech_like

from tasks.params.teachers import OnnxTeacher
from tasks.runner.reporter import NullReporter
from tasks.teachers.transcribers import Clip
from tasks.teachers.transcribers.onnx import OnnxTranscriber

RATE_HZ = 16_000
RECOGNISERS = {
    "zipformer_ctc": sherpa_onnx.OfflineRecognizer.from_zipformer_ctc,
    "wenet_ctc": sherpa_onnx.OfflineRecognizer.from_wenet_ctc,
    "nemo_ctc": sherpa_onnx.OfflineRecognizer.from_nemo_ctc,
    "omnilingual": sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc,
}
DITHERED = 0.01
"""Errors a character: sherpa-onnx adds dither for WeNet, another each time, which tips a frame of equal tokens."""


def clips() -> list[Clip]:
    return [make_clip(f"{seed}", speech_like(1.0 + 0.375 * seed, seed)) for seed in range(6)]


def transcriber(folder: Path) -> OnnxTranscriber:
    return OnnxTranscriber(OnnxTeacher(source="onnx", path=folder), Path())


def transcripts(found: OnnxTranscriber) -> dict[str, str]:
    return {name: output.texts[0][0] for name, output in found.transcribe(clips(), NullReporter())}


@pytest.mark.parametrize("kind", METADATA)
def test_each_type_says_what_sherpa_says(kind: str, tmp_path: Path) -> None:
    make_onnx_ctc(tmp_path, kind)
    files = {name: str(tmp_path / f"{name}.{end}") for name, end in (("model", "onnx"), ("tokens", "txt"))}
    sherpa = RECOGNISERS[kind](**files, num_threads=1)
    theirs = {}
    for clip in clips():
        stream = sherpa.create_stream()
        stream.accept_waveform(RATE_HZ, clip.waveform_N)
        sherpa.decode_stream(stream)
        theirs[clip.id] = " ".join(stream.result.text.split())
    ours = transcripts(transcriber(tmp_path))
    assert ours.keys() == theirs.keys()
    assert cer(list(theirs.values()), list(ours.values())) <= (DITHERED if kind == "wenet_ctc" else 0)
    assert len(set("".join(theirs.values()))) > 20


def test_nemos_without_normalisation_says_what_sherpa_says(tmp_path: Path) -> None:
    make_onnx_ctc(tmp_path, "nemo_ctc", metadata={**METADATA["nemo_ctc"], "normalize_type": "NA"})
    sherpa = RECOGNISERS["nemo_ctc"](model=str(tmp_path / "model.onnx"), tokens=str(tmp_path / "tokens.txt"))
    clip = clips()[3]
    stream = sherpa.create_stream()
    stream.accept_waveform(RATE_HZ, clip.waveform_N)
    sherpa.decode_stream(stream)
    assert transcripts(transcriber(tmp_path))[clip.id] == " ".join(stream.result.text.split())


def test_it_is_sure_to_some_degree_and_known_by_its_files(tmp_path: Path) -> None:
    found = transcriber(make_onnx_ctc(tmp_path, "omnilingual"))
    outputs = dict(found.transcribe(clips()[:2], NullReporter()))
    assert all(0 < (output.confidence or 0) < 1 for output in outputs.values())
    first = found.identity
    assert transcriber(tmp_path).identity == first
    (tmp_path / "tokens.txt").write_text(
        (tmp_path / "tokens.txt").read_text(encoding="utf-8").replace("ing", "ung"), encoding="utf-8"
    )
    assert transcriber(tmp_path).identity != first


def test_it_is_known_by_weights_and_the_description_beside_it_too(tmp_path: Path) -> None:
    file = export_tiny(tmp_path) / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    for beside in ("weights.bin", "export.json"):
        first = transcriber(file.parent).identity
        assert transcriber(file.parent).identity == first
        whole = (file.parent / beside).read_bytes()
        (file.parent / beside).write_bytes(whole + b"\n")
        assert transcriber(file.parent).identity != first
