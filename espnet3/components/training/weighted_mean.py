"""Weighted means of what the model reports, over batches and over ranks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from espnet3.components.training.outputs import Mean
from espnet3.components.training.ranks import gather


class WeightedMean:
    """Running weighted means; sums are double and stay on the device, so that adding does not wait for it.

    A name counts where it was reported: ranks and batches may report different ones, or nothing at all.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: Tensor | None = None
        """(2, names): of the weighted values, and of the weights."""

    def add(self, stats: Mapping[str, Tensor | Mean], weight: Tensor) -> None:
        """Take in the stats of a batch, each a scalar mean over `weight` units, or over its own."""
        means = [value if isinstance(value, Mean) else Mean(value, weight) for value in stats.values()]
        values = torch.stack([mean.value.detach().double() for mean in means])
        units = torch.stack([mean.units.double() for mean in means])
        self._add(list(stats), torch.stack([values * units, units]))

    def values(self) -> dict[str, float]:
        """The means on this rank; not a number where all weights were zero, nothing where nothing was added."""
        if self.sums is None:
            return {}
        sums, weights = self.sums.tolist()
        pairs = zip(self.names, sums, weights, strict=True)
        return {name: value / weight if weight else float("nan") for name, value, weight in pairs}

    def result(self) -> dict[str, float]:
        """The means over all ranks, each of which has to call this, whether it has something to add or not."""
        everyone = WeightedMean()
        for state in gather(self.state_dict()):
            everyone.load_state_dict(state, torch.device("cpu"))
        return everyone.values()

    def clear(self) -> None:
        """Begin again."""
        self.sums = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: names, then as many sums and as many weights."""
        return {"names": list(self.names), "sums": None if self.sums is None else self.sums.flatten().tolist()}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Add what a checkpoint, or another rank, has summed up."""
        names, sums = list(state["names"]), state["sums"]
        if sums is None:
            return
        sums = sums + sums[-1:] * (2 * len(names) - len(sums))  # earlier checkpoints have one weight for all names
        self._add(names, torch.tensor(sums, dtype=torch.float64, device=device).reshape(2, -1))

    def _add(self, names: list[str], sums: Tensor) -> None:
        if self.sums is None:
            self.names, self.sums = names, sums
            return
        if names != self.names:
            union = [*self.names, *(name for name in names if name not in self.names)]
            self.sums, sums = _aligned(self.names, self.sums, union), _aligned(names, sums, union)
            self.names = union
        self.sums = self.sums + sums


def _aligned(names: list[str], sums: Tensor, union: list[str]) -> Tensor:
    """Columns (2, names) in the order of `union`, with zeros for the names that are not there."""
    aligned = sums.new_zeros(2, len(union))
    aligned[:, [union.index(name) for name in names]] = sums
    return aligned
