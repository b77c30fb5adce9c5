"""Layers: shapes, subsampling, and that padding reaches no real frame."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from espnet3.components.modeling.conformer import Conformer, ConformerSize, rotary_angles, rotate
from espnet3.components.modeling.masking import length_mask, turned_positions
from espnet3.components.modeling.normalize import GlobalMVN, UtteranceMVN
from espnet3.components.modeling.recurrent import BiLSTMLayer, stack_frames, turn
from espnet3.components.modeling.subsampling import (
    ConvSubsampling1d,
    ConvSubsampling2d,
    ConvSubsampling2dSize,
    stage_strides,
)
from espnet3.components.modeling.transformer_decoder import DecoderSize, TransformerDecoder

LENGTHS = torch.tensor([37, 20, 9])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def padded(size: int) -> Tensor:
    frames = torch.randn(3, 37, size)
    frames[~length_mask(LENGTHS, 37)] = 1e3
    return frames


def front_1d(factor: int) -> nn.Module:
    return ConvSubsampling1d(8, 12, factor)


def front_2d(factor: int) -> nn.Module:
    return ConvSubsampling2d(8, ConvSubsampling2dSize(12, factor, (4, 4, 4)))


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("front", [front_1d, front_2d], ids=["1d", "2d"])
def test_a_front_end_subsamples_and_ignores_padding(front: object, factor: int) -> None:
    module = front(factor)  # type: ignore[operator]
    frames = padded(8)
    masked = frames * length_mask(LENGTHS, 37).unsqueeze(-1)
    together, lengths = module(masked, LENGTHS)
    assert lengths.tolist() == [-(-length // factor) for length in LENGTHS.tolist()]
    assert together.shape == (3, -(-37 // factor), 12)
    for row, length in enumerate(LENGTHS):
        alone, _ = module(frames[row : row + 1, :length], length[None])
        torch.testing.assert_close(alone[0], together[row, : lengths[row]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [3, 16])
def test_an_impossible_factor_is_refused_with_the_possible_ones(factor: int) -> None:
    with pytest.raises(ValueError, match="choose one of 1, 2, 4, 8"):
        stage_strides(factor, 3)


def test_turning_keeps_the_padding_and_undoes_itself() -> None:
    frames = torch.arange(8.0).reshape(2, 4, 1).requires_grad_()
    positions = turned_positions(torch.tensor([3, 4]), 4)
    turned = turn(frames, positions)
    assert turned.flatten().tolist() == [2, 1, 0, 3, 7, 6, 5, 4]
    assert torch.equal(turn(turned, positions), frames)
    (turned * torch.arange(8.0).reshape(2, 4, 1)).sum().backward()  # type: ignore[no-untyped-call]
    assert frames.grad is not None
    assert frames.grad.flatten().tolist() == [2, 1, 0, 3, 7, 6, 5, 4]


def test_a_bilstm_layer_is_torchs_own_on_each_utterance() -> None:
    layer = BiLSTMLayer(6, 5, dropout=0.0)
    frames = padded(6)
    together = layer(frames, LENGTHS)
    reference = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    names = [name.removesuffix("_l0") for name in dict(layer.forwards.named_parameters())]
    for name in names:
        getattr(reference, f"{name}_l0").data = getattr(layer.forwards, f"{name}_l0").data
        getattr(reference, f"{name}_l0_reverse").data = getattr(layer.backwards, f"{name}_l0").data
    for row, length in enumerate(LENGTHS):
        alone = layer.norm(reference(frames[row : row + 1, :length])[0])
        torch.testing.assert_close(alone[0], together[row, :length], atol=1e-5, rtol=0)


def test_stacking_makes_one_frame_of_two() -> None:
    stacked, lengths = stack_frames(torch.arange(6.0).reshape(1, 3, 2), torch.tensor([3]))
    assert stacked.tolist() == [[[0, 1, 2, 3], [4, 5, 0, 0]]]
    assert lengths.tolist() == [2]


def test_a_conformer_ignores_padding() -> None:
    encoder = Conformer(ConformerSize(size=16, num_layers=2, num_heads=2, kernel_size=5)).eval()
    frames = padded(16)
    together = encoder(frames, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = encoder(frames[row : row + 1, :length], length[None])
        torch.testing.assert_close(alone[0], together[row, :length], atol=1e-5, rtol=0)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8)
    rotation = rotary_angles(12, 8, torch.device("cpu"))
    queries, keys = (rotate(vector.expand(1, 1, 12, 8), rotation)[0, 0] for vector in (query, key))
    products = queries @ keys.T
    torch.testing.assert_close(products.diagonal(3), products.diagonal(3)[:1].expand(9))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"size": 10, "num_heads": 4}, "twice num_heads"), ({"kernel_size": 4}, "must be odd")],
    ids=["heads", "kernel"],
)
def test_a_conformer_refuses_numbers_that_do_not_fit(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConformerSize(**settings)


def test_a_decoder_sees_neither_later_tokens_nor_padding() -> None:
    decoder = TransformerDecoder(11, 16, DecoderSize(num_layers=2, num_heads=2, feedforward_size=32)).eval()
    hidden = padded(16)
    tokens = torch.randint(0, 11, (3, 6))
    together = decoder(tokens, hidden, LENGTHS)
    torch.testing.assert_close(together.exp().sum(-1), torch.ones(3, 6))
    for row, length in enumerate(LENGTHS):
        alone = decoder(tokens[row : row + 1, :4], hidden[row : row + 1, :length], length[None])
        torch.testing.assert_close(alone[0], together[row, :4], atol=1e-5, rtol=0)


def test_global_normalisation_uses_the_statistics() -> None:
    normalize = GlobalMVN(2)
    normalize.set_statistics(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    normalised = normalize(torch.tensor([[[3.0, 6.0], [5.0, 5.0]]]), torch.tensor([1]))
    assert normalised.tolist() == [[[1.0, 1.0], [0.0, 0.0]]]
    assert set(normalize.state_dict()) == {"mean", "std"}


def test_statistics_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="Run collect_stats again"):
        GlobalMVN(2).set_statistics(np.zeros(3), np.ones(3))


def test_utterance_normalisation_uses_real_frames_alone() -> None:
    normalised = UtteranceMVN()(padded(4), LENGTHS)
    for row, length in enumerate(LENGTHS):
        real = normalised[row, :length]
        torch.testing.assert_close(real.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(real.std(0, correction=0), torch.ones(4), atol=1e-2, rtol=0)
        assert not normalised[row, length:].any()
