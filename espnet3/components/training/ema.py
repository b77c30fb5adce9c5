"""An exponential moving average of the weights (Polyak & Juditsky, 1992), validated and kept instead of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage:
    """A copy of a model that follows it slowly; buffers are those of the model.

    Args:
        model: whom it follows.
        decay: share of itself that it keeps at each step; less at the start, to forget the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.original = model
        self.averaged = AveragedModel(model, multi_avg_fn=_update_by(decay))

    @property
    def model(self) -> nn.Module:
        """The copy, to be called with a batch."""
        module: nn.Module = self.averaged.module
        return module

    def update(self) -> None:
        """Follow the model after an optimizer step."""
        self.averaged.update_parameters(self.original)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"weights": self.model.state_dict(), "count": int(self.averaged.n_averaged)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["weights"])
        self.averaged.n_averaged.fill_(state["count"])


def _update_by(decay: float) -> Callable[[Any, Any, Any], None]:
    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        now = min(decay, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(list(averaged), list(current), 1 - now)

    return update
