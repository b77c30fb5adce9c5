"""The scores of a model on the validation data: the same ones on any number of ranks.

The loop calls this after each epoch. A batch is worked on whole by one rank, so what the model reports of it does not
depend on how many there are; and the batches are added up in their order, so their sum does not either.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, zip_longest
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from espnet3.components.training.data_module import STAND_IN
from espnet3.components.training.outputs import output_of
from espnet3.components.training.ranks import copy_from_first, gather
from espnet3.components.training.weighted_mean import WeightedMean

Batches = Iterable[dict[str, Any]]


def validate(fabric: Fabric, model: nn.Module, batches: Batches, after_batch: Callable[[], None]) -> dict[str, float]:
    """The means of what the model reports, over the batches of all ranks, each of which has equally many.

    Args:
        fabric: moves a batch to the device.
        model: is left in evaluation mode.
        batches: of this rank; a stand-in is worked on and not counted.
        after_batch: called after each; every rank calls it equally often.
    """
    model.eval()
    copy_from_first(model.buffers())  # those of a batch norm are each rank's own; a checkpoint holds the first's
    own = []
    with torch.no_grad():
        for batch in batches:
            _, stats, weight = output_of(model, fabric.to_device(batch))
            if STAND_IN not in batch:
                own.append(WeightedMean())
                own[-1].add(stats, weight)
            after_batch()
    return _in_order(gather([mean.state_dict() for mean in own]))


def _in_order(ranks: list[list[Mapping[str, Any]]]) -> dict[str, float]:
    """The mean over batches that were dealt to the ranks in turn."""
    everything = WeightedMean()
    for state in chain.from_iterable(zip_longest(*ranks)):
        if state is not None:
            everything.load_state_dict(state, torch.device("cpu"))
    return everything.values()
