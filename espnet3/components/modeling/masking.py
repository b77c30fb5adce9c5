"""Which frames of a padded batch are real.

Every layer that mixes frames (convolution, attention, recurrence) asks this module, so that an utterance gives the
same numbers alone and in any batch. A model that will only read utterances one by one is exported `without_padding`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_has_padding = ContextVar("has_padding", default=True)


@contextmanager
def without_padding() -> Iterator[None]:
    """Inside, all frames count as real: `mask_frames` does nothing, and leaves no operator in what is traced."""
    token = _has_padding.set(False)
    try:
        yield
    finally:
        _has_padding.reset(token)


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """True where a frame is real: (B,) lengths to (B, size) booleans."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def mask_frames(frames: Tensor, lengths: Tensor, dim: int = 1) -> Tensor:
    """Zero the padding of frames (B, ..., T, ...), where T is the dimension `dim`."""
    if not _has_padding.get():
        return frames
    mask = length_mask(lengths, frames.shape[dim])
    for _ in range(1, dim):
        mask = mask.unsqueeze(1)
    while mask.ndim < frames.ndim:
        mask = mask.unsqueeze(-1)
    return frames * mask


def turned_positions(lengths: Tensor, size: int) -> Tensor:
    """Where each frame of a flattened batch (B * size,) comes from when utterances are turned; the padding stays."""
    positions = torch.arange(size, device=lengths.device)[None, :]
    ends = lengths[:, None]
    turned = torch.where(positions < ends, ends - 1 - positions, positions)
    starts = torch.arange(lengths.shape[0], device=lengths.device)[:, None] * size
    return (turned + starts).flatten()
