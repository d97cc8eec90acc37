"""The card of prepared data: its picture is drawn whatever the labels are."""

from collections import Counter
from pathlib import Path

import pytest

from tasks.data.preparation.card import Card, write_card
from tasks.data.utterance import Utterance


@pytest.mark.parametrize("label", ["x" * 5_000, "a b " * 400, "$x$ y", "학생 " * 90])
def test_a_label_of_any_length_and_script_leaves_room_for_the_picture(tmp_path: Path, label: str) -> None:
    card = Card(keyword=True, sample_rate_hz=8_000)
    for i in range(3):
        card.add(Utterance(str(i), f"{label}{i}", "s", "train", 0, 4_000, "0" * 32, None, "a.wav", ""))
    write_card(tmp_path, card, Counter())
    assert label[:20] in (tmp_path / "card.svg").read_text(encoding="utf-8")
