"""How models are judged: confidence, the margin that still counts as not worse, conditions, what is timed."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from kd.config.base import Strict
from kd.config.conditions import Clipping, Condition, Level, Noise, Rate, Reverberation, Telephone
from tasks.params.canary import CanaryName, CanaryParams
from tasks.params.names import TABLES


class AbsoluteMargin(Strict):
    """A difference of error rates."""

    kind: Literal["absolute"]
    value: float = Field(ge=0, lt=1, description="difference of error rates; 0.01 is one point")

    def of(self, reference_error: float) -> float:
        """The greatest difference of error rates that counts as not worse."""
        return self.value


class RelativeMargin(Strict):
    """A share of the error rate compared with."""

    kind: Literal["relative"]
    value: float = Field(ge=0, description="share of the error rate compared with; 0.1 is a tenth more errors")

    def of(self, reference_error: float) -> float:
        """The greatest difference of error rates that counts as not worse than a model of this error rate."""
        return self.value * reference_error


Margin = Annotated[AbsoluteMargin | RelativeMargin, Field(discriminator="kind")]


class ExternalTable(Strict):
    """An external recogniser, by a table of its transcript of every test utterance: columns id and text."""

    source: Literal["table"]
    path: Path = Field(description="a .csv, .tsv, .jsonl or .parquet file in the folder external, which DVC watches")

    @field_validator("path")
    @classmethod
    def _lies_where_it_is_watched(cls, path: Path) -> Path:
        if path.parts[:1] == ("others",):
            raise ValueError(
                f"{path}: the folder others is renamed to 'external': move the table there, and say so here"
            )
        if path.parts[:1] != ("external",) or ".." in path.parts or path.suffix.lower() not in TABLES:
            raise ValueError(f"{path} is no .csv, .tsv, .jsonl or .parquet file in the folder external: put it there")
        return path


CONDITIONS: tuple[Condition, ...] = (
    Noise(kind="noise", snr_db=20),
    Noise(kind="noise", snr_db=10),
    Noise(kind="noise", snr_db=0),
    Reverberation(kind="reverberation"),
    Rate(kind="rate", factor=0.85),
    Rate(kind="rate", factor=1.15),
    Level(kind="level", gain_db=-20),
    Level(kind="level", gain_db=10),
    Clipping(kind="clipping", over_db=10),
    Telephone(kind="telephone"),
)


class EvaluationParams(Strict):
    """How models are judged, under which conditions they are tried, and what is timed."""

    confidence: float = Field(0.95, gt=0.5, lt=1, description="of each interval, and of all claims together")
    margin: Margin = Field(
        AbsoluteMargin(kind="absolute", value=0.01), description="how many more errors still count as not worse"
    )
    external: dict[str, ExternalTable] = Field({}, description="external recognisers to be judged in the same table")
    canary: dict[CanaryName, CanaryParams] = Field(
        {}, max_length=1, description="a general test set by its name, to see what was forgotten; {}: none"
    )
    conditions: tuple[Condition, ...] = Field(CONDITIONS, description="what every model is tried under; []: nothing")
    condition_utterances: int = Field(120, ge=1, description="test utterances, evenly spread, under each condition")
    condition_seed: int = Field(1, ge=0, description="of noise and echoes")
    timing_utterances: int = Field(40, ge=5, description="test utterances that are timed")
    timing_repeats: int = Field(3, ge=1, description="times that each of them is transcribed by each model")
    threads: int = Field(1, ge=1, description="of torch and ONNX Runtime in stages that train nothing")

    @property
    def _unused(self) -> Collection[str]:
        return [] if self.canary else ["canary"]

    @model_validator(mode="after")
    def _conditions_differ(self) -> Self:
        names = [condition.name for condition in self.conditions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"conditions holds {', '.join(twice)} more than once: remove one of each")
        return self
