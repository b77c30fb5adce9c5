"""The scores of a validation do not depend on how many ranks work on it, bit by bit."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from espnet3.components.training.data_module import STAND_IN
from espnet3.components.training.outputs import Loss
from espnet3.components.training.validation import validate
from tests.components.training.on_ranks import on_ranks

VALUES = [[random.Random(number).uniform(0, 99) for _ in range(number % 4 + 1)] for number in range(11)]
"""Of the units of each batch; sums of such numbers depend on their order."""


class Mean(nn.Module):
    """Reports the mean of a batch and, of every third, of the squares; what a stand-in has is no number."""

    offset: Tensor

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("offset", torch.tensor(offset))

    def forward(self, batch: dict[str, Any]) -> Loss:
        values = torch.tensor(batch["values"]) + self.offset
        stats: dict[str, Tensor] = {"loss": values.mean()}
        if batch["number"] % 3 == 0:
            stats["square"] = (values**2).mean()
        return Loss(values.mean(), stats, torch.tensor(len(values)))


def dealt(rank: int, ranks: int, count: int) -> Iterator[dict[str, Any]]:
    own = range(count)[rank::ranks]
    yield from ({"number": number, "values": VALUES[number]} for number in own)
    for _ in range(-(-count // ranks) - len(own)):
        yield {"number": 0, "values": [float("nan")], STAND_IN: True}


@pytest.mark.parametrize("count", [1, 2, 5, 11])
def test_any_number_of_ranks_finds_the_same(count: int) -> None:
    def scores(fabric: Fabric) -> tuple[dict[str, float], int]:
        calls: list[None] = []
        batches = dealt(fabric.global_rank, fabric.world_size, count)
        # As after an epoch with a batch norm, whose buffers each rank has its own of.
        model = Mean(offset=float(fabric.global_rank))
        return validate(fabric, model, batches, lambda: calls.append(None)), len(calls)

    alone = on_ranks(1, scores)
    assert alone[0][1] == count
    for ranks in (2, 3, 4):
        assert on_ranks(ranks, scores) == [(alone[0][0], -(-count // ranks))] * ranks


def test_the_means_are_over_units() -> None:
    found = validate(Fabric(accelerator="cpu", devices=1), Mean(), dealt(0, 1, 3), lambda: None)
    units = [value for values in VALUES[:3] for value in values]
    squares = [value**2 for value in VALUES[0]]
    assert found == pytest.approx({"loss": sum(units) / len(units), "square": sum(squares) / len(squares)})


def test_the_model_is_left_in_evaluation_mode() -> None:
    model = Mean()
    modes = []
    validate(Fabric(accelerator="cpu", devices=1), model, dealt(0, 1, 2), lambda: modes.append(model.training))
    assert modes == [False, False]
