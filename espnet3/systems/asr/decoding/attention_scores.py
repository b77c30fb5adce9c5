"""What an attention decoder says of the next token of each hypothesis, for the hypotheses of a batch at once.

`joint_search` asks, a token at a time. A decoder that keeps what it knows of the tokens before (`start` and `step`, as
`TransformerDecoder` has them) is asked for the new token alone; any other decoder is called with all tokens again.
"""

from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]


class AttentionScores(Protocol):
    """The scorer of the hypotheses, K of each of B utterances."""

    def next(self, last: Indices) -> NDArray[np.float64]:
        """Log probabilities (B, K, V) of one more token, after the (B, K) last ones; at first the start symbol's."""

    def select(self, utterances: Indices, hypotheses: Indices) -> Self:
        """The scorer of some (B',) of the utterances, with the hypotheses (B', K') of each."""


def attention_scores(decoder: Any, hidden: Tensor, lengths: Tensor) -> AttentionScores:
    """The scorer of a decoder, for hidden frames (B, T, H) of (B,) lengths."""
    if hasattr(decoder, "start") and hasattr(decoder, "step"):
        return _Stepwise(decoder, decoder.start(hidden, lengths))
    return _Anew(decoder, hidden, lengths, np.zeros((len(hidden), 1, 0), np.int64))


class _Stepwise:
    def __init__(self, decoder: Any, state: Any) -> None:
        self.decoder = decoder
        self.state = state

    def next(self, last: Indices) -> NDArray[np.float64]:
        log_probs, self.state = self.decoder.step(_on(last, self.state.mask), self.state)
        return _numbers(log_probs)

    def select(self, utterances: Indices, hypotheses: Indices) -> "_Stepwise":
        mask = self.state.mask
        return _Stepwise(self.decoder, self.state.select(_on(utterances, mask), _on(hypotheses, mask)))


class _Anew:
    def __init__(self, decoder: Any, hidden: Tensor, lengths: Tensor, tokens: Indices) -> None:
        self.decoder = decoder
        self.hidden = hidden
        self.lengths = lengths
        self.tokens = tokens

    def next(self, last: Indices) -> NDArray[np.float64]:
        self.tokens = np.concatenate([self.tokens, last[..., None]], axis=-1)
        rows, count = self.tokens.shape[0] * self.tokens.shape[1], self.tokens.shape[1]
        hidden = self.hidden.repeat_interleave(count, dim=0)
        tokens = _on(self.tokens.reshape(rows, -1), hidden)
        log_probs = self.decoder(tokens, hidden, self.lengths.repeat_interleave(count))[:, -1]
        return _numbers(log_probs.unflatten(0, (-1, count)))

    def select(self, utterances: Indices, hypotheses: Indices) -> "_Anew":
        kept = _on(utterances, self.hidden)
        return _Anew(self.decoder, self.hidden[kept], self.lengths[kept], self.tokens[utterances[:, None], hypotheses])


def _on(array: Indices, other: Tensor) -> Tensor:
    return torch.from_numpy(array).to(other.device)


def _numbers(log_probs: Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = log_probs.double().cpu().numpy()
    return numbers
