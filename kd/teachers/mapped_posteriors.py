"""Another recogniser's frames over our units. Legend: B utterances, T frames, V units of ours, W of the other."""

import torch
from torch import Tensor

from kd.text.unit_mapping import NOWHERE, UnitMap


def in_our_units(logits_BTW: Tensor, units: UnitMap) -> Tensor:
    """log_probs_BTV, finite, of logits or log-probabilities; each frame's probabilities sum to one.

    A unit that we lack gives its mass in equal parts to all of ours but the blank: something is said there, of which
    we do not know what. So the blank keeps its probability, and spikes their places.
    """
    probs_BTV = logits_BTW.float().softmax(-1) @ shares(units).to(logits_BTW.device)
    return probs_BTV.clamp(min=torch.finfo(torch.float32).tiny).log()


def shares(units: UnitMap) -> Tensor:
    """(W, V): the share of the mass of each unit of the other that goes to each of ours; rows sum to one."""
    shares_WV = torch.zeros(len(units.places_W), units.num_units)
    for row, place in enumerate(units.places_W):
        if place == NOWHERE:
            shares_WV[row, 1:] = 1 / (units.num_units - 1)
        else:
            shares_WV[row, place] = 1.0
    return shares_WV
