"""Bidirectional LSTM layers for padded batches.

Packed sequences take twice the time of plain ones on a CPU; instead, the backward direction reads each utterance
turned around inside its own length, and padding comes after the last frame in both directions, where a recurrence
cannot see it.
"""

from typing import Any

import torch
from torch import Tensor, nn

from espnet3.components.modeling.masking import turned_positions


class Turn(torch.autograd.Function):
    """Turn each utterance of (B, T, D) around; the gradient is turned the same way, much quicker than a scatter."""

    @staticmethod
    def forward(ctx: Any, frames: Tensor, positions: Tensor) -> Tensor:
        """Frames (B, T, D) by positions (B * T,) of `turned_positions`."""
        ctx.positions = positions
        return _reorder(frames, positions)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Turning is its own inverse."""
        return _reorder(gradient, ctx.positions), None


def _reorder(frames: Tensor, positions: Tensor) -> Tensor:
    return frames.flatten(0, 1).index_select(0, positions).view_as(frames)


class BiLSTMLayer(nn.Module):
    """One bidirectional LSTM, layer norm and dropout: (B, T, input_size) to (B, T, 2 * hidden_size).

    Forget gates start open (Jozefowicz et al., 2015).
    """

    def __init__(self, input_size: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.forwards = _lstm(input_size, hidden_size)
        self.backwards = _lstm(input_size, hidden_size)
        self.norm = nn.LayerNorm(2 * hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Read (B, T, input_size) frames of (B,) lengths in both directions."""
        positions = turned_positions(lengths, hidden.shape[1])
        onward = self.forwards(hidden)[0]
        back = turn(self.backwards(turn(hidden, positions))[0], positions)
        dropped: Tensor = self.dropout(self.norm(torch.cat([onward, back], dim=-1)))
        return dropped


def turn(frames: Tensor, positions: Tensor) -> Tensor:
    """Turn each utterance of (B, T, D) around, by positions (B * T,) of `turned_positions`."""
    turned: Tensor = Turn.apply(frames, positions)
    return turned


def stack_frames(hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Two neighbouring frames to one: (B, T, D) of (B,) lengths to (B, ceil(T / 2), 2 * D), as in pyramidal encoders.

    The padding has to be zero.
    """
    batch, frames, size = hidden.shape
    # Without a condition, so that an export to ONNX holds for any number of frames.
    even = nn.functional.pad(hidden, (0, 0, 0, frames % 2))
    return even.reshape(batch, -1, 2 * size), stacked_lengths(lengths)


def stacked_lengths(lengths: Tensor) -> Tensor:
    """How many of (B,) frames are left by `stack_frames`."""
    return (lengths + 1) // 2


def _lstm(input_size: int, hidden_size: int) -> nn.LSTM:
    lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
    with torch.no_grad():
        biases = dict(lstm.named_parameters())
        biases["bias_hh_l0"].zero_()
        biases["bias_ih_l0"].zero_()
        biases["bias_ih_l0"][hidden_size : 2 * hidden_size] = 1.0
    return lstm
