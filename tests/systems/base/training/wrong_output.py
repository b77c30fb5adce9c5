"""Models that return something else than loss, stats and weight."""

from typing import Any

import torch
from torch import Tensor

from espnet3.components.training.outputs import Mean
from espnet3.systems.asr.models.bilstm import BiLSTMCTC

INSTEAD: dict[str, Any] = {
    "the loss alone": lambda loss, stats, weight: loss,
    "nothing": lambda loss, stats, weight: None,
    "no weight": lambda loss, stats, weight: (loss, stats),
    "a loss of each utterance": lambda loss, stats, weight: (torch.stack([loss, loss]), stats, weight),
    "a number as weight": lambda loss, stats, weight: (loss, stats, 3),
    "no stats": lambda loss, stats, weight: (loss, {}, weight),
    "stats that are no dict": lambda loss, stats, weight: (loss, loss, weight),
    "a number in stats": lambda loss, stats, weight: (loss, {**stats, "ter": 0.5}, weight),
    "a mean over no number": lambda loss, stats, weight: (loss, {"ter": Mean(weight, torch.ones(2))}, weight),
}


class WrongOutput(BiLSTMCTC):
    """Returns what INSTEAD makes of the right output."""

    def __init__(self, instead: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.instead = INSTEAD[instead]

    def forward(self, *arguments: Any, **named: Any) -> Any:
        loss, stats, weight = super().forward(*arguments, **named)
        assert isinstance(loss, Tensor)
        return self.instead(loss, stats, weight)
