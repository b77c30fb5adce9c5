"""Conformer encoder (Gulati et al., 2020) for padded batches.

Attention takes rotary position embeddings (Su et al., 2021): relative like the paper's, but a rotation of queries
and keys, so that torch's fused attention does the rest. The convolution module normalises each frame on its own
(layer norm instead of the paper's batch norm), so that neither padding nor the other utterances of a batch change a
result.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espnet3.components.modeling.masking import length_mask


@dataclass(frozen=True)
class ConformerSize:
    """The numbers that make a Conformer small or large."""

    size: int = 144
    """Dimensions of a hidden frame."""
    num_layers: int = 8
    num_heads: int = 4
    feedforward_factor: int = 4
    """Width of the feed-forward layers over `size`."""
    kernel_size: int = 15
    """Frames that the depthwise convolution sees; odd."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.size % (2 * self.num_heads):
            raise ValueError(f"size ({self.size}) must be a multiple of twice num_heads ({self.num_heads}).")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, but is {self.kernel_size}.")


class Conformer(nn.Module):
    """A stack of Conformer blocks: (B, T, size) to (B, T, size)."""

    def __init__(self, settings: ConformerSize) -> None:
        super().__init__()
        self.head_size = settings.size // settings.num_heads
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(ConformerBlock(settings) for _ in range(settings.num_layers))

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """The last block's output."""
        return self.all_layers(hidden, lengths)[-1]

    def all_layers(self, hidden: Tensor, lengths: Tensor) -> list[Tensor]:
        """Every block's output, each (B, T, size)."""
        hidden = self.dropout(hidden)
        mask = length_mask(lengths, hidden.shape[1])
        rotation = rotary_angles(hidden.shape[1], self.head_size, hidden.device)
        outputs = []
        for block in self.blocks:
            hidden = block(hidden, mask, rotation)
            outputs.append(hidden)
        return outputs


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, each with a residual; then a layer norm."""

    def __init__(self, settings: ConformerSize) -> None:
        super().__init__()
        self.feedforward_in = FeedForward(settings)
        self.attention = RotaryAttention(settings)
        self.convolution = ConvolutionModule(settings)
        self.feedforward_out = FeedForward(settings)
        self.norm = nn.LayerNorm(settings.size)

    def forward(self, hidden: Tensor, mask: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """Hidden frames (B, T, size), mask (B, T) of the real ones, cosines and sines of the positions."""
        hidden = hidden + 0.5 * self.feedforward_in(hidden)
        hidden = hidden + self.attention(hidden, mask, rotation)
        hidden = hidden + self.convolution(hidden, mask)
        hidden = hidden + 0.5 * self.feedforward_out(hidden)
        normalised: Tensor = self.norm(hidden)
        return normalised


class FeedForward(nn.Sequential):
    """Layer norm, expansion with Swish, projection."""

    def __init__(self, settings: ConformerSize) -> None:
        width = settings.size * settings.feedforward_factor
        super().__init__(
            nn.LayerNorm(settings.size),
            nn.Linear(settings.size, width),
            nn.SiLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(width, settings.size),
            nn.Dropout(settings.dropout),
        )


class RotaryAttention(nn.Module):
    """Multi-head self-attention; queries and keys are rotated by their positions."""

    def __init__(self, settings: ConformerSize) -> None:
        super().__init__()
        self.num_heads = settings.num_heads
        self.norm = nn.LayerNorm(settings.size)
        self.queries_keys_values = nn.Linear(settings.size, 3 * settings.size)
        self.output = nn.Linear(settings.size, settings.size)
        self.dropout = settings.dropout

    def forward(self, hidden: Tensor, mask: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """Hidden frames (B, T, size), mask (B, T), cosines and sines (T, head size / 2)."""
        batch, frames, size = hidden.shape
        split = self.queries_keys_values(self.norm(hidden)).view(batch, frames, 3, self.num_heads, -1)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(
            rotate(queries, rotation),
            rotate(keys, rotation),
            values,
            attn_mask=mask[:, None, None, :],
            dropout_p=dropout,
        )
        output = self.output(mixed.transpose(1, 2).reshape(batch, frames, size))
        return F.dropout(output, dropout, self.training)


class ConvolutionModule(nn.Module):
    """Pointwise gated convolution, depthwise convolution, layer norm, Swish, pointwise convolution."""

    def __init__(self, settings: ConformerSize) -> None:
        super().__init__()
        size, kernel = settings.size, settings.kernel_size
        self.norm = nn.LayerNorm(size)
        self.expand = nn.Linear(size, 2 * size)
        self.depthwise = nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=size)
        self.depthwise_norm = nn.LayerNorm(size)
        self.project = nn.Linear(size, size)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Hidden frames (B, T, size), mask (B, T)."""
        gated = F.glu(self.expand(self.norm(hidden)), dim=-1) * mask.unsqueeze(-1)
        mixed = self.depthwise(gated.transpose(1, 2)).transpose(1, 2)
        projected: Tensor = self.dropout(self.project(F.silu(self.depthwise_norm(mixed))))
        return projected


def rotary_angles(frames: int, head_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (frames, head_size / 2) of position times frequency."""
    frequencies = 10000.0 ** (-torch.arange(0, head_size, 2, device=device) / head_size)
    angles = torch.arange(frames, device=device)[:, None] * frequencies[None, :]
    return angles.cos(), angles.sin()


def rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the two halves of (B, heads, T, head size) against each other by each position's angles."""
    cos, sin = (part.to(heads.dtype) for part in rotation)
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
