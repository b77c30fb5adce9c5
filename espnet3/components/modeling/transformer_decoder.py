"""Transformer decoder (Vaswani et al., 2017), pre-norm: the attention branch of the joint model.

Called in training with whole transcripts (teacher forcing) and in joint decoding with the hypotheses' prefixes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espnet3.components.modeling.masking import length_mask


@dataclass(frozen=True)
class DecoderSize:
    """The numbers that make a decoder small or large."""

    num_layers: int = 2
    num_heads: int = 4
    feedforward_size: int = 576
    dropout: float = 0.1


class TransformerDecoder(nn.Module):
    """Tokens so far and an utterance's hidden frames to the log probabilities of each next token.

    Args:
        vocab_size: tokens, with the start symbol.
        size: dimensions of a hidden frame, and of the decoder.
        settings: layers, heads, widths.
    """

    def __init__(self, vocab_size: int, size: int, settings: DecoderSize) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(vocab_size, size)
        self.dropout = nn.Dropout(settings.dropout)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        layer = nn.TransformerDecoderLayer(
            size, settings.num_heads, settings.feedforward_size, settings.dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, settings.num_layers, norm=nn.LayerNorm(size))
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.output = nn.Linear(size, vocab_size)

    def forward(self, tokens: Tensor, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Log probabilities (N, L, V) after each of the tokens (N, L), which begin with the start symbol.

        Hidden frames are (N, T, size) of (N,) lengths. A token sees itself, those before it and every real frame.
        """
        count = tokens.shape[1]
        future = torch.ones(count, count, dtype=torch.bool, device=tokens.device).triu(1)
        embedded = self.embedding(tokens) * math.sqrt(self.size) + sinusoids(count, self.size, tokens.device)
        decoded = self.layers(
            self.dropout(embedded),
            hidden,
            tgt_mask=future,
            memory_key_padding_mask=~length_mask(lengths, hidden.shape[1]),
        )
        return F.log_softmax(self.output(decoded).float(), dim=-1)


def sinusoids(count: int, size: int, device: torch.device) -> Tensor:
    """Sine and cosine position codes (count, size)."""
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, device=device) / size)
    angles = torch.arange(count, device=device)[:, None] * frequencies[None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
