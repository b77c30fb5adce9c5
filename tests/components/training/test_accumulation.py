"""The gradients of several batches, on several ranks, are those of one batch of all their utterances."""

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from espnet3.components.training.accumulation import Accumulation
from tests.components.training.on_ranks import on_ranks

Utterances = list[list[float]]
"""The tokens of each."""

GROUPS: dict[str, list[Utterances]] = {
    "one batch": [[[1.0, 2.0], [5.0]]],
    "batches of equal length": [[[1.0, 2.0]], [[3.0, 5.0]]],
    "a long and a short one": [[[1.0] * 90], [[0.0] * 10]],
    "a short and a long one": [[[0.0] * 3], [[1.0] * 900]],
    "the last of one token": [[[1.0] * 7, [3.0] * 5], [[2.0] * 6], [[9.0]]],
    "fewer utterances than ranks": [[[4.0, 8.0]], [[1.0], [2.0, 3.0], [7.0]], [[6.0] * 5, [5.0]]],
    "a batch of no token": [[[3.0, 1.0]], [[]], [[2.0]]],
    "the first of no token": [[[]], [[3.0, 1.0], [8.0]]],
}


class Net(nn.Module):
    """Its loss is a mean over tokens, and so is the gradient of its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, utterances: Utterances) -> tuple[Tensor, Tensor]:
        tokens = torch.tensor([token for utterance in utterances for token in utterance])
        return (self.weight * tokens).sum() / max(len(tokens), 1), torch.tensor(len(tokens))


def gradient(fabric: Fabric, batches: list[Utterances]) -> float:
    """Of a step over the batches, each dealt to the ranks; one without an utterance stands in for another."""
    net = Net()
    model, _ = fabric.setup(net, torch.optim.SGD(net.parameters(), lr=1.0))
    accumulation = Accumulation(model.parameters())
    for number, batch in enumerate(batches, start=1):
        share = batch[fabric.global_rank :: fabric.world_size]
        with fabric.no_backward_sync(model, enabled=number < len(batches)):
            loss, weight = model(share or batch[:1])
            fabric.backward(loss * accumulation.factor(weight if share else torch.zeros_like(weight)))
    assert net.weight.grad is not None
    return float(net.weight.grad)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("case", GROUPS)
def test_a_token_counts_the_same_in_whichever_batch_and_rank(case: str, ranks: int) -> None:
    tokens = [token for batch in GROUPS[case] for utterance in batch for token in utterance]
    found = on_ranks(ranks, lambda fabric: gradient(fabric, GROUPS[case]))
    assert found == [pytest.approx(sum(tokens) / len(tokens), rel=1e-6)] * ranks


def test_one_batch_on_one_rank_is_taken_as_it_is() -> None:
    assert Accumulation([]).factor(torch.tensor(7)) == 1.0


def test_a_group_begins_anew_after_a_step() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    accumulation = Accumulation([parameter])
    accumulation.factor(torch.tensor(7))
    accumulation.clear()
    assert accumulation.factor(torch.tensor(1)) == 1.0
    assert parameter.grad.tolist() == [1.0, 1.0, 1.0]


def test_the_gradients_are_a_mean_at_any_time() -> None:
    """Neither the parameters' 16 bits nor the scaler of a loss stand sums over thousands of tokens."""
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float16))
    accumulation = Accumulation([parameter])
    for _ in range(5):
        torch.autograd.backward(parameter.sum() * 3.0 * accumulation.factor(torch.tensor(60_000)))
        assert parameter.grad is not None
        assert parameter.grad.item() == pytest.approx(3.0, rel=2e-3)
