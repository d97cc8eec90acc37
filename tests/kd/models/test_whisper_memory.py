"""Gradient checkpointing spares memory and changes no gradient."""

import pytest
import torch
from factories import make_features, make_model
from torch import Tensor


def gradients(enabled: bool) -> dict[str, Tensor]:
    model = make_model("whisper").train()
    model.encoder.set_gradient_checkpointing(enabled)
    model(*make_features())[0].square().mean().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def saved_elements(enabled: bool) -> int:
    """What the layers keep for the way back, in numbers."""
    model, kept = make_model("whisper").train(), 0
    model.encoder.set_gradient_checkpointing(enabled)

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model(*make_features())
    return kept


def test_gradients_are_the_same_and_less_is_kept() -> None:
    kept, computed_again = gradients(enabled=False), gradients(enabled=True)
    assert kept.keys() == computed_again.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(computed_again[name], gradient, msg=name)
    assert saved_elements(enabled=True) < 0.7 * saved_elements(enabled=False)


def test_a_family_that_cannot_says_so() -> None:
    encoder = make_model("conformer").encoder
    encoder.set_gradient_checkpointing(False)
    with pytest.raises(ValueError, match="gradient_checkpointing: ConformerEncoder keeps its activations: set it to"):
        encoder.set_gradient_checkpointing(True)
