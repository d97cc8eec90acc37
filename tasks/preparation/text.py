"""Normalisation of transcripts, and whether CTC can align them."""

import unicodedata

from kd.settings.frontend import FrontEndSettings
from kd.text import Vocabulary, frames_needed
from tasks.preparation.quarantine import Reason, RejectedError

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"})


def normalise(text: str | None, *, lowercase: bool, strip_punctuation: bool, alphabet: str | None) -> str:
    """Compatibility form (NFKC), straight apostrophes, single spaces; and as the settings say.

    Punctuation that the alphabet holds is kept, other becomes a space. With an alphabet, raises
    RejectedError naming each character that is not in it.
    """
    if text is None:
        raise RejectedError(Reason.MISSING_TEXT, "no transcript is given")
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES))
    if lowercase:
        plain = plain.lower()
    if strip_punctuation:
        plain = "".join(" " if _is_punctuation(c) and c not in (alphabet or "'") else c for c in plain)
    plain = " ".join(plain.split())
    if not plain:
        raise RejectedError(Reason.MISSING_TEXT, f"the transcript {text!r} holds no word")
    if alphabet is not None and (unknown := sorted(set(plain) - set(alphabet))):
        raise RejectedError(Reason.OUT_OF_ALPHABET, f"{' '.join(map(repr, unknown))} in {plain!r}")
    return plain


def reference(text: str | None, *, lowercase: bool, strip_punctuation: bool) -> str:
    """A transcript of the test part: normalised like any other, but signs that no unit can write stay, as errors."""
    return normalise(text, lowercase=lowercase, strip_punctuation=strip_punctuation, alphabet=None)


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def output_frames(num_samples: int, frontend: FrontEndSettings, frame_ms: float) -> int:
    """Frames that a model with one output each `frame_ms` gives: front-end frames, subsampled upwards."""
    shift = frontend.samples_per_shift
    subsampling = max(1, round(frame_ms / frontend.frame_shift_ms))
    return -(-((num_samples + shift // 2) // shift) // subsampling)


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
