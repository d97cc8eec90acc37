"""What no number of utterances can make up for: how many speakers a claim needs. No arrays, so it loads at once."""

import math

FEW_SPEAKERS = 12
"""Up to so many, signs are flipped in all 2**S ways; above it, Student's t holds well enough."""


def least_speakers(tail: float) -> int:
    """Fewest speakers whose flipped signs can refute anything at a one-sided level; more than FEW_SPEAKERS do by t."""
    return min(max(math.ceil(-math.log2(tail) - 1e-9), 2), FEW_SPEAKERS + 1)


def most_comparisons(num_speakers: int, confidence: float) -> int | None:
    """How many comparisons at once so few speakers can settle any of; None where there is no such limit."""
    if num_speakers > FEW_SPEAKERS:
        return None
    if num_speakers < 2:
        return 0
    return int((1 - confidence) / 2 * 2**num_speakers * (1 + 1e-9))


def limit_of(num_speakers: int, confidence: float) -> str:
    """What so few speakers in a test part cannot settle, in words; empty where there is no limit."""
    most = most_comparisons(num_speakers, confidence)
    if most is None:
        return ""
    have = f"the test part has {num_speakers} speaker{'s' if num_speakers != 1 else ''}"
    if most == 0:
        least = least_speakers((1 - confidence) / 2)
        return f"{have}: no claim can be made at {confidence:.0%} confidence, at least {least} are needed"
    return f"{have}: at {confidence:.0%} confidence that is enough for {most} comparisons at once, no more"
