"""What is particular to encoders of samples: short utterances, positions by hand, mixed precision, checkpointing."""

import math

import pytest
import torch
from factories import make_features, make_model

from kd.config.wav2vec2 import Wav2Vec2Settings
from kd.models.extractor import ChannelNorm, Extractor
from kd.models.gated_positions import GatedPositions, bucket_of_distances, distances
from kd.models.wav2vec2 import Wav2Vec2Encoder

BOTH = ("wav2vec2", "wav2vec2-gated")


def base(**changes: object) -> Wav2Vec2Settings:
    shape = {"channels": 2, "width_per_group": 2, "position_groups": 2, "layers": 1, "heads": 1, "feed_forward": 3}
    return Wav2Vec2Settings.model_validate({**shape, **changes})


def test_a_frame_of_25_ms_every_20_ms() -> None:
    """At 16 kHz 400 samples and 320; what is shorter than a frame is one, and nothing is none."""
    extractor = Extractor(base(), 1)
    assert extractor.receptive_samples == 400
    samples_B = torch.tensor([0, 1, 399, 400, 719, 720, 16_000])
    assert extractor.output_lengths(samples_B).tolist() == [0, 1, 1, 1, 1, 2, 49]
    assert base(pooling=2).subsampling == 640


def test_a_short_utterance_goes_on_in_zeros() -> None:
    """Alone, beside a longer one, and with its zeros written out: the same frame."""
    encoder = Wav2Vec2Encoder(base(), 1).eval()
    short_1N1, longer_BN1 = torch.randn(1, 90, 1), torch.randn(2, 1_000, 1)
    longer_BN1[0, :90], longer_BN1[0, 90:] = short_1N1[0], 0.0
    with torch.no_grad():
        alone, beside = encoder(short_1N1, torch.tensor([90]))[0], encoder(longer_BN1, torch.tensor([90, 1_000]))[0]
    assert alone.shape[1] == 1
    torch.testing.assert_close(beside[:1, :1], alone)
    assert not beside[0, 1:].any()


def test_a_channels_norm_is_torchs_group_norm_where_there_is_no_padding() -> None:
    norm, x_BTC = ChannelNorm(3), torch.randn(2, 9, 3) * 4 + 1
    expected = torch.nn.functional.group_norm(x_BTC.transpose(1, 2), 3).transpose(1, 2)
    torch.testing.assert_close(norm(x_BTC, torch.tensor([9, 9])), expected)
    padded = torch.cat([x_BTC, torch.full((2, 4, 3), 77.0)], dim=1)
    torch.testing.assert_close(norm(padded, torch.tensor([9, 9]))[:, :9], expected)


def test_buckets_by_hand() -> None:
    """Of 8: 0 and 1 exact, 2 to the geometric mean of 2 and 9 frames (4.24), 3 beyond; 4 more for keys behind."""
    assert bucket_of_distances(8, 9).tolist() == [3, 3, 3, 3, 3, 2, 2, 2, 1, 0, 5, 6, 6, 6, 7, 7, 7, 7, 7]
    assert distances(3, 1, torch.device("cpu")).tolist() == [[1, 2, 2], [0, 1, 2], [0, 0, 1]]


def test_a_gate_by_hand() -> None:
    """Drawn from the stream: a = sigmoid(x), b = sigmoid(2 x); the bias of a bucket times a (3 b - 1) + 2."""
    gates = GatedPositions(1, 1, 4)
    gates.weight.copy_(torch.tensor([[1.0], [2.0]]))
    gates.scale.fill_(3.0)
    gates.table.copy_(torch.tensor([[0.0], [1.0], [2.0], [3.0]]))
    found = gates(torch.tensor([[[0.5]]]), torch.tensor([[2]]))
    a, b = 1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(-1.0))
    assert found.item() == pytest.approx(2 * (a * (3 * b - 1) + 2), rel=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_mixed_precision_gives_nearly_the_same(name: str) -> None:
    model = make_model(name)
    with torch.no_grad():
        expected, lengths = model(*make_features())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found, _ = model(*make_features())
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :length].float(), expected[row, :length], atol=0.15, rtol=0.1)


@pytest.mark.parametrize("name", BOTH)
def test_activations_computed_again_give_the_same_gradients(name: str) -> None:
    gradients = []
    for again in (False, True):
        model = make_model(name).train()
        model.encoder.set_gradient_checkpointing(again)
        model(*make_features())[0].square().sum().backward()
        gradients.append({key: p.grad for key, p in model.named_parameters()})
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient)


def test_what_no_encoder_has_is_named() -> None:
    with pytest.raises(ValueError, match="channels lists 3 convolutions, kernels 7, strides 7: give as many of each"):
        base(channels=[4, 4, 4])
    with pytest.raises(ValueError, match="position_distance 80 is no more than the 80 frames that have a bucket each"):
        base(position_buckets=320, position_distance=80)
    for kernels in (3, None):
        for channels in (4, [4, 4]):
            with pytest.raises(ValueError, match=r"kernels\n  Input should be a valid tuple"):
                base(channels=channels, kernels=kernels)
