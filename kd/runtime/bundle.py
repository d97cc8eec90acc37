"""An export folder as it is run: what export.json says, the tokens, and the ONNX file of one form."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import onnxruntime

from kd.runtime.errors import RefusedError
from kd.runtime.frontend import FrontEnd

FORMS = {"float32": "model.onnx", "float16": "model.fp16.onnx", "int8": "model.int8.onnx"}
STREAMING = "streaming.onnx"
FORMAT = 1
KEYS = ("problem", "frontend_included", "frontend", "subsampling", "block_frames", "reach_frames")


@dataclass(frozen=True)
class Bundle:
    """What all forms of an export share.

    subsampling: feature frames for an output frame. block_frames: output frames that depend on one another and must
    not be cut apart. reach_frames: feature frames that an output frame hears before and after its
    own, None where it hears all.
    """

    folder: Path
    problem: str
    frontend_included: bool
    frontend: FrontEnd
    subsampling: int
    block_frames: int
    reach_frames: tuple[int, int] | None
    tokens: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises RefusedError where the folder is no export of this version."""
        file = folder / "export.json"
        if not file.is_file():
            raise RefusedError(
                f"{folder} is no exported model: {file.name} is missing. Name a folder such as exports/teacher"
            )
        description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        missing = [key for key in KEYS if key not in description]
        if description.get("format") != FORMAT or missing:
            raise RefusedError(
                f"{file} has format {description.get('format')} and lacks {', '.join(missing) or 'nothing'}; "
                f"format {FORMAT} with {', '.join(KEYS)} is read. Export the model again"
            )
        known = {field.name: description["frontend"][field.name] for field in fields(FrontEnd)}
        reach = description["reach_frames"]
        return cls(
            folder,
            description["problem"],
            description["frontend_included"],
            FrontEnd(**known),
            description["subsampling"],
            description["block_frames"],
            None if reach is None else (reach[0], reach[1]),
            read_tokens(folder / "tokens.txt"),
        )

    @property
    def step_s(self) -> float:
        """Seconds from one output frame to the next."""
        return self.subsampling * self.frontend.shift / self.frontend.sample_rate_hz

    def session(self, file: str, threads: int) -> onnxruntime.InferenceSession:
        """One of the folder's ONNX files on the CPU. Raises RefusedError where it is not there."""
        path = self.folder / file
        if not path.is_file():
            there = ", ".join(sorted(found.name for found in self.folder.glob("*.onnx"))) or "no ONNX file"
            raise RefusedError(f"{path} is missing; the folder holds {there}. Choose another form, or export it")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def read_tokens(file: Path) -> tuple[str, ...]:
    """Tokens in the order of their indices, from lines of `token index`."""
    if not file.is_file():
        raise RefusedError(f"{file} is missing: it stands beside the ONNX file of every export")
    rows = [line.rsplit(" ", 1) for line in file.read_text(encoding="utf-8").splitlines()]
    if any(len(row) != 2 or row[1] != str(i) for i, row in enumerate(rows)):
        raise RefusedError(f"{file} does not list `token index` in order from 0 on: export the model again")
    return tuple(token for token, _ in rows)
