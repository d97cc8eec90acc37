"""Settings of the filter of hypotheses: which of a recogniser's transcripts a student may learn from."""

from pydantic import Field

from kd.config.base import Strict


class FilterSettings(Strict):
    """What a hypothesis must be to be kept; null switches a rule off. No rule looks at a reference."""

    min_confidence: float | None = Field(None, ge=0, le=1, description="of the recogniser in its best hypothesis")
    max_disagreement: float | None = Field(
        None, ge=0, le=1, description="share of characters in which any second opinion may differ"
    )
    min_seconds: float = Field(0.0, ge=0, description="shorter clips are dropped")
    min_range_db: float | None = Field(
        6.0, gt=0, description="loud stretches above quiet ones; less is silence or steady noise, and no speech"
    )
    max_no_speech: float | None = Field(0.6, ge=0, le=1, description="Whisper's own probability that nobody speaks")
    max_repeats: int | None = Field(6, ge=1, description="times that words may follow themselves: more is a loop")
    max_compression: float | None = Field(
        2.4, gt=1, description="bytes of the text by bytes of it compressed: above, it repeats itself"
    )
    max_characters_per_second: float | None = Field(25.0, gt=0, description="more cannot have been said")
