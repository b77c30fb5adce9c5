"""The ASR models: what a batch gives, alone or padded, and that each learns a batch by heart."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from espnet3.components.modeling.subsampling import stage_strides
from espnet3.systems.asr.models.bilstm import BiLSTMCTC
from espnet3.systems.asr.models.conformer_ctc import ConformerCTC
from espnet3.systems.asr.models.ctc_model import edit_distance
from espnet3.systems.asr.models.joint import ConformerJoint

SMALL_LSTM: dict[str, Any] = {
    "hidden_size": 24,
    "projection_size": 24,
    "channels": [4, 4, 8],
    "dropout": 0.0,
    "channel_dropout": 0.0,
}
SMALL_CONFORMER: dict[str, Any] = {
    "size": 24,
    "num_layers": 2,
    "num_heads": 2,
    "channels": [4, 4, 8],
    "kernel_size": 5,
    "dropout": 0.0,
}
SMALL_JOINT: dict[str, Any] = {**SMALL_CONFORMER, "decoder_layers": 1, "decoder_heads": 2, "decoder_feedforward": 48}

MODELS: dict[str, Callable[[], nn.Module]] = {
    "bilstm": lambda: BiLSTMCTC(16, 9, **SMALL_LSTM),
    "bilstm with stacked frames, phones": lambda: BiLSTMCTC(
        16, 9, 6, **SMALL_LSTM, stack_after=1, normalize="utterance"
    ),
    "conformer": lambda: ConformerCTC(16, 9, **SMALL_CONFORMER),
    "conformer with intermediate ctc": lambda: ConformerCTC(16, 9, **SMALL_CONFORMER, intermediate_layers=[1]),
    "joint": lambda: ConformerJoint(16, 9, **SMALL_JOINT),
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


def make_batch() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([90, 61, 40])
    feats = torch.randn(3, 90, 16, generator=generator)
    for row, length in enumerate(lengths):
        feats[row, length:] = 50.0
    return {
        "utt_ids": ["a", "b", "c"],
        "feats": feats,
        "feats_lengths": lengths,
        "tokens": torch.tensor([[3, 4, 4, 5], [2, 7, -1, -1], [6, 2, 3, -1]]),
        "tokens_lengths": torch.tensor([4, 2, 3]),
        "auxiliary_tokens": torch.tensor([[3, 4, 5], [2, 2, 3], [5, 2, -1]]),
        "auxiliary_tokens_lengths": torch.tensor([3, 3, 2]),
    }


def row_of(batch: dict[str, Any], row: int) -> dict[str, Any]:
    alone: dict[str, Any] = {"utt_ids": [batch["utt_ids"][row]]}
    for name in ("feats", "tokens", "auxiliary_tokens"):
        length = batch[f"{name}_lengths"][row]
        alone[name] = batch[name][row : row + 1, :length]
        alone[f"{name}_lengths"] = length[None]
    return alone


@every_model
def test_an_utterance_gives_the_same_alone_and_in_a_batch(make: Callable[[], Any]) -> None:
    torch.manual_seed(1)
    model, batch = make().eval(), make_batch()
    together, lengths = model.ctc_log_probs(batch["feats"], batch["feats_lengths"])
    for row in range(3):
        alone = row_of(batch, row)
        log_probs, length = model.ctc_log_probs(alone["feats"], alone["feats_lengths"])
        assert length[0] == lengths[row] == log_probs.shape[1]
        torch.testing.assert_close(log_probs[0], together[row, : lengths[row]], atol=1e-5, rtol=0)


@every_model
def test_the_ctc_loss_of_a_batch_is_the_mean_over_its_tokens(make: Callable[[], Any]) -> None:
    torch.manual_seed(1)
    model, batch = make().eval(), make_batch()
    _, stats, weight = model(batch)
    name = "loss_ctc" if "loss_ctc" in stats else "loss"
    alone = [model(row_of(batch, row)) for row in range(3)]
    assert weight == sum(one.weight for one in alone) == 9
    mean = sum(one.stats[name] * one.weight for one in alone) / weight
    torch.testing.assert_close(stats[name], mean, atol=1e-4, rtol=1e-4)


@every_model
def test_a_model_learns_a_batch_by_heart(make: Callable[[], Any]) -> None:
    torch.manual_seed(1)
    model, batch = make(), make_batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = model(batch).stats["loss"].item()
    for _ in range(60):
        optimizer.zero_grad()
        model(batch).loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    stats = model.eval()(batch).stats
    assert stats["loss"] < first / 4
    assert stats["ter"] <= 34


def with_too_long_ones(batch: dict[str, Any], seed: int) -> dict[str, Any]:
    """The batch and, before, between and behind its utterances, some whose tokens do not fit."""
    generator = torch.Generator().manual_seed(seed)
    frames = [7, 2, 11, 40]
    feats, tokens = torch.full((7, 90, 16), -30.0), torch.full((7, 12), -1)
    tokens[::2] = torch.randint(2, 8, (4, 12), generator=generator)
    feats[::2, :40] = torch.randn(4, 40, 16, generator=generator)
    feats[1::2], tokens[1::2, :4] = batch["feats"], batch["tokens"]
    sounds = torch.randint(2, 6, (7, 3), generator=generator)
    sounds[1::2] = batch["auxiliary_tokens"]
    lengths = {"feats_lengths": frames, "tokens_lengths": [12, 12, 12, 12], "auxiliary_tokens_lengths": [1, 3, 2, 3]}
    return {
        "utt_ids": list("1a2b3c4"),
        "feats": feats,
        "tokens": tokens,
        "auxiliary_tokens": sounds,
        **{name: torch.tensor([*_woven(values, batch[name].tolist())]) for name, values in lengths.items()},
    }


def _woven(outer: list[int], inner: list[int]) -> list[int]:
    return [*itertools.chain.from_iterable(zip(outer, inner, strict=False)), outer[-1]]


def gradients(model: nn.Module, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(batch).loss.backward()
    return {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}


@every_model
@pytest.mark.parametrize("seed", range(3))
def test_what_is_too_long_for_its_speech_leaves_nothing_in_loss_and_gradients(
    make: Callable[[], Any], seed: int
) -> None:
    torch.manual_seed(1)
    model, batch = make().eval(), make_batch()
    more = with_too_long_ones(batch, seed)
    alone, together = model(batch), model(more)
    assert together.weight == alone.weight == 9
    assert float(together.stats["too_short"].value) == pytest.approx(400 / 7)
    assert together.stats["too_short"].units == 7
    torch.testing.assert_close(together.loss, alone.loss, atol=1e-5, rtol=1e-5)
    for name in alone.stats.keys() - {"too_short"}:
        torch.testing.assert_close(together.stats[name], alone.stats[name], atol=1e-5, rtol=1e-5)
    expected, found = gradients(model, batch), gradients(model, more)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-4)


@every_model
@pytest.mark.parametrize("training", [True, False])
def test_a_batch_in_which_nothing_fits_counts_nothing(make: Callable[[], Any], training: bool) -> None:
    torch.manual_seed(1)
    model, more = make().train(training), with_too_long_ones(make_batch(), 0)
    batch = {name: value[::2] for name, value in more.items()}
    loss, stats, weight = model(batch)
    assert (float(loss.detach()), int(weight)) == (0.0, 0)
    assert float(stats["too_short"].value) == 100.0
    loss.backward()
    assert all(each.grad is None or not each.grad.any() for each in model.parameters())
    assert all(bool(value.isfinite()) for name, value in stats.items() if name != "too_short")


@every_model
def test_a_model_knows_how_many_frames_it_leaves(make: Callable[[], Any]) -> None:
    model = make().eval()
    for factor in (2, 4, 8):
        model.subsampling.strides = stage_strides(factor, 3)
        for conv, stride in zip(model.subsampling.convs, model.subsampling.strides, strict=True):
            conv.stride = (stride, 2)
        lengths = torch.arange(1, 70)
        assert model.output_lengths(lengths).tolist() == model.encode(torch.zeros(69, 69, 16), lengths)[1].tolist()


def test_the_joint_models_decoder_starts_and_ends_with_the_last_token() -> None:
    model = ConformerJoint(16, 9, **SMALL_JOINT)
    given, wanted = model.teacher_forcing(torch.tensor([[3, 4], [5, -1]]), torch.tensor([2, 1]))
    assert given.tolist() == [[8, 3, 4], [8, 5, 0]]
    assert wanted.tolist() == [[3, 4, 8], [5, 8, -1]]


def test_the_joint_models_attention_loss_ignores_padding() -> None:
    torch.manual_seed(1)
    model = ConformerJoint(16, 9, **SMALL_JOINT).eval()
    batch = make_batch()
    losses = [model(row_of(batch, row)) for row in range(3)]
    ends = [one.weight + 1 for one in losses]
    mean = sum(one.stats["loss_attention"] * end for one, end in zip(losses, ends, strict=True)) / sum(ends)
    torch.testing.assert_close(model(batch).stats["loss_attention"], mean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BiLSTMCTC(16, 9, subsampling=3), "choose one of 1, 2, 4, 8"),
        (lambda: BiLSTMCTC(16, 9, stack_after=2), "stack_after must be between 0 and num_layers - 1"),
        (lambda: BiLSTMCTC(16, 9, normalize="speaker"), "normalize must be global or utterance"),
        (lambda: ConformerCTC(16, 9, intermediate_layers=[8]), "intermediate_layers must be between 1 and"),
    ],
    ids=["subsampling", "stack_after", "normalize", "intermediate_layers"],
)
def test_a_setting_out_of_range_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("model", [BiLSTMCTC, ConformerCTC, ConformerJoint])
def test_an_unknown_setting_is_refused_by_name(model: type[nn.Module]) -> None:
    with pytest.raises(TypeError, match="hiden_size"):
        model(16, 9, hiden_size=3)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "distance"),
    [
        ([], [], 0),
        ([1, 2, 3], [1, 2, 3], 0),
        ([1, 3], [1, 2, 3], 1),
        ([1, 9, 2], [1, 2], 1),
        ([4], [1, 2], 2),
        ([1], [], 1),
    ],
    ids=["empty", "same", "deletion", "insertion", "substitution", "no reference"],
)
def test_edit_distance(hypothesis: list[int], reference: list[int], distance: int) -> None:
    assert edit_distance(hypothesis, reference) == distance
