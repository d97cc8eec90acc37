"""Conditions under which recognisers are tried: what is done to the audio of the test part."""

from typing import Annotated, Literal

from pydantic import Field

from kd.config.base import Strict


class Noise(Strict):
    """Steady noise; its level is that of the whole utterance over that of the noise."""

    kind: Literal["noise"]
    snr_db: float = Field(ge=-30, le=60, description="signal-to-noise ratio")
    colour: Literal["white", "pink"] = Field("pink", description="pink: power falls as 1 / frequency; white: even")

    @property
    def name(self) -> str:
        return f"{self.colour} noise at {self.snr_db:g} dB"


class Reverberation(Strict):
    """The echoes of a room."""

    kind: Literal["reverberation"]
    rt60_s: float = Field(0.6, gt=0, le=10, description="time in which echoes fall by 60 dB")
    direct_to_echo_db: float = Field(0.0, ge=-30, le=30, description="energy of the direct sound over its echoes")

    @property
    def name(self) -> str:
        return f"echoes of {self.rt60_s:g} s"


class Rate(Strict):
    """Played faster, and so higher; below 1 slower and lower."""

    kind: Literal["rate"]
    factor: float = Field(ge=0.5, le=2, description="times as fast: 1.15 lasts 1 / 1.15 as long")

    @property
    def name(self) -> str:
        return f"{self.factor:g} times as fast"


class Level(Strict):
    """Louder or quieter in 16 bits: louder at most until the peak is at full scale; what is too quiet loses bits."""

    kind: Literal["level"]
    gain_db: float = Field(ge=-90, le=60, description="above 0: louder; below: quieter")

    @property
    def name(self) -> str:
        return f"{abs(self.gain_db):g} dB {'louder' if self.gain_db > 0 else 'quieter'}"


class Clipping(Strict):
    """Overdriven: the peak is brought so far beyond full scale, and what is beyond is cut off."""

    kind: Literal["clipping"]
    over_db: float = Field(10.0, gt=0, le=40, description="peak over full scale before it is cut off")

    @property
    def name(self) -> str:
        return f"clipped by {self.over_db:g} dB"


class Telephone(Strict):
    """300 to 3400 Hz, 8000 samples a second, 8-bit μ-law."""

    kind: Literal["telephone"]

    @property
    def name(self) -> str:
        return "telephone"


Condition = Annotated[Noise | Reverberation | Rate | Level | Clipping | Telephone, Field(discriminator="kind")]
