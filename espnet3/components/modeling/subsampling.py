"""Convolutional front ends: log-mel frames at 100 Hz to hidden frames at 50, 25 or 12.5 Hz.

Every encoder starts with one. Strides are powers of two, a stage of stride 2 leaves ceil(n / 2) frames, and the
padding is zeroed after every stage so that it never reaches a real frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from espnet3.components.modeling.masking import mask_frames


def stage_strides(factor: int, stages: int) -> list[int]:
    """Time strides of `stages` convolutions that together subsample by `factor`, the early ones first.

    Raises:
        ValueError: the factor is not a power of two or needs more stages.
    """
    halvings = factor.bit_length() - 1
    if factor != 2**halvings or halvings > stages:
        accepted = ", ".join(str(2**n) for n in range(stages + 1))
        raise ValueError(
            f"Subsampling by {factor} is not possible with {stages} convolutions; choose one of {accepted}."
        )
    return [2] * halvings + [1] * (stages - halvings)


def frames_after(lengths: Tensor, strides: Sequence[int]) -> Tensor:
    """How many of (B,) frames stages of these strides leave."""
    for stride in strides:
        lengths = (lengths + stride - 1) // stride
    return lengths


@dataclass(frozen=True)
class ConvSubsampling2dSize:
    """The numbers of a `ConvSubsampling2d`."""

    output_size: int
    """Dimensions of a hidden frame."""
    factor: int = 4
    """Subsampling in time: 1, 2, 4 or 8 with three stages."""
    channels: tuple[int, ...] = (32, 32, 64)
    """Output channels of the stages."""
    channel_dropout: float = 0.0
    """Probability that a whole channel of the last stage is dropped."""


class ConvSubsampling2d(nn.Module):
    """3x3 convolutions over time and frequency, then a linear layer and a layer norm.

    Frequency is halved by every stage, time by as many stages as the factor needs.

    Args:
        input_size: dimensions of a frame.
        settings: output, factor, channels.
    """

    def __init__(self, input_size: int, settings: ConvSubsampling2dSize) -> None:
        super().__init__()
        self.strides = stage_strides(settings.factor, len(settings.channels))
        self.convs = nn.ModuleList()
        previous, bins = 1, input_size
        for width, stride in zip(settings.channels, self.strides, strict=True):
            self.convs.append(nn.Conv2d(previous, width, 3, (stride, 2), 1))
            previous, bins = width, (bins + 1) // 2
        self.channel_dropout = nn.Dropout2d(settings.channel_dropout)
        self.linear = nn.Linear(previous * bins, settings.output_size)
        self.norm = nn.LayerNorm(settings.output_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """How many hidden frames (B,) it makes of (B,) frames."""
        return frames_after(lengths, self.strides)

    def forward(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) frames of (B,) lengths to (B, T', H) hidden frames and their lengths."""
        maps = feats.unsqueeze(1)
        for conv, stride in zip(self.convs, self.strides, strict=True):
            maps = torch.relu(conv(maps))
            lengths = frames_after(lengths, [stride])
            maps = mask_frames(maps, lengths, dim=2)
        maps = self.channel_dropout(maps)
        hidden = self.norm(self.linear(maps.transpose(1, 2).flatten(2)))
        return hidden, lengths


class ConvSubsampling1d(nn.Module):
    """Convolutions over time alone: cheaper than two dimensions, less exact on small data.

    Args:
        input_size: dimensions of a frame.
        output_size: dimensions of a hidden frame, and of the stages between.
        factor: subsampling in time: 1, 2, 4 or 8.
        kernel_size: frames that a stage sees; odd.
    """

    def __init__(self, input_size: int, output_size: int, factor: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.strides = [stride for stride in stage_strides(factor, 3) if stride > 1] or [1]
        sizes = [input_size] + [output_size] * (len(self.strides) - 1)
        self.convs = nn.ModuleList(
            nn.Conv1d(size, output_size, kernel_size, stride, kernel_size // 2)
            for size, stride in zip(sizes, self.strides, strict=True)
        )
        self.norm = nn.LayerNorm(output_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """How many hidden frames (B,) it makes of (B,) frames."""
        return frames_after(lengths, self.strides)

    def forward(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) frames of (B,) lengths to (B, T', H) hidden frames and their lengths."""
        hidden = feats
        for conv, stride in zip(self.convs, self.strides, strict=True):
            hidden = torch.relu(conv(hidden.transpose(1, 2)).transpose(1, 2))
            lengths = frames_after(lengths, [stride])
            hidden = mask_frames(hidden, lengths)
        return self.norm(hidden), lengths
