"""export.json, checked: every value of a kind and size with which a model can be run."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, Self

from kd.runtime.errors import RefusedError
from kd.runtime.files import read_text
from kd.runtime.frontend import FrontEndSettings

FORMAT = 1
KEYS = ("problem", "frontend_included", "frontend", "subsampling", "block_frames", "receptive_field_frames")
FRONT_ENDS = ("kaldi", "whisper", "waveform")
RENAMED = {"reach_frames": "receptive_field_frames"}
"""Keys of exports of before: old to new."""
PROBLEMS = ("transcription", "keyword")
WHOLE_LIMITS = {"sample_rate_hz": (1_000, 768_000), "num_mels": (1, 1_024)}
LIMITS = {
    "frame_length_ms": (1.0, 1_000.0),
    "frame_shift_ms": (1.0, 1_000.0),
    "low_freq_hz": (0.0, 384_000.0),
    "high_freq_hz": (-384_000.0, 384_000.0),
}
SAMPLES_LIMITS = {**LIMITS, "frame_length_ms": (0.001, 1.0), "frame_shift_ms": (0.001, 1.0)}
"""Of kind waveform, whose frames are samples."""
MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class Description:
    """What it says. digests: SHA-256 of the folder's files by their names; empty in exports of before."""

    problem: str
    frontend_included: bool
    frontend: FrontEndSettings
    subsampling: int
    block_frames: int
    receptive_field_frames: tuple[int, int] | None
    digests: dict[str, str]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises RefusedError where it is no description of this version, or damaged."""
        text = read_text(file, "the description of an export")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise RefusedError(f"{file} is no whole JSON: is it cut off? Copy the whole folder again") from None
        found = {RENAMED.get(key, key): value for key, value in found.items()} if isinstance(found, dict) else {}
        missing = [key for key in KEYS if key not in found]
        if (given := found.get("format")) != FORMAT:
            has = "no format" if given is None else f"format {str(given)[:40]}"
            raise RefusedError(f"{file} has {has}, but format {FORMAT} is read. Export the model again")
        if missing:
            raise RefusedError(f"{file} lacks {', '.join(missing)}. Copy the whole folder, or export the model again")
        values = _Values(file, found)
        return cls(
            values.problem(),
            values.kind("frontend_included", bool, "true or false"),
            values.frontend(),
            values.whole(found["subsampling"], "subsampling", 1, MOST_FRAMES),
            values.whole(found["block_frames"], "block_frames", 1, MOST_FRAMES),
            values.receptive_field(),
            values.digests(),
        )


class _Values:
    def __init__(self, file: Path, found: dict[str, Any]) -> None:
        self._file, self._found = file, found

    def problem(self) -> str:
        found = self._found["problem"]
        if found not in PROBLEMS:
            self._refuse("problem", found, " or ".join(PROBLEMS))
        return str(found)

    def kind(self, key: str, wanted: type, called: str) -> Any:
        found = self._found[key]
        if not isinstance(found, wanted):
            self._refuse(key, found, called)
        return found

    def whole(self, found: Any, key: str, lowest: int, highest: int) -> int:
        fits = isinstance(found, int) and not isinstance(found, bool) and lowest <= found <= highest
        if not fits:
            self._refuse(key, found, f"a whole number between {lowest} and {highest}")
        return int(found)

    def frontend(self) -> FrontEndSettings:
        given, known = self.kind("frontend", dict, "a mapping"), {}
        if (kind := given.get("kind", "kaldi")) not in FRONT_ENDS:
            self._refuse("frontend.kind", kind, " or ".join(FRONT_ENDS))
        for name in (field.name for field in fields(FrontEndSettings) if field.name != "kind"):
            found, key = given.get(name), f"frontend.{name}"
            if name in WHOLE_LIMITS:
                known[name] = self.whole(found, key, *WHOLE_LIMITS[name])
                continue
            lowest, highest = (SAMPLES_LIMITS if kind == "waveform" else LIMITS)[name]
            number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
            if not number or not lowest <= found <= highest:
                self._refuse(key, found, f"a number between {lowest:g} and {highest:g}")
            known[name] = found
        frontend = FrontEndSettings(**known, kind=kind)
        if frontend.shift < 1 or (kind != "waveform" and frontend.frame < 2):
            self._refuse("frontend.frame_shift_ms", given["frame_shift_ms"], "frames of more than a sample")
        if kind == "waveform" and not frontend.num_mels == frontend.shift == frontend.frame == 1:
            self._refuse("frontend", given, "one feature of one sample a frame, since its kind is waveform")
        return frontend

    def receptive_field(self) -> tuple[int, int] | None:
        found = self._found["receptive_field_frames"]
        if found is None:
            return None
        if not isinstance(found, list) or len(found) != 2:
            self._refuse("receptive_field_frames", found, "two whole numbers or null")
        before, after = (self.whole(value, "receptive_field_frames", 0, MOST_FRAMES) for value in found)
        return before, after

    def digests(self) -> dict[str, str]:
        found = self._found.get("files", {})
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            self._refuse("files", found, "SHA-256 by names of files")
        return dict(found)

    def _refuse(self, key: str, found: Any, expected: str) -> NoReturn:
        shown = str(found)
        shown = shown if len(shown) <= 40 else shown[:40] + "…"
        raise RefusedError(f"{self._file}: {key} is {shown}; expected {expected}. Copy or export the model again")
