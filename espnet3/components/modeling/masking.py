"""Which frames of a padded batch are real.

Every layer that mixes frames (convolution, attention, recurrence) asks this module, so that an utterance gives the
same numbers alone and in any batch.
"""

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """True where a frame is real: (B,) lengths to (B, size) booleans."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def mask_frames(frames: Tensor, lengths: Tensor) -> Tensor:
    """Zero the padding of frames (B, T, D)."""
    return frames * length_mask(lengths, frames.shape[1]).unsqueeze(-1)


def turned_positions(lengths: Tensor, size: int) -> Tensor:
    """Where each frame of a flattened batch (B * size,) comes from when utterances are turned; the padding stays."""
    positions = torch.arange(size, device=lengths.device)[None, :]
    ends = lengths[:, None]
    turned = torch.where(positions < ends, ends - 1 - positions, positions)
    starts = torch.arange(lengths.shape[0], device=lengths.device)[:, None] * size
    return (turned + starts).flatten()
