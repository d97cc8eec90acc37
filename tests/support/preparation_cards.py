"""Data cards of prepared data that nobody has."""

import json
from pathlib import Path


def write_test_part(prepared: Path, *, speakers: int, utterances: int) -> None:
    """card.json with what is asked of the test part alone."""
    card = {"splits": {"test": {"speakers": speakers, "utterances": utterances}}}
    (prepared / "card.json").write_text(json.dumps(card), encoding="utf-8")
