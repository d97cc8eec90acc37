"""Which of sherpa-onnx's types an ONNX file is, by its metadata, inputs and outputs; what it is not is refused.

Legend: N utterances, S samples, T feature frames, F features, T' frames of the model, W tokens.

    zipformer_ctc, wenet_ctc    x [N, T, F], lengths [N]    ->  log_probs [N, T', W], lengths [N]
    nemo_ctc                    x [N, F, T], lengths [N]    ->  log_probs [N, T', W]
    omnilingual                 samples [N, S]              ->  logits [N, T', W]
    kd, an export of ours       as its export.json says: features as zipformer_ctc's, or samples [N, S], lengths [N]
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from pydantic import ValidationError

from kd.config.frontend import FrontEndSettings
from kd.runtime.description import Description
from kd.runtime.session import open_session

KD = "kd"
DESCRIPTION = "export.json"
MODEL_TYPES = {
    "zipformer2_ctc": "zipformer_ctc",
    "wenet_ctc": "wenet_ctc",
    "EncDecCTCModel": "nemo_ctc",
    "EncDecCTCModelBPE": "nemo_ctc",
    "EncDecHybridRNNTCTCBPEModel": "nemo_ctc",
}
"""The metadata's model_type to sherpa-onnx's type; omnilingual models have none."""
RANKS = {"zipformer_ctc": (3, 1), "wenet_ctc": (3, 1), "nemo_ctc": (3, 1), "omnilingual": (2,)}
FEATURE_AXIS = {"zipformer_ctc": 2, "wenet_ctc": 2, "nemo_ctc": 1}
NEMOS = ("subsampling_factor", "normalize_type")
"""Metadata without which features and lengths of NeMo's are not known."""
USUAL_MELS, USUAL_RATE_HZ = 80, 16_000


@dataclass(frozen=True)
class Signature:
    """type: one of sherpa-onnx's, or kd; metadata: of the file; frontend: of features that are Kaldi's or Whisper's.

    frontend is None where the model takes samples, or NeMo's features, of which num_mels says how many.
    """

    type: str
    sample_rate_hz: int
    num_mels: int
    metadata: dict[str, str]
    frontend: FrontEndSettings | None


def open_model(file: Path) -> onnxruntime.InferenceSession:
    """Raises ValueError, in one line, where there is no such file, or ONNX Runtime does not open it."""
    if not file.is_file():
        there = ", ".join(sorted(found.name for found in file.parent.glob("*.onnx"))) or "no ONNX file"
        raise ValueError(f"{file}: no such file; its folder holds {there}: name one as model")
    try:
        return open_session(file, torch.get_num_threads())
    except Exception as error:  # ONNX Runtime has a class for each kind, and none for all
        raise ValueError(
            f"{file} is no ONNX file that ONNX Runtime {onnxruntime.__version__} opens: {first_line(error)}. Copy it "
            "again, with the files of weights beside it"
        ) from None


def first_line(error: Exception) -> str:
    """The first line of what ONNX Runtime says, of at most 200 characters."""
    return str(error).strip().split("\n")[0][:200]


def read_signature(file: Path, session: onnxruntime.InferenceSession, given: str | None, num_tokens: int) -> Signature:
    """given: the type that the user names. Raises ValueError, in one line, for what is no CTC model of these types."""
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    kind = _type(file, session, given, metadata)
    if kind == KD:
        return _of_ours(file, session, metadata, num_tokens)
    _require_inputs(file, session, kind, RANKS[kind])
    _require_ctc(file, session, num_tokens)
    rate_hz, num_mels = _rate(file, metadata), _num_mels(session, kind)
    if kind == "nemo_ctc":
        _require_nemo(file, metadata)
    kaldi = _kaldi(file, rate_hz, num_mels) if kind in ("zipformer_ctc", "wenet_ctc") else None
    return Signature(kind, rate_hz, num_mels, metadata, kaldi)


def _of_ours(file: Path, session: onnxruntime.InferenceSession, metadata: dict[str, str], num_tokens: int) -> Signature:
    """By the export.json beside it."""
    description = Description.read(file.with_name(DESCRIPTION))
    if description.problem != "transcription":
        raise ValueError(f"{file} recognises {description.problem}s and has no CTC: name a model that transcribes")
    _require_inputs(file, session, KD, (2, 1) if description.frontend_included else (3, 1))
    _require_ctc(file, session, num_tokens)
    found = description.frontend
    frontend = None if description.frontend_included else FrontEndSettings(**vars(found))
    return Signature(KD, found.sample_rate_hz, found.num_mels, metadata, frontend)


