"""What the ranks of a training tell each other: collectives, in which every rank takes part at the same point.

The loop, the checkpoints and the means call these. Where there is no process group, the one process answers itself.
Starting the processes is up to `distributed`, exchanging gradients up to Fabric.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as group

T = TypeVar("T")


def world_size() -> int:
    """How many ranks there are."""
    return group.get_world_size() if _is_group() else 1


def this_rank() -> int:
    """The number of this one, from 0."""
    return group.get_rank() if _is_group() else 0


def total(values: Tensor) -> Tensor:
    """The sum of a tensor, of the same shape on each rank, over all of them."""
    if world_size() == 1:
        return values
    summed = values.clone()
    group.all_reduce(summed)
    return summed


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any rank; tensors are exchanged on `device`."""
    return flag if world_size() == 1 else bool(total(torch.tensor(float(flag), device=device)) > 0)


def gather(own: T) -> list[T]:
    """What each rank gives, on all of them, in their order; anything that can be pickled."""
    everyone: list[Any] = [own] * world_size()
    if len(everyone) > 1:
        group.all_gather_object(everyone, own)
    return everyone


def from_first(value: T) -> T:
    """What rank 0 gives, on every rank; anything that can be pickled."""
    values: list[Any] = [value]
    if world_size() > 1:
        group.broadcast_object_list(values, src=0)
    given: T = values[0]
    return given


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors, of the same shapes on each rank, with those of rank 0."""
    if world_size() > 1:
        for tensor in tensors:
            group.broadcast(tensor, src=0)


def _is_group() -> bool:
    return group.is_available() and group.is_initialized()
