"""LoRA (Hu et al. 2021, arXiv:2106.09685) by peft: adapters learn in place of an encoder's weights.

Needs the extra `lora`. Legend: O outputs of a linear layer, I inputs, R rank.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from kd.config.lora import LoRA
from kd.models import Recogniser
from kd.training.loop import Epoch, TrainingTask, fit

ADAPTER = "default"
BASE, DOWN, UP = ".base_layer.", f".lora_A.{ADAPTER}.", f".lora_B.{ADAPTER}."
"""What peft puts into the name of a layer's own tensors, of A_RI, and of B_OR."""


def fit_adapters(
    model: Recogniser,
    task: TrainingTask,
    *,
    lora: LoRA,
    masks: Mapping[str, Tensor] | None = None,
    resume: Mapping[str, Any] | None = None,
) -> Iterator[Epoch]:
    """As `kd.training.fit`, but adapters and the output layer learn, and nothing else does, norms included.

    The best weights are those of a plain model, into which the adapters are merged; after the last epoch `model` is
    that model. Raises ValueError without peft, and for masks, whose zeros adapters would fill.
    """
    if masks:
        raise ValueError("LoRA's adapters would fill weights that were pruned to zero: train all weights instead")
    adapters = _adapters(model, lora, task.settings.seed)
    best: Mapping[str, Tensor] = {} if resume is None else resume["best_weights"]
    for epoch in fit(model, task, resume=None if resume is None else resume["inner"]):
        best = merged(epoch.best, lora)
        state = {
            "inner": epoch.state,
            "shape": epoch.state["shape"],
            "best_weights": best,
            "finished": epoch.finished,
        }
        yield Epoch(epoch.index, epoch.metrics, state, best, epoch.finished)
    adapters.unload()
    model.requires_grad_(True).load_state_dict(best)


def merged(weights: Mapping[str, Tensor], lora: LoRA) -> dict[str, Tensor]:
    """State of a plain model from that of one with adapters: W_OI + alpha / rank * B_OR A_RI."""
    plain = {name.replace(BASE, "."): tensor for name, tensor in weights.items() if DOWN not in name and UP not in name}
    for name, down_RI in weights.items():
        if DOWN in name:
            adapted = name.replace(DOWN, ".")
            plain[adapted] = plain[adapted] + lora.alpha / lora.rank * weights[name.replace(DOWN, UP)] @ down_RI
    return plain


def require_peft() -> None:
    """Raises ValueError where peft is not installed."""
    _peft()


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise ValueError("LoRA needs peft: pip install -e '.[lora]' -c requirements.lock") from None
    return peft


def _adapters(model: Recogniser, lora: LoRA, seed: int) -> Any:
    """Puts adapters into the model, A from this seed and B zero; all but them and the head stays as it is."""
    peft = _peft()
    config = peft.LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=list(lora.targets)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapters = peft.LoraModel(model, config, ADAPTER)
    model.head.requires_grad_(True)
    return adapters
