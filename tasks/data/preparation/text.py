"""Normalisation of transcripts, and whether CTC can align them."""

from kd.config.frontend import FrontEndSettings
from kd.text.vocabulary import Vocabulary, frames_needed
from kd.text.writing import Writing, format_characters, is_spoken
from tasks.data.preparation.quarantine import Reason, RejectedError


def normalise(text: str | None, writing: Writing) -> str:
    """The transcript in its normal form. Raises RejectedError naming each character that the alphabet has not."""
    plain = reference(text, writing)
    if unknown := writing.strange(plain):
        signs = [c for c in unknown if is_spoken(c)]
        how = f"; preprocess.replace can say how {' '.join(signs)} is read" if signs else ""
        raise RejectedError(Reason.OUT_OF_ALPHABET, f"{format_characters(unknown)} in {plain!r}{how}")
    return plain


def reference(text: str | None, writing: Writing) -> str:
    """A transcript of the test part: normalised like any other, but signs that no unit can write stay, as errors."""
    if text is None:
        raise RejectedError(Reason.MISSING_TEXT, "no transcript is given")
    plain = writing.plain(text)
    if not plain:
        raise RejectedError(Reason.MISSING_TEXT, f"the transcript {text!r} holds no word")
    return plain


def spelled_out(label: str, writing: Writing) -> str:
    """The class that a label stands for; where no word is left of it, the label as it is."""
    return writing.plain(label) or label


def output_frames(num_samples: int, frontend: FrontEndSettings, frame_ms: float) -> int:
    """Fewest frames that a model with one output each `frame_ms` gives, whichever front end of that shift it has.

    Whole shifts, as Whisper's counts them (Kaldi's rounds to the nearest), subsampled upwards.
    """
    subsampling = max(1, round(frame_ms / frontend.frame_shift_ms))
    return -(-(num_samples // frontend.samples_per_shift) // subsampling)


def check_alignable(
    text: str, num_samples: int, vocabulary: Vocabulary, frontend: FrontEndSettings, frame_ms: float
) -> None:
    """Raises RejectedError where CTC has fewer frames than the units, and the blanks between equal ones, need."""
    try:
        needed = frames_needed(vocabulary.encode(text))
    except ValueError as error:
        raise RejectedError(Reason.OUT_OF_ALPHABET, str(error)) from None
    frames = output_frames(num_samples, frontend, frame_ms)
    if frames < needed:
        raise RejectedError(
            Reason.NOT_ALIGNABLE, f"{frames} frames of {frame_ms:g} ms for {needed} units and blanks of {text!r}"
        )
