"""How models are judged: confidence, the margin that still counts as not worse, what is timed."""

from typing import Annotated, Literal

from pydantic import Field

from kd.settings.base import Strict


class AbsoluteMargin(Strict):
    kind: Literal["absolute"]
    value: float = Field(ge=0, lt=1, description="difference of error rates; 0.01 is one point")

    def of(self, reference_error: float) -> float:
        """The greatest difference of error rates that counts as not worse."""
        return self.value


class RelativeMargin(Strict):
    kind: Literal["relative"]
    value: float = Field(ge=0, description="share of the error rate compared with; 0.1 is a tenth more errors")

    def of(self, reference_error: float) -> float:
        """The greatest difference of error rates that counts as not worse than a model of this error rate."""
        return self.value * reference_error


Margin = Annotated[AbsoluteMargin | RelativeMargin, Field(discriminator="kind")]


class EvaluationParams(Strict):
    batch_seconds: float = Field(120.0, gt=0)
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of each interval, and of all claims together")
    margin: Margin = AbsoluteMargin(kind="absolute", value=0.01)
    timing_utterances: int = Field(40, ge=5, description="test utterances that are timed")
    timing_repeats: int = Field(3, ge=1)
    threads: int = Field(1, ge=1)
