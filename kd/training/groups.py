"""A batch in groups of utterances that pass one after another: gradient accumulation."""

import torch
from accelerate import Accelerator

from kd.training.inputs import Inputs


def groups_of(inputs: Inputs, count: int, two_views: bool, accelerator: Accelerator) -> list[Inputs]:
    """So many groups of a batch, or as many as it has utterances on the process that has fewest; on all as many.

    two_views: each group holds its utterances in both views, so that pairs stay together.
    """
    if count > 1:
        sizes = accelerator.gather(torch.tensor([len(inputs.lengths_B)], device=accelerator.device))
        count = min(count, int(sizes.min()))
    groups = [inputs] if count <= 1 else inputs.groups(count)
    return [group.both_views() for group in groups] if two_views else groups