def _kaldi(file: Path, rate_hz: int, num_mels: int) -> FrontEndSettings:
    try:
        return FrontEndSettings(sample_rate_hz=rate_hz, num_mels=num_mels)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(
            f"{file} takes {num_mels} features a frame at {rate_hz} Hz, which are no mel filters: {why}. Give a "
            "model of mel filters"
        ) from None


def _type(file: Path, session: onnxruntime.InferenceSession, given: str | None, metadata: dict[str, str]) -> str:
    told = metadata.get("model_type")
    known = MODEL_TYPES.get(told or "")
    if given is not None:
        if known not in (None, given):
            raise ValueError(f"{file}: type is {given}, but its model_type {told} is {known}: remove type")
        return given
    inputs = session.get_inputs()
    if len(inputs) == 1 and len(inputs[0].shape) == 2:
        return "omnilingual"
    if file.with_name(DESCRIPTION).is_file() and (told or "").startswith((KD, "zipformer2_ctc")):
        return KD
    if known is not None:
        return known
    if (told or "").startswith(KD):
        raise ValueError(
            f"{file}: {DESCRIPTION} is missing beside it, which says what this export takes: copy its whole folder"
        )
    types = ", ".join(RANKS)
    raise ValueError(
        f"{file}: its metadata has {'no model_type' if told is None else f'model_type {told}'}, and it takes "
        f"{_listed(inputs)}: where it is a CTC model of one of them, set type: {types}"
    )


def _require_inputs(file: Path, session: onnxruntime.InferenceSession, kind: str, ranks: tuple[int, ...]) -> None:
    inputs = session.get_inputs()
    if tuple(len(one.shape) for one in inputs) == ranks:
        return
    expected = {(2,): "samples [N, S]", (2, 1): "audio [N, S] and its lengths [N]"}
    features = "x [N, F, T] and its lengths [N]" if kind == "nemo_ctc" else "x [N, T, F] and its lengths [N]"
    raise ValueError(
        f"{file} takes {_listed(inputs)}, where {kind} takes {expected.get(ranks, features)}: a streaming model, or "
        "one that is no CTC encoder, cannot teach: name another, or set its type"
    )


def _require_ctc(file: Path, session: onnxruntime.InferenceSession, num_tokens: int) -> None:
    first = session.get_outputs()[0]
    if len(first.shape) != 3:
        raise ValueError(
            f"{file} gives {_listed([first])}, where a CTC model gives log_probs [N, T', {num_tokens}]: name a model "
            "with a CTC output"
        )
    units = first.shape[2]
    if isinstance(units, int) and units != num_tokens:
        raise units_error(file, units, num_tokens)


def units_error(file: Path, units: int, num_tokens: int) -> ValueError:
    """Of a file that gives another number of outputs than there are tokens."""
    return ValueError(
        f"{file} gives {units} outputs a frame, but its table has {num_tokens} tokens: name the tokens.txt of this "
        "model; an encoder of a transducer, which gives hidden states, has no CTC"
    )


def _require_nemo(file: Path, metadata: dict[str, str]) -> None:
    if missing := [key for key in NEMOS if key not in metadata]:
        raise ValueError(
            f"{file}: its metadata lacks {', '.join(missing)}, which nemo_ctc needs: add it as sherpa-onnx's "
            "scripts/nemo do, or take an export that has it"
        )
    if metadata.get("is_giga_am", "0") not in ("", "0"):
        raise ValueError(f"{file} is GigaAM's, whose features are not computed here: use source: command with its own")
    if metadata["normalize_type"] not in ("", "NA", "per_feature"):
        raise ValueError(
            f"{file}: normalize_type is {metadata['normalize_type']}, where per_feature or none are computed, as "
            "sherpa-onnx does: use source: command with NeMo itself"
        )
    if not metadata["subsampling_factor"].isdigit() or int(metadata["subsampling_factor"]) < 1:
        raise ValueError(f"{file}: subsampling_factor is {metadata['subsampling_factor']}: set 4, 8 or such")


def _rate(file: Path, metadata: dict[str, str]) -> int:
    told = metadata.get("sample_rate_hz") or metadata.get("sample_rate") or str(USUAL_RATE_HZ)
    if not told.isdigit() or not 4_000 <= int(told) <= 768_000:
        raise ValueError(f"{file}: its metadata has sample rate {told}: set Hz, such as {USUAL_RATE_HZ}")
    return int(told)


def _num_mels(session: onnxruntime.InferenceSession, kind: str) -> int:
    size = session.get_inputs()[0].shape[FEATURE_AXIS[kind]] if kind in FEATURE_AXIS else None
    return size if isinstance(size, int) else USUAL_MELS


def _listed(values: list[Any]) -> str:
    shown = ", ".join(f"{one.name} {list(one.shape)}".replace("'", "") for one in values[:3])
    return shown if len(values) <= 3 else f"{shown} and {len(values) - 3} more"
