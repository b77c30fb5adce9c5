"""Where a training is: everything of the loop that a checkpoint keeps beside weights, optimizer and schedule."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from espnet3.components.training.checkpoints import TopK


@dataclass
class TrainingState:
    """Counters of a training. Epochs, batches and steps are those that are complete."""

    epoch: int = 0
    batch: int = 0
    """Batches of the current epoch, on this device."""
    step: int = 0
    """Optimizer steps since the start, with those that were skipped."""
    skipped: int = 0
    """Steps skipped in a row because the gradients were not finite."""
    rows: int = 0
    """Rows of metrics.csv."""
    top_k: list[TopK] = field(default_factory=list)
    """The best epochs so far, best first."""
    finished: bool = False

    def state_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> "TrainingState":
        """Back from a checkpoint."""
        return cls(**{**state, "top_k": [TopK(**one) for one in state["top_k"]]})
