"""Parts of the encoders against torch's own, which say the same more slowly: convolution, batch norm, dropout."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from kd.models.convolution import TimeConv1d
from kd.models.dropout import Dropout, added
from kd.models.normalisation import FrameBatchNorm
from kd.padding import frame_mask
from tasks.onnx.onnx_files import write_onnx

LENGTHS = torch.tensor([9, 4, 7])


def gradients(result: Tensor, of: list[Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    toward = torch.randn(result.shape, generator=generator, dtype=result.dtype)
    return list(torch.autograd.grad(result, of, toward))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("kernel", "padding", "bias"), [(1, 0, True), (4, 0, False), (5, 2, True)])
def test_a_convolution_is_the_plain_one(kernel: int, padding: int, bias: bool, groups: int, stride: int) -> None:
    torch.manual_seed(0)
    ours = TimeConv1d(6, 12, kernel, stride, padding, groups=groups, bias=bias)
    plain = nn.Conv1d(6, 12, kernel, stride, padding, groups=groups, bias=bias)
    plain.load_state_dict(ours.state_dict())
    x_BTC = torch.randn(3, 9, 6, requires_grad=True)
    found, expected = ours(x_BTC.transpose(1, 2)), plain(x_BTC.transpose(1, 2))
    torch.testing.assert_close(found, expected)
    assert found.transpose(1, 2).is_contiguous()
    pairs = zip(
        gradients(found, [x_BTC, *ours.parameters()]), gradients(expected, [x_BTC, *plain.parameters()]), strict=True
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other)


def test_a_file_has_the_plain_convolution(tmp_path: Path) -> None:
    module, example = TimeConv1d(6, 6, 3, padding=1, groups=6), (torch.randn(2, 6, 9),)
    write_onnx(tmp_path / "x.onnx", module, example, {"x": ("N",)}, {"y": ("N",)}, {})
    assert [node.op_type for node in onnx.load(tmp_path / "x.onnx").graph.node] == ["Conv"]


def test_batch_norm_is_torchs_over_the_valid_frames() -> None:
    """Result, gradients and running statistics, to float64's rounding; whatever (finite) stands in the padding."""
    torch.manual_seed(0)
    ours, plain = FrameBatchNorm(5).double(), nn.BatchNorm1d(5).double()
    with torch.no_grad():
        ours.weight.uniform_(0.5, 2.0)
        ours.bias.normal_()
    plain.load_state_dict(ours.state_dict())
    x_BTC = (3 + 2 * torch.randn(3, 9, 5, dtype=torch.float64)).requires_grad_()
    mask_BT = frame_mask(LENGTHS, 9)
    with torch.no_grad():
        x_BTC[~mask_BT] = 1e3
    found, expected = ours(x_BTC, mask_BT)[mask_BT], plain(x_BTC[mask_BT])
    torch.testing.assert_close(found, expected)
    given = [x_BTC, ours.weight, ours.bias], [x_BTC, plain.weight, plain.bias]
    for one, other in zip(gradients(found, given[0]), gradients(expected, given[1]), strict=True):
        torch.testing.assert_close(one, other)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)


def test_what_comes_back_for_padding_does_not_count() -> None:
    """A gradient with respect to a padded frame's result reaches nothing."""
    norm, x_BTC, mask_BT = FrameBatchNorm(5), torch.randn(3, 9, 5, requires_grad=True), frame_mask(LENGTHS, 9)
    found = torch.autograd.grad(norm(x_BTC, mask_BT)[~mask_BT].sum(), [x_BTC, norm.weight, norm.bias])
    assert not any(gradient.any() for gradient in found)


def test_batch_norm_of_one_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="two valid frames for a variance, found one"):
        FrameBatchNorm(5)(torch.randn(1, 3, 5), frame_mask(torch.tensor([1]), 3))


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    dropout, x = Dropout(p), torch.ones(300, 1001)
    factors = dropout(x)
    kept = factors[factors > 0]
    assert kept.numel() / x.numel() == pytest.approx(1 - p, abs=4 * (p * (1 - p) / x.numel()) ** 0.5)
    assert kept.unique().numel() == 1
    assert kept[0].item() == pytest.approx(1 / (1 - p), rel=1e-3)
    assert factors.mean().item() == pytest.approx(1, abs=4 * (p / (1 - p) / x.numel()) ** 0.5)


def test_dropout_draws_each_feature_for_itself() -> None:
    """Neighbours, of which four come from one word, are dropped together as often as chance has it."""
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(400_000)) == 0).double()
    for apart in (1, 2, 3, 4, 8):
        together = (dropped[apart:] * dropped[:-apart]).mean().item()
        assert together == pytest.approx(0.25, abs=0.003), apart
    for place in range(4):
        assert dropped[place::4].mean().item() == pytest.approx(0.5, abs=0.007), place


def test_dropout_follows_torchs_seed_and_goes_out_in_evaluation() -> None:
    dropout, x = Dropout(0.3), torch.randn(7, 5)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(dropout(x))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(dropout.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_what_is_added_is_dropped_and_masked() -> None:
    mask_BT1 = frame_mask(LENGTHS, 9)[..., None].float()
    x, y, dropout = torch.randn(3, 9, 5) * mask_BT1, torch.randn(3, 9, 5), Dropout(0.4)
    torch.manual_seed(3)
    found = added(x, y, mask_BT1, dropout)
    torch.manual_seed(3)
    torch.testing.assert_close(found, (x + dropout(y)) * mask_BT1)
    torch.testing.assert_close(added(x, y, mask_BT1, dropout.eval()), (x + y) * mask_BT1)
