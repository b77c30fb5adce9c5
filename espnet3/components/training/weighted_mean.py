"""Weighted means of what the model reports, over batches and over devices."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Reduce = Callable[[Tensor], Tensor]
"""Sum a tensor over all devices."""


class WeightedMean:
    """Running weighted means; sums are double and stay on the device, so that adding does not wait for it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: Tensor | None = None

    def add(self, stats: Mapping[str, Tensor], weight: Tensor) -> None:
        """Take in the stats of a batch, each a scalar mean over `weight` units."""
        self.names = list(stats)
        values = torch.stack([value.detach().double() for value in stats.values()])
        row = torch.cat([values * weight, weight.double().reshape(1)])
        self.sums = row if self.sums is None else self.sums + row

    def result(self, reduce: Reduce) -> dict[str, float]:
        """The means so far; nothing where nothing was added."""
        if self.sums is None:
            return {}
        *sums, weight = reduce(self.sums).tolist()
        return {name: value / weight for name, value in zip(self.names, sums, strict=True)}

    def clear(self) -> None:
        """Begin again."""
        self.sums = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"names": list(self.names), "sums": None if self.sums is None else self.sums.tolist()}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from a checkpoint."""
        self.names = list(state["names"])
        sums = state["sums"]
        self.sums = None if sums is None else torch.tensor(sums, dtype=torch.float64, device=device)
