"""Learning rate schedules, by optimizer step; named in YAML as `scheduler._target_`.

The training stage adds `optimizer` and `total_steps`. Schedules of `torch.optim.lr_scheduler` can be named as well;
these two differ in that they stay at their last value when a training runs longer than planned.
"""

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Schedule(LRScheduler):
    """Base of a schedule that is a factor on the configured learning rate."""

    def factor(self, step: int) -> float:
        """The factor at an optimizer step, counted from 0."""
        raise NotImplementedError

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each parameter group."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def jump(self, step: int) -> None:
        """Go to an optimizer step."""
        self.last_epoch = step
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate


class WarmupCosine(Schedule):
    """A straight line up, then half a cosine down (Loshchilov & Hutter, 2017).

    Args:
        optimizer: whose learning rate is the top.
        total_steps: optimizer steps of the whole training.
        warmup_steps: steps up to the top; at most half of the training.
        final: last factor.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 200, final: float = 0.01) -> None:
        self.total_steps = total_steps
        self.warmup_steps = min(warmup_steps, total_steps // 2)
        self.final = final
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """The factor at an optimizer step, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        share = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        return anneal(1.0, self.final, share)


class OneCycle(Schedule):
    """Half a cosine up, half a cosine down (Smith & Topin, 2018), numbered as in torch's `OneCycleLR`.

    Args:
        optimizer: whose learning rate is the top.
        total_steps: optimizer steps of the whole training.
        warmup: share of the steps up to the top.
        initial: first factor.
        final: last factor.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1, initial: float = 0.05, final: float = 0.001
    ) -> None:
        self.total_steps = total_steps
        self.warmup = warmup
        self.initial = initial
        self.final = final
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """The factor at an optimizer step, counted from 0."""
        top = self.warmup * (self.total_steps + 1) - 1
        if step <= top:
            return anneal(self.initial, 1.0, step / max(top, 1e-9))
        return anneal(1.0, self.final, (step - top) / max(1e-9, self.total_steps - top))


def anneal(start: float, end: float, share: float) -> float:
    """From `start` to `end` along half a cosine; beyond it where `share` is over 1, the end."""
    return end + (start - end) * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2
