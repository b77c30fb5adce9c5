"""The gradients of several batches, on several ranks, as those of one batch of all their utterances.

The loop asks, between the forward and the backward of each batch, what to multiply its loss with. A loss is a mean
over the batch's units (tokens, say), so each counts by their number. The gradients are a mean at any time and never a
sum, so that they keep the size that clipping, 16 bits and the scaler of a loss expect.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from espnet3.components.training.ranks import total, world_size

_TINY = torch.finfo(torch.float64).tiny
"""Instead of a number of units that is zero, by which nothing can be divided."""


class Accumulation:
    """The batches since the last optimizer step.

    Args:
        parameters: those whose gradients add up.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.weight: Tensor | None = None
        """Units of the batches so far, on all ranks; None before the first batch."""

    def clear(self) -> None:
        """Begin again, after a step."""
        self.weight = None

    def is_empty(self) -> bool:
        """Whether all batches so far have no unit on any rank, so that there is nothing to learn from them."""
        return self.weight is not None and not bool(self.weight)

    def factor(self, weight: Tensor) -> Tensor | float:
        """What the loss of a batch of `weight` units on this rank counts; the gradients so far count less from now on.

        Every rank has to call it, one that has no utterance of the batch with a weight of zero.
        """
        batch = total(weight.double())
        before, self.weight = self.weight, batch if self.weight is None else self.weight + batch
        share = _share(weight, batch)
        if before is None:
            return share
        units = self.weight.clamp(min=_TINY)
        _scale(self.parameters, before / units)
        return share * (batch / units).to(torch.float32)


def _share(weight: Tensor, batch: Tensor) -> Tensor | float:
    """What this rank's mean counts, so that the mean over ranks is the mean over all their units."""
    world = world_size()
    return 1.0 if world == 1 else (weight * world / batch.clamp(min=_TINY)).to(torch.float32)


def _scale(parameters: Iterable[nn.Parameter], factor: Tensor) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if gradients:
        torch._foreach_mul_(gradients, factor.to(torch.float32))
