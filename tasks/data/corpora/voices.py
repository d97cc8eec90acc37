"""Who speaks the synthetic corpus: eSpeak's English voices times its variants, divided among the splits."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tasks.data.corpora.raw import SPLITS, Split

# Shavian script: of Latin letters it makes the same bytes as `en`, so it would be `en` under two names.
_NOT_A_VOICE = {"en-Shaw"}
_VOICE_SHARES: dict[Split, float] = {"valid": 0.15, "test": 0.25}  # the rest is for training


def divide_voices(data: Path, speakers: Mapping[Split, int], rng: np.random.Generator) -> dict[Split, list[str]]:
    """Names such as `en-US+f3` for each split; no voice and no variant is in two splits.

    Each variant of a split speaks once before any speaks twice. Raises ValueError where eSpeak has too few.
    """
    voices = sorted(p.name for p in (data / "lang" / "gmw").glob("en*") if p.name not in _NOT_A_VOICE)
    variants = sorted(p.name for p in (data / "voices" / "!v").iterdir())
    voices_of = _deal(voices, {split: int(share * len(voices)) for split, share in _VOICE_SHARES.items()}, rng)
    # a variant for each speaker, or where these are too many a fair share; never fewer than the voices need
    fair = min(1.0, len(variants) / sum(speakers.values()))
    sizes = {split: max(int(fair * speakers[split]), -(-speakers[split] // len(voices_of[split]))) for split in SPLITS}
    variants_of = _deal(variants, {split: sizes[split] for split in _VOICE_SHARES}, rng)
    return {split: _pairs(split, speakers[split], voices_of[split], variants_of[split]) for split in voices_of}


def _deal(names: list[str], sizes: Mapping[Split, int], rng: np.random.Generator) -> dict[Split, list[str]]:
    """Shuffled names, cut in these lengths (at least one each); the rest is for training."""
    shuffled = [names[i] for i in rng.permutation(len(names))]
    dealt: dict[Split, list[str]] = {}
    for split, size in sizes.items():
        dealt[split], shuffled = shuffled[: max(1, size)], shuffled[max(1, size) :]
    return {**dealt, "train": shuffled}


def _pairs(split: Split, count: int, voices: list[str], variants: list[str]) -> list[str]:
    if count > len(voices) * len(variants):
        raise ValueError(
            f"corpus.speakers.{split} is {count}, but eSpeak NG has {len(voices)} voices x {len(variants)} variants "
            f"for it that the other splits do not use: ask for at most {len(voices) * len(variants)}"
        )
    rounds = (divmod(i, len(variants)) for i in range(count))
    return [f"{voices[(j + k) % len(voices)]}+{variants[j]}" for k, j in rounds]
