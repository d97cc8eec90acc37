"""Files of tiny models, in float32 and in fewer bits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exportable import checkpoint_of

from tasks.onnx.onnx_files import write_onnx
from tasks.onnx.onnx_module import TRACED_FRAMES, Exported, metadata
from tasks.onnx.quantise.convert import Quantiser, write_half


@dataclass(frozen=True)
class Files:
    """Where the file of an encoder in a form lies; it is made when it is first asked for, and not to be changed."""

    make: Callable[[str, str, bool], Path]

    def __call__(self, encoder: str, form: str = "float32", frontend_included: bool = False) -> Path:
        return self.make(encoder, form, frontend_included)


def problem_of(encoder: str) -> str:
    return "keyword" if encoder == "patch_cnn" else "transcription"


def module_of(encoder: str, frontend_included: bool = False) -> Exported:
    return Exported(checkpoint_of(encoder, problem_of(encoder)), frontend_included)


def exported(folder: Path, encoder: str, frontend_included: bool = False) -> tuple[Path, Exported]:
    """folder/model.onnx as the stage export writes it, and the module that it was made from."""
    checkpoint = checkpoint_of(encoder, problem_of(encoder))
    module, file = Exported(checkpoint, frontend_included), folder / "model.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    properties = metadata(checkpoint, frontend_included)
    write_onnx(file, module, module.batch(TRACED_FRAMES, seed=0), module.inputs(), module.outputs(), properties)
    return file, module


def feed(module: Exported, frames: tuple[int, ...], seed: int) -> dict[str, Any]:
    """A batch of utterances of so many frames, for a session."""
    x, lengths_B = module.batch(frames, seed)
    return dict(zip(module.inputs(), (x.numpy(), lengths_B.numpy()), strict=True))


def write(folder: Path, encoder: str, form: str, frontend_included: bool = False) -> Path:
    """The form of folder/model.onnx, calibrated on four utterances."""
    target = folder / f"{form}.onnx"
    if form == "float16":
        write_half(folder / "model.onnx", target)
        return target
    module = module_of(encoder, frontend_included)
    feeds = [feed(module, (frames,), seed) for seed, frames in enumerate((30, 75, 120, 50))]
    with Quantiser(folder / "model.onnx", feeds) as quantiser:
        quantiser.write(form, target, quantiser.layers(form))
    return target
