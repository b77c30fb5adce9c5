"""The ASR models: what a batch gives, alone or padded, and that each learns a batch by heart."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

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
