"""Files of a pre-trained model: from the hub or a folder, as safetensors, torch's (weights only) or CTranslate2's."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

T = TypeVar("T")
Tensors = Mapping[str, Tensor]

CTRANSLATE2_TYPES: dict[int, Any] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
"""By their number in model.bin; 5 is bfloat16, which numpy has not."""
BFLOAT16 = 5
OF_WAV2VEC2 = ("vocab.json", "preprocessor_config.json")
SAFETENSORS = ("config.json", *OF_WAV2VEC2, "model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
PICKLED = ("config.json", *OF_WAV2VEC2, "pytorch_model.bin")
"""What is taken of a model of the hub: the second where it has none of the first's weights."""


def download_snapshot(name: str, revision: str | None = None) -> Path:
    """The folder of a model of the Hugging Face hub, such as openai/whisper-small, kept in the hub's own cache.

    revision: a branch, tag or commit; None: the newest. Raises ValueError where it can neither be downloaded nor found.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(SAFETENSORS)))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(PICKLED)))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"{name} cannot be downloaded: {reason}. Stages work offline: set HF_HUB_OFFLINE=0 for this run, or give "
            "its folder as path"
        ) from None
    if not any(folder.glob("*.safetensors")) and not (folder / "pytorch_model.bin").is_file():
        raise ValueError(f"{name} has neither model.safetensors nor pytorch_model.bin on the hub: name another model")
    return folder


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises ValueError, which names the file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is no JSON: {error}. Copy it again") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds a {type(found).__name__}, expected an object. Copy it again")
    return found


def required(values: Mapping[str, Any], key: str, kind: type[T], place: Path) -> T:
    """The value of a key. Raises ValueError, which names place and key, where it is missing or of another type."""
    if key not in values:
        raise ValueError(f"{place} lacks {key}: it is of another model, or was cut short. Copy it again")
    value = values[key]
    if not isinstance(value, kind):
        raise ValueError(f"{place}: {key} is a {type(value).__name__}, expected {kind.__name__}: copy it again")
    return value


def read_safetensors(folder: Path) -> dict[str, Tensor]:
    """model.safetensors, or all parts that its index names. Raises ValueError where one is damaged."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        names = sorted(set(required(read_json(index), "weight_map", dict, index).values()))
    tensors: dict[str, Tensor] = {}
    for name in names:
        try:
            tensors |= load_file(folder / name)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{folder / name} cannot be read: {error}. Copy it again") from None
    return tensors


def read_folder(folder: Path) -> dict[str, Any]:
    """The tensors of a folder of transformers. Raises ValueError where it holds none, or one is damaged."""
    if (folder / "model.safetensors").is_file() or (folder / "model.safetensors.index.json").is_file():
        return read_safetensors(folder)
    if (folder / "pytorch_model.bin").is_file():
        return read_torch(folder / "pytorch_model.bin")
    raise ValueError(f"{folder} holds neither model.safetensors nor pytorch_model.bin: copy the weights there")


def read_torch(file: Path) -> dict[str, Any]:
    """What torch.save wrote, weights only: a file that would run code is refused. Raises ValueError."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{file} holds more than weights, or is damaged: {reason}. Save it as model.safetensors"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds a {type(found).__name__}, and no weights by name: give a state_dict")
    return found


def read_ctranslate2(file: Path) -> tuple[str, dict[str, Tensor]]:
    """Name of the model's kind (`WhisperSpec`) and tensors of a model.bin, float16 and float32. Raises ValueError."""
    with file.open("rb") as source:
        try:
            if (version := _number(source, "<I")) < 2:
                raise ValueError(f"version {version} of its format, expected 2 or later")
            kind, _revision = _text(source), _number(source, "<I")
            tensors = dict(_tensor(source) for _ in range(_number(source, "<I")))
            aliases = {_text(source): _text(source) for _ in range(_number(source, "<I"))} if version >= 3 else {}
            return kind, {**tensors, **{alias: tensors[name] for alias, name in aliases.items()}}
        except (EOFError, KeyError, ValueError) as error:
            raise ValueError(f"{file} is no whole model.bin of CTranslate2 ({error}): copy it again") from None


def _bytes(source: BinaryIO, count: int) -> bytes:
    found = source.read(count)
    if len(found) < count:
        raise EOFError(f"it ends {count - len(found)} bytes too early")
    return found


def _number(source: BinaryIO, layout: str) -> int:
    return int(struct.unpack(layout, _bytes(source, struct.calcsize(layout)))[0])


def _text(source: BinaryIO) -> str:
    return _bytes(source, _number(source, "<H")).rstrip(b"\0").decode()


def _tensor(source: BinaryIO) -> tuple[str, Tensor]:
    name, rank = _text(source), _number(source, "<B")
    shape, kind = [_number(source, "<I") for _ in range(rank)], _number(source, "<B")
    content = _bytes(source, _number(source, "<I"))
    if kind == BFLOAT16:
        return name, torch.frombuffer(bytearray(content), dtype=torch.bfloat16).reshape(shape)
    if kind not in CTRANSLATE2_TYPES:
        raise ValueError(f"{name} has the unknown type {kind}")
    return name, torch.from_numpy(np.frombuffer(content, CTRANSLATE2_TYPES[kind]).reshape(shape).copy())
