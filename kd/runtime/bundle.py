"""An export folder as it is run: what export.json says, the tokens, and the ONNX file of one form."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import onnxruntime

from kd.runtime.description import Description
from kd.runtime.errors import RefusedError
from kd.runtime.files import check_whole, read_text
from kd.runtime.frontend import FrontEndSettings
from kd.runtime.session import open_session

FORMS = {"float32": "model.onnx", "float16": "model.fp16.onnx", "int8": "model.int8.onnx"}
STREAMING = "streaming.onnx"
TOKENS = "tokens.txt"


@dataclass(frozen=True)
class Bundle:
    """What all forms of an export share.

    subsampling: feature frames for an output frame. block_frames: output frames that depend on one another and must
    not be cut apart. receptive_field_frames: feature frames that an output frame depends on before and after its
    own, None where it depends on all. digests: SHA-256 of the folder's files, as far as they are known.
    """

    folder: Path
    problem: str
    frontend_included: bool
    frontend: FrontEndSettings
    subsampling: int
    block_frames: int
    receptive_field_frames: tuple[int, int] | None
    tokens: tuple[str, ...]
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises RefusedError where the folder is no whole export of this version."""
        file = folder / "export.json"
        if not file.is_file():
            raise RefusedError(
                f"{folder} is no exported model: {file.name} is missing. Name a folder such as exports/teacher"
            )
        found = Description.read(file)
        if (folder / TOKENS).is_file():
            check_whole(folder / TOKENS, found.digests.get(TOKENS))
        return cls(
            folder,
            found.problem,
            found.frontend_included,
            found.frontend,
            found.subsampling,
            found.block_frames,
            found.receptive_field_frames,
            read_tokens(folder / TOKENS),
            found.digests,
        )

    @property
    def step_s(self) -> float:
        """Seconds from one output frame to the next."""
        return self.subsampling * self.frontend.shift / self.frontend.sample_rate_hz

    def session(self, file: str, threads: int) -> onnxruntime.InferenceSession:
        """One of the folder's ONNX files on the CPU. Raises RefusedError where it is not there, or not as written."""
        path = self.folder / file
        if not path.is_file():
            there = ", ".join(sorted(found.name for found in self.folder.glob("*.onnx"))) or "no ONNX file"
            raise RefusedError(f"{path} is missing; the folder holds {there}. Choose another form, or export it")
        check_whole(path, self.digests.get(file))
        try:
            session = open_session(path, threads)
        except Exception as error:  # ONNX Runtime has a class for each kind, and none for all
            raise RefusedError(
                f"{path} is no ONNX file that ONNX Runtime {onnxruntime.__version__} opens: "
                f"{str(error).strip().splitlines()[0][:160]}. Copy it again, or export the model"
            ) from None
        units = session.get_outputs()[0].shape[-1]
        if isinstance(units, int) and units != len(self.tokens):
            raise RefusedError(
                f"{path} gives {units} units where {TOKENS} has {len(self.tokens)} tokens: they are of two exports. "
                "Copy the whole folder again"
            )
        return session


def read_tokens(file: Path) -> tuple[str, ...]:
    """Tokens in the order of their indices, from lines of `token index`."""
    rows = [
        line.removesuffix("\r").rsplit(" ", 1)
        for line in read_text(file, "the table of an export's tokens").split("\n")
    ]
    rows = rows[:-1] if rows[-1] == [""] else rows
    if not rows or any(len(row) != 2 or row[1] != str(i) for i, row in enumerate(rows)):
        raise RefusedError(f"{file} does not list `token index` in order from 0 on: export the model again")
    return tuple(token for token, _ in rows)
