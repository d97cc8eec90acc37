"""Another recogniser's frames over our units. Legend: B utterances, T frames, V units of ours, W of the other."""

import math

import torch
from torch import Tensor

from kd.text.unit_mapping import NOWHERE, UnitMap

LOWEST = math.log(torch.finfo(torch.float32).tiny)
"""Of a log-probability, so that no loss meets 0 times infinity."""


def in_our_units(logits_BTW: Tensor, units: UnitMap) -> Tensor:
    """log_probs_BTV, finite, of logits or log-probabilities; each frame's probabilities sum to one.

    A unit that we lack gives its mass in equal parts to all of ours but the blank: something is said there, of which
    we do not know what. So the blank keeps its probability, and spikes their places. Where ours are the other's own,
    in another order at most, nothing is rounded.
    """
    if units.one_to_one:
        order_V = torch.tensor(units.places_W).argsort()
        return logits_BTW.float().log_softmax(-1)[..., order_V.to(logits_BTW.device)].clamp(min=LOWEST)
    probs_BTV = logits_BTW.float().softmax(-1) @ shares(units).to(logits_BTW.device)
    return probs_BTV.log().clamp(min=LOWEST)


def shares(units: UnitMap) -> Tensor:
    """(W, V): the share of the mass of each unit of the other that goes to each of ours; rows sum to one."""
    shares_WV = torch.zeros(len(units.places_W), units.num_units)
    for row, place in enumerate(units.places_W):
        if place == NOWHERE:
            shares_WV[row, 1:] = 1 / (units.num_units - 1)
        else:
            shares_WV[row, place] = 1.0
    return shares_WV
