"""Feature normalisation that travels with the model's weights.

The training stage fills `GlobalMVN` from the statistics that `collect_stats` wrote; as buffers they are in every
checkpoint, so inference needs no statistics file. `UtteranceMVN` needs none at all. Both leave the padding at zero.
"""

import numpy as np
import torch
from torch import Tensor, nn

from espnet3.components.modeling.masking import mask_frames


class GlobalMVN(nn.Module):
    """Subtract the mean and divide by the standard deviation of the training data.

    Args:
        size: dimensions of a frame.
        floor: smallest standard deviation, for dimensions that hardly move.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, floor: float = 1e-5) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def set_statistics(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Take over the statistics, each of shape (size,).

        Raises:
            ValueError: another number of dimensions than the model was built for.
        """
        if mean.shape != tuple(self.mean.shape) or std.shape != tuple(self.std.shape):
            raise ValueError(
                f"The statistics are of shape {mean.shape}, the model takes {tuple(self.mean.shape)}. "
                "Run collect_stats again."
            )
        self.mean.copy_(torch.as_tensor(mean, dtype=self.mean.dtype))
        self.std.copy_(torch.as_tensor(std, dtype=self.std.dtype))

    def forward(self, feats: Tensor, lengths: Tensor) -> Tensor:
        """Normalise (B, T, D) frames of (B,) lengths."""
        return mask_frames((feats - self.mean) / self.std.clamp(min=self.floor), lengths)


class UtteranceMVN(nn.Module):
    """Subtract each utterance's own mean and divide by its own standard deviation, dimension by dimension.

    Args:
        floor: added to the standard deviation, so that silence stays small.
    """

    def __init__(self, floor: float = 1e-3) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, feats: Tensor, lengths: Tensor) -> Tensor:
        """Normalise (B, T, D) frames of (B,) lengths."""
        count = lengths.clamp(min=1)[:, None, None]
        mean = mask_frames(feats, lengths).sum(dim=1, keepdim=True) / count
        centred = mask_frames(feats - mean, lengths)
        std = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
        return centred / (std + self.floor)
