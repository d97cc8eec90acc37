"""Pruning of models that are not ours, by Torch-Pruning's dependency graph (Fang et al. 2023, arXiv:2301.12900).

Only what can be proven is removed: a unit goes where nothing but linear layers, convolutions and batch norms hold
it, and afterwards the smaller module must compute what its source computes with those units unread. All else is
left whole, with a reason, or refused. Needs the extra `torch-pruning`.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
HEADS = ("num_heads", "num_attention_heads", "n_heads", "nhead", "heads")
"""Attributes by which modules of attention are known."""
RELATIVE, ABSOLUTE = 1e-3, 1e-4
Removed = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Pruned:
    """A smaller module. kept: output units of each layer that begins a group of coupled ones; whole: what was left as
    it was, and why."""

    module: nn.Module
    kept: Mapping[str, list[int]]
    removed: Removed
    whole: Mapping[str, str]


def prune(
    module: nn.Module,
    example_inputs: tuple[Any, ...],
    *,
    sparsity: float,
    importance: Literal["l1", "l2"] = "l2",
    keep: Sequence[str] = (),
) -> Pruned:
    """A copy without the least important part of each group of coupled units; one stays, the input is untouched.

    sparsity: share of each group's units that goes. keep: names of layers whose outputs stay whole, such as the last
    one. Raises ValueError for recurrent layers, where nothing can be removed, and for what `remove` refuses.
    """
    if not 0 < sparsity < 1:
        raise ValueError(f"sparsity {sparsity} is not between 0 and 1: give the share of units to remove, such as 0.5")
    names = {name: part for name, part in module.named_modules() if name}
    if unknown := [name for name in keep if name not in names]:
        raise ValueError(f"keep names {', '.join(unknown)}, which the module has not: choose from {', '.join(names)}")
    graph, removed, kept, whole = _Graph(module, example_inputs), {}, {}, {}
    score = graph.pruning.importance.GroupMagnitudeImportance(p=1 if importance == "l1" else 2)
    for name, group in graph.groups():
        if reason := graph.why_whole(group, keep):
            whole[name] = reason
        elif count := min(round(sparsity * len(scores := score(group))), len(scores) - 1):
            order = scores.argsort(stable=True).tolist()
            removed[name], kept[name] = sorted(order[:count]), sorted(order[count:])
    if not any(map(len, removed.values())):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in whole.items())
        raise ValueError(
            f"nothing can be removed from this {type(module).__name__} by {sparsity:g}: raise sparsity, keep fewer "
            f"layers or prune it by other means. {reasons}"
        )
    return Pruned(remove(module, example_inputs, removed), kept, removed, whole)


def remove(module: nn.Module, example_inputs: tuple[Any, ...], removed: Removed) -> nn.Module:
    """A copy without these units of these layers, and all that is coupled to them: for a reload, of the source's class.

    Raises ValueError where the copy does not run, changes the shape of its output, is not smaller, or does not compute
    what the source computes when nothing reads those units.
    """
    source = deepcopy(module).eval()
    smaller = deepcopy(source)
    shapes = [tensor.shape for tensor in _outputs(source, example_inputs)]
    unread, graph = _Graph(source, example_inputs, copy=False), _Graph(smaller, example_inputs, copy=False)
    for name, units in removed.items():
        remedy = f"Name it in keep, or prune this {type(module).__name__} by other means"
        unread.silence(name, units)
        graph.group(name, units).prune()
        try:
            found = _outputs(smaller, example_inputs)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(f"without {len(units)} units of '{name}' it does not run: {error}. {remedy}") from None
        if [tensor.shape for tensor in found] != shapes:
            changed = [tuple(tensor.shape) for tensor in found]
            raise ValueError(f"'{name}' shapes the output: {[*map(tuple, shapes)]} would become {changed}. {remedy}")
        for got, expected in zip(found, _outputs(source, example_inputs), strict=True):
            if not torch.allclose(got, expected, rtol=RELATIVE, atol=ABSOLUTE):
                off = float((got - expected).abs().max())
                raise ValueError(f"units of '{name}' cannot go alone: the output is off by {off:g}. {remedy}")
    before, after = (sum(p.numel() for p in m.parameters()) for m in (module, smaller))
    if after >= before:
        raise ValueError(
            f"{after} parameters are not fewer than {before}: Torch-Pruning removed nothing. Name more units to remove"
        )
    return smaller.train(module.training)


class _Graph:
    """Torch-Pruning's view of a module."""

    def __init__(self, module: nn.Module, example_inputs: tuple[Any, ...], copy: bool = True) -> None:
        try:
            import torch_pruning
        except ImportError:
            raise ValueError(
                "third-party models need Torch-Pruning: pip install -e '.[torch-pruning]' -c requirements.lock"
            ) from None
        self.pruning: Any = torch_pruning
        self.module = deepcopy(module).eval() if copy else module
        self.names = {part: name for name, part in self.module.named_modules()}
        self.parts = {name: part for part, name in self.names.items()}
        if recurrent := [name for part, name in self.names.items() if isinstance(part, RECURRENT)]:
            raise ValueError(
                f"{type(module).__name__} has recurrent layers ({', '.join(recurrent)}), which Torch-Pruning leaves "
                "whole or breaks: use a model of kd's family rnn, whose gates are declared"
            )
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # what it warns of, `why_whole` refuses
            self.graph = torch_pruning.DependencyGraph().build_dependency(
                self.module, example_inputs, forward_fn=lambda part, inputs: list(_tensors(part(*inputs)))
            )

    def groups(self) -> Iterator[tuple[str, Any]]:
        """Coupled units, by the name of the layer that forms them."""
        for group in self.graph.get_all_groups(root_module_types=[*CONVOLUTIONS, nn.Linear]):
            yield self.names[group[0][0].target.module], group

    def group(self, name: str, units: Sequence[int]) -> Any:
        part = self.parts[name]
        return self.graph.get_pruning_group(part, self.graph.get_pruner_of_module(part).prune_out_channels, list(units))

    def silence(self, name: str, units: Sequence[int]) -> None:
        """Nothing reads these units any more."""
        for dependency, places in self.group(name, units):
            part = dependency.target.module
            if self.graph.is_in_channel_pruning_fn(dependency.handler) and _dense(part):
                with torch.no_grad():
                    part.weight[:, [int(getattr(place, "idx", place)) for place in places]] = 0

    def why_whole(self, group: Any, keep: Sequence[str]) -> str:
        """Why nothing of a group may be removed; empty where it may."""
        for dependency, _ in group:
            part = dependency.target.module
            name = self.names.get(part, "")
            writes = self.graph.is_out_channel_pruning_fn(dependency.handler)
            if writes and name in keep:
                return f"{name} is to be kept"
            if isinstance(part, nn.Module) and name and not isinstance(part, (nn.Linear, *CONVOLUTIONS, *NORMS)):
                return f"{name} is a {type(part).__name__}, which mixes units or is not known"
            if isinstance(part, nn.Parameter):
                return "a parameter outside of any layer is coupled to it"
            if isinstance(part, CONVOLUTIONS) and part.groups not in (1, part.out_channels):
                return f"{name} is a convolution in {part.groups} groups"
            if attention := self._attention_above(name):
                return f"{attention} splits it into heads"
        return ""

    def _attention_above(self, name: str) -> str:
        above = [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
        return next((n for n in above if any(hasattr(self.parts[n], key) for key in HEADS)), "")


def _dense(part: Any) -> bool:
    return isinstance(part, nn.Linear) or (isinstance(part, CONVOLUTIONS) and part.groups == 1)


def _outputs(module: nn.Module, example_inputs: tuple[Any, ...]) -> list[Tensor]:
    with torch.no_grad():
        return list(_tensors(module(*example_inputs)))


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping | Sequence):
        for item in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(item)
