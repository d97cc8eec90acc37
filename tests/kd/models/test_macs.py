"""Counts of multiply-accumulates against hand-worked ones. T = 10 steps throughout."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings, RNNSettings
from kd.models import build
from kd.models.macs import count_macs, count_params, frontend_macs_per_audio_second, macs_per_audio_second


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(self, x_BTF: Tensor) -> Tensor:
        query, key, value = (x.unflatten(2, (2, 4)).transpose(1, 2) for x in self.project(x_BTF).chunk(3, dim=2))
        return functional.scaled_dot_product_attention(query, key, value)


BTF, BFT = torch.zeros(1, 10, 8), torch.zeros(1, 8, 10)
CASES: dict[str, tuple[nn.Module, Tensor, float]] = {
    "linear": (nn.Linear(8, 3), BTF, 10 * 8 * 3),
    "convolution": (nn.Conv1d(8, 4, 3, padding=1), BFT, 10 * 8 * 4 * 3),
    "depthwise": (nn.Conv1d(8, 8, 3, padding=1, groups=8), BFT, 10 * 8 * 3),
    "strided": (nn.Conv1d(8, 4, 3, stride=2, padding=1), BFT, 5 * 8 * 4 * 3),
    "two dimensions": (nn.Conv2d(1, 2, 3, padding=1), torch.zeros(1, 1, 10, 8), 10 * 8 * 2 * 9),
    "gru": (nn.GRU(8, 5, batch_first=True), BTF, 10 * 3 * 5 * (8 + 5)),
    "lstm": (nn.LSTM(8, 5, batch_first=True), BTF, 10 * 4 * 5 * (8 + 5)),
    "two-way gru": (nn.GRU(8, 5, batch_first=True, bidirectional=True), BTF, 2 * 10 * 3 * 5 * (8 + 5)),
    "two-way lstm": (nn.LSTM(8, 5, batch_first=True, bidirectional=True), BTF, 2 * 10 * 4 * 5 * (8 + 5)),
    "two layers of lstm": (nn.LSTM(8, 5, num_layers=2, batch_first=True), BTF, 10 * 4 * 5 * (8 + 5 + 5 + 5)),
    "attention": (Attention(), BTF, 10 * 8 * 24 + 2 * 10 * 10 * 8),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_hand_worked_count(name: str) -> None:
    module, x, expected = CASES[name]
    assert count_macs(module, x) == expected


def test_counts_packed_sequences_by_their_true_lengths() -> None:
    packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(2, 10, 8), torch.tensor([10, 4]), batch_first=True)
    for cell, gates in ((nn.GRU, 3), (nn.LSTM, 4)):
        assert count_macs(cell(8, 5, batch_first=True), packed) == (10 + 4) * gates * 5 * (8 + 5)


def test_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(8, 3), nn.Dropout()).train()
    count_macs(model, BTF)
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_counts_parameters_and_those_that_are_not_zero() -> None:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight[0] = 0.0
        layer.bias.fill_(1.0)
    assert count_params(layer) == (15, 11)
    shared = nn.ModuleList([layer, layer])
    assert count_params(shared) == (15, 11)


def test_front_end_of_ten_milliseconds() -> None:
    # 100 frames: 400 samples by the real and imaginary parts of the bins that a mel bin uses, and these by 80 mels
    bins = make_front_end(FrontEndSettings()).mel_RF.shape[0]
    assert 200 < bins < 256
    assert frontend_macs_per_audio_second(FrontEndSettings()) == 100 * (400 * 2 * bins + bins * 80)


def test_a_second_of_a_recogniser() -> None:
    encoder = RNNSettings(cell="gru", bidirectional=False, stem=4, width=6, layers=1, hidden=5, subsampling=2)
    settings = ModelSettings(problem="transcription", num_features=16, num_outputs=7, encoder=encoder)
    frontend = FrontEndSettings(num_mels=16)
    # 100 frames a second, 50 after the first convolution of the stem
    stem = 50 * 16 * 4 * 3 + 50 * 4 * 6 * 3
    layer = 50 * 3 * 5 * (6 + 5) + 50 * 5 * 6
    head = 50 * 6 * 7
    assert macs_per_audio_second(build(settings), settings, frontend) == stem + layer + head
