"""Packed distributions: exact where all is kept, bounded where not, and always a distribution."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kd.teachers.codec import LOWEST, Codec

SIZES = [2, 5, 29, 97, 98, 256, 257, 500]
KEPT = [1, 4, 64, None]
HALF = 2.0**-11


def logits(num_units: int, spread: float = 4.0) -> Tensor:
    """(3, 7, V), from flat to peaky."""
    generator = torch.Generator().manual_seed(num_units)
    return spread * torch.randn(3, 7, num_units, generator=generator) * torch.linspace(0, 2, 7)[:, None]


def entropy(log_probs: Tensor) -> Tensor:
    return -(log_probs.exp() * log_probs).sum(-1)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p.exp() * (p - q)).sum(-1)


@pytest.mark.parametrize("num_units", SIZES)
def test_all_units_are_exact_but_for_half_precision(num_units: int) -> None:
    codec, given = Codec.of(num_units, None), logits(num_units).log_softmax(-1)
    found = codec.unpack(codec.pack(given))
    assert found.shape == given.shape
    assert codec.bytes_per_frame == 2 * num_units
    assert ((found - given).abs() <= HALF * (given.abs() + entropy(given)[..., None]) + 1e-5).all()


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("num_units", SIZES)
def test_what_is_unpacked_is_a_distribution_with_the_same_order(num_units: int, keep: int | None) -> None:
    codec, given = Codec.of(num_units, keep), logits(num_units)
    found = codec.unpack(codec.pack(given))
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3, 7))
    largest = given[:, 1:].argmax(-1)  # the first frame is flat
    best = found[:, 1:].max(-1).values
    torch.testing.assert_close(found[:, 1:].gather(-1, largest[..., None])[..., 0], best)


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("num_units", SIZES)
def test_what_is_lost_is_how_the_rest_shared_its_mass(num_units: int, keep: int | None) -> None:
    """KL(given || unpacked) is mass * (log(V - K) - entropy within the rest), and so at most mass * log(V - K)."""
    codec, given = Codec.of(num_units, keep), logits(num_units).double().log_softmax(-1)
    left_out = num_units - codec.kept
    rest = given.scatter(-1, given.topk(codec.kept).indices, -math.inf) if left_out else given
    mass = rest.exp().sum(-1) if left_out else torch.zeros(3, 7)
    within = torch.special.entr(rest.softmax(-1)).sum(-1)
    expected = mass * (math.log(max(left_out, 1)) - within)
    divergence = kl(given, codec.unpack(codec.pack(given)))
    assert ((divergence - expected).abs() <= 2 * HALF * (1 + entropy(given))).all()
    assert (divergence <= mass * math.log(max(left_out, 1)) + 2 * HALF * (1 + entropy(given))).all()
    assert codec.kept == num_units or expected.max() > 0.01 or left_out == 1


def test_three_units_of_which_one_is_kept() -> None:
    """p = (1/2, 3/8, 1/8): the rest, 1/2, is shared evenly."""
    codec = Codec(3, 1)
    given = torch.tensor([0.5, 0.375, 0.125]).log()
    record, found = codec.pack(given), codec.unpack(codec.pack(given))
    assert record["units"].tolist() == [0]
    assert record["log_probs"].tolist() == [record["rest"]] == [np.float16(math.log(0.5))]
    torch.testing.assert_close(found.exp(), torch.tensor([0.5, 0.25, 0.25]), atol=1e-6, rtol=0)
    assert codec.bytes_per_frame == 2 + 2 + 1


@pytest.mark.parametrize("keep", [1, None])
def test_certainty_stays_finite_and_keeps_its_unit(keep: int | None) -> None:
    codec = Codec(4, 4 if keep is None else keep)
    given = torch.tensor([[0.0, 90_000.0, -90_000.0, 0.0], [-math.inf, -math.inf, 3.0, -math.inf]])
    found = codec.unpack(codec.pack(given))
    assert found.isfinite().all()
    assert found.min() >= 2 * LOWEST
    assert found.exp().round().tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]


def test_the_smaller_form_is_chosen() -> None:
    """64 of V units with 8-bit indices take 194 bytes: less than all from 98 units on."""
    assert Codec.of(29, 64) == Codec(29, 29)
    assert Codec.of(97, 64) == Codec(97, 97)
    assert Codec.of(98, 64) == Codec(98, 64)
    assert (Codec(256, 64).bytes_per_frame, Codec(257, 64).bytes_per_frame) == (194, 258)
    assert Codec.of(70_000, 8).bytes_per_frame == 2 * 8 + 2 + 4 * 8
    assert all(Codec.of(v, k).bytes_per_frame <= 2 * v for v in SIZES for k in KEPT)


def test_packing_is_blind_to_what_logits_add_and_to_neighbours() -> None:
    codec, given = Codec.of(500, 8), logits(500)
    together = codec.pack(given)
    assert (codec.pack(given.log_softmax(-1)[1]) == together[1]).mean() > 0.9
    assert np.array_equal(codec.pack(given[1, 2:4]), together[1, 2:4])


def test_other_units_are_refused() -> None:
    with pytest.raises(ValueError, match="has 5 units, but 29 were expected"):
        Codec.of(29, None).pack(torch.zeros(2, 5))
