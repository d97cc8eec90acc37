"""Parameters of the exported files: which forms of a model are made, and how."""

from collections.abc import Collection
from typing import Literal, Self

from pydantic import Field, model_validator

from kd.config.base import Strict

Form = Literal["float32", "float16", "int8_dynamic", "int8_static"]


class ExportParams(Strict):
    """Which forms of a model are written, and how."""

    frontend_included: bool = Field(False, description="true: the ONNX file takes audio; false: log-mel features")
    audio_file: bool = Field(
        False, description="true: also audio.onnx, samples in and front end inside, as sherpa-onnx's omnilingual type"
    )
    forms: tuple[Form, ...] = Field(
        ("float32", "float16", "int8_dynamic", "int8_static"), description="float32 is what the others are held against"
    )
    calibration_utterances: int = Field(
        64, ge=1, description="validation utterances that fix the ranges of int8_static"
    )
    mixed: bool = Field(True, description="where every 8-bit form is refused: try with sensitive layers in float")

    transformers_folder: bool = Field(
        False,
        description="true: models of the family wav2vec2 also as transformers/, which its from_pretrained reads, where "
        "its config can express their shape",
    )

    @property
    def _unused(self) -> Collection[str]:
        return [key for key in ("audio_file", "transformers_folder") if not getattr(self, key)]

    @model_validator(mode="after")
    def _forms_fit(self) -> Self:
        if "float32" not in self.forms:
            raise ValueError(
                "forms lacks float32, from which the others are made and against which they are held: add it"
            )
        if len(set(self.forms)) < len(self.forms):
            raise ValueError(f"forms names one twice ({', '.join(self.forms)}): write it once")
        return self


def smaller_forms(export: ExportParams) -> tuple[Form, ...]:
    """The forms that are made from float32. A function, so that the digest of who calls it counts this module."""
    return tuple(form for form in export.forms if form != "float32")
