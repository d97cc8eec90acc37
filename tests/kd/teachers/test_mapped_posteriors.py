"""Another recogniser's frames over our units: every frame stays a distribution, and the blank's mass is not touched."""

import math

import pytest
import torch

from kd.teachers.mapped_posteriors import in_our_units, shares
from kd.text.unit_mapping import NOWHERE, UnitMap, map_units, unmapped

LABELS = ("-", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
ALPHABETS = {
    "small letters": "abcdefghijklmnopqrstuvwxyz' ",
    "capitals": "ABCDEFGHIJKLMNOPQRSTUVWXYZ' ",
    "digits' letters": "efghinorstuvwxz ",
    "no space": "abcdefghijklmnopqrstuvwxyz'",
    "one letter": "e",
}


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
def test_every_label_has_its_place(alphabet: str) -> None:
    units = map_units(LABELS, ("<blk>", *alphabet))
    for label, place in zip(LABELS, units.places_W, strict=True):
        written = {"-": "", "|": " "}.get(label, label)
        if place == NOWHERE:
            assert written.lower() not in alphabet.lower()
        elif place == 0:
            assert label == "-" or (label == "|" and " " not in alphabet)
        else:
            assert alphabet[place - 1].lower() == written.lower() or label == "|"
    assert units.num_units == len(alphabet) + 1


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
def test_frames_stay_distributions_and_the_blank_keeps_its_mass(alphabet: str) -> None:
    units = map_units(LABELS, ("<blk>", *alphabet))
    logits = torch.randn(3, 7, len(LABELS), generator=torch.Generator().manual_seed(0)) * 5
    found, before = in_our_units(logits, units).exp(), logits.softmax(-1)
    torch.testing.assert_close(found.sum(-1), torch.ones(3, 7))
    silent = before[..., 0] + (0 if " " in alphabet else before[..., 1])
    torch.testing.assert_close(found[..., 0], silent)
    torch.testing.assert_close(shares(units).sum(-1), torch.ones(len(LABELS)))


def test_by_hand() -> None:
    """Theirs: blank 0.5, break 0.1, E 0.2, e 0.05, Q 0.15; ours: blank, e, space. Q's mass goes to e and space."""
    units = map_units(("-", "|", "E", "e", "Q"), ("<blk>", "e", " "))
    assert units == UnitMap((0, 2, 1, 1, NOWHERE), 3)
    assert unmapped(("-", "|", "E", "e", "Q"), units) == ["Q"]
    found = in_our_units(torch.tensor([[[0.5, 0.1, 0.2, 0.05, 0.15]]]).log(), units).exp()
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.2 + 0.05 + 0.075, 0.1 + 0.075]]]))


def test_the_others_own_units_are_put_in_our_order_unrounded() -> None:
    units = UnitMap((2, 1, 3, 0), 4)  # its last is the blank
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)) * 20
    expected = logits.log_softmax(-1)[..., [3, 1, 0, 2]]
    assert torch.equal(in_our_units(logits, units), expected)


def test_what_a_teacher_rules_out_stays_finite() -> None:
    units = map_units(("-", "|", "E"), ("<blk>", "e", " "))
    found = in_our_units(torch.tensor([[[0.0, -torch.inf, -1e4]]]), units)
    assert found.isfinite().all()
    assert found[0, 0, 1] < math.log(1e-30)


def test_a_dash_that_is_no_blank_is_a_character() -> None:
    assert map_units(("-", "-", "a"), ("<blk>", "a", "-")).places_W == (0, 2, 1)


def test_what_the_other_never_says_is_named() -> None:
    with pytest.raises(ValueError, match=r"it never says 'é', '7', of which we have a unit.*output: text"):
        map_units(LABELS, ("<blk>", *"abé7 "))
