"""Connectionist temporal classification (Graves et al., 2006): the output layer and its loss.

Used by every CTC model and as the CTC branch of the joint one. Blank is token 0.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espnet3.components.data.tokenizer import BLANK_ID


class CTCLoss(NamedTuple):
    """Of each utterance of a batch."""

    losses: Tensor
    """(B,) negative log likelihoods; 0 for an utterance without a path."""
    fits: Tensor
    """(B,) booleans: False for an utterance without a path, which has fewer frames than its tokens need."""


class CTC(nn.Module):
    """A linear layer to the vocabulary, with the CTC loss.

    Args:
        input_size: dimensions of a hidden frame.
        vocab_size: tokens, with the blank.
    """

    def __init__(self, input_size: int, vocab_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, vocab_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Log probabilities (B, T, V), in float32, of hidden frames (B, T, H)."""
        return F.log_softmax(self.linear(hidden).float(), dim=-1)

    def loss(self, log_probs: Tensor, lengths: Tensor, tokens: Tensor, tokens_lengths: Tensor) -> CTCLoss:
        """Loss of log probabilities (B, T, V) of (B,) lengths against tokens (B, L), padded with anything."""
        fits = lengths >= frames_needed(tokens, tokens_lengths)
        nll = F.ctc_loss(
            log_probs.transpose(0, 1),
            tokens.clamp(min=0),
            lengths,
            tokens_lengths,
            BLANK_ID,
            reduction="none",
            zero_infinity=True,
        )
        return CTCLoss(nll.masked_fill(~fits, 0.0), fits)


def frames_needed(tokens: Tensor, tokens_lengths: Tensor) -> Tensor:
    """Fewest frames (B,) that hold the tokens (B, L): one each, and a blank between two that are the same."""
    steps = torch.arange(tokens.shape[1], device=tokens.device)[None, 1:]
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & (steps < tokens_lengths[:, None])
    return tokens_lengths + repeats.sum(dim=1)


def collapse(path: Tensor, length: int) -> list[int]:
    """The tokens of a best path (T,): repeats merged, blanks dropped."""
    merged = torch.unique_consecutive(path[:length])
    tokens: list[int] = merged[merged != BLANK_ID].tolist()
    return tokens
