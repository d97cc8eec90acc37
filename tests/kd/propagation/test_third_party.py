"""Models that are not ours: pruned such that it is proven, or refused with a reason; never silently wrong."""

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("torch_pruning", reason="the extra 'torch-pruning' is not installed")

from kd.propagation.third_party import prune, remove


class Net(nn.Module):
    """Convolutions with a residual, a depthwise one, batch norm; then a mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 12, 3, padding=1)
        self.norm = nn.BatchNorm1d(12)
        self.depthwise = nn.Conv1d(12, 12, 3, padding=1, groups=12)
        self.inner = nn.Linear(12, 20)
        self.back = nn.Linear(20, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x_BCT: Tensor) -> Tensor:
        x_BCT = torch.relu(self.norm(self.first(x_BCT)))
        y_BTC = self.depthwise(x_BCT).transpose(1, 2)
        x_BCT = x_BCT + self.back(torch.sigmoid(self.inner(y_BTC))).transpose(1, 2)
        return self.head(x_BCT.mean(2))


def make_net() -> tuple[Net, tuple[Tensor, ...]]:
    torch.manual_seed(1)
    return Net().eval(), (torch.randn(2, 4, 8),)


def params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_a_plain_network_shrinks_reloads_and_stays_untouched() -> None:
    net, inputs = make_net()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    pruned = prune(net, inputs, sparsity=0.5, keep=["head"])
    assert (pruned.module.inner.out_features, pruned.module.first.out_channels) == (10, 6)
    assert (pruned.module.depthwise.groups, pruned.module.head.in_features) == (6, 6)
    assert sorted(map(len, pruned.kept.values())) == [6, 10]
    assert pruned.whole == {"head": "head is to be kept"}
    assert params(pruned.module) < params(net) / 1.9
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())
    again = remove(Net(), inputs, pruned.removed)
    again.load_state_dict(pruned.module.state_dict(), strict=True)
    assert torch.equal(again.eval()(*inputs), pruned.module(*inputs))


def test_the_least_important_units_go() -> None:
    net, inputs = make_net()
    with torch.no_grad():
        for layer, dim in ((net.inner, 0), (net.back, 1)):
            layer.weight.index_fill_(dim, torch.tensor([3, 7]), 0.0)
    pruned = prune(net, inputs, sparsity=0.1, keep=["head", "first", "back"])
    assert pruned.removed == {"inner": [3, 7]}
    torch.testing.assert_close(pruned.module(*inputs), net(*inputs))


def test_a_last_layer_that_is_not_kept_is_named() -> None:
    net, inputs = make_net()
    with pytest.raises(ValueError, match=r"'head' shapes the output: \[\(2, 5\)\] would become \[\(2, 3\)\]. Name"):
        prune(net, inputs, sparsity=0.4)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_refused(layer: type[nn.LSTM] | type[nn.GRU]) -> None:
    net = nn.Sequential(nn.Linear(4, 6), layer(6, 8, batch_first=True))
    with pytest.raises(ValueError, match=r"Sequential has recurrent layers \(1\).*kd's family rnn"):
        prune(net, (torch.randn(2, 5, 4),), sparsity=0.5)


class Attention(nn.Module):
    """Attention that tells nobody of its heads: pruned inside, it runs on, and says something else."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x_BTD: Tensor) -> Tensor:
        parts = [part(x_BTD).unflatten(2, (2, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        return self.out(nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


def test_what_runs_on_but_says_something_else_is_refused() -> None:
    torch.manual_seed(2)
    with pytest.raises(ValueError, match=r"cannot go alone: the output is off by .* Name it in keep"):
        prune(Attention().eval(), (torch.randn(2, 5, 8),), sparsity=0.5, keep=["out"])


def test_norms_that_mix_units_leave_them_whole() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3)).eval()
    with pytest.raises(ValueError, match=r"nothing can be removed from this Sequential by 0.5. .*1 is a LayerNorm"):
        prune(net, (torch.randn(2, 4),), sparsity=0.5, keep=["2"])


def test_one_unit_always_stays() -> None:
    """Eight tenths of two units round to both of them."""
    net = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    pruned = prune(net, (torch.randn(2, 4),), sparsity=0.8, keep=["2"])
    assert len(pruned.kept["0"]) == len(pruned.removed["0"]) == 1
    assert pruned.module(torch.eye(4)).unique(dim=0).shape[0] > 1, "it still hears its input"


@pytest.mark.parametrize(
    ("sparsity", "keep", "message"), [(1.0, [], "not between"), (0.5, ["tail"], "choose from first, norm")]
)
def test_wrong_wishes_are_named(sparsity: float, keep: list[str], message: str) -> None:
    net, inputs = make_net()
    with pytest.raises(ValueError, match=message):
        prune(net, inputs, sparsity=sparsity, keep=keep)


def test_wav2vec2_loses_feed_forward_units_and_keeps_its_attention() -> None:
    from torchaudio.models import wav2vec2_model

    def make() -> nn.Module:
        torch.manual_seed(3)
        convolutions = [(16, 10, 5), (16, 3, 2)]
        sizes = (convolutions, False, 24, 0.0, 8, 4, 2, 4, 0.0, 32, 0.0, 0.0, False, 0.0, 6)
        return wav2vec2_model("group_norm", *sizes).eval()

    model, inputs = make(), (torch.randn(2, 1600),)
    pruned = prune(model, inputs, sparsity=0.5, keep=["aux"])
    layers = "encoder.transformer.layers"
    assert {f"{layers}.{i}.feed_forward.intermediate_dense" for i in range(2)} <= set(pruned.kept)
    assert not any("attention" in name for name in pruned.kept)
    assert any("splits it into heads" in reason for reason in pruned.whole.values())
    assert params(pruned.module) < params(model)
    assert pruned.module.encoder.transformer.layers[1].feed_forward.output_dense.in_features == 16
    other = torch.randn(1, 2400)
    assert pruned.module(other)[0].shape == model(other)[0].shape
    again = remove(make(), inputs, pruned.removed)
    again.load_state_dict(pruned.module.state_dict(), strict=True)
    assert torch.equal(again(other)[0], pruned.module(other)[0])
