"""CTC probabilities of given token sequences, in numpy.

`joint_beam` asks for the probability that the tokens of an utterance begin with a prefix (`PrefixScorer`), `rescore`
for that of whole sequences (`sequence_log_probs`). Both sum over all alignments in the log domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.tokenizer import BLANK_ID

Floats = NDArray[np.float64]


def sequence_log_probs(log_probs: np.ndarray, sequences: Sequence[Sequence[int]]) -> Floats:
    """log P(tokens) of some token sequences by the forward algorithm (Graves et al., 2006).

    Args:
        log_probs: (T, V).
        sequences: token ids, without blanks, each of any length.

    Returns:
        (sequences,); -inf for one that does not fit into T frames.
    """
    scores = log_probs.astype(np.float64)
    states, skips, ends = _states(sequences)
    alpha = np.full(states.shape, -np.inf)
    alpha[:, 0] = 0.0  # one step before the first frame, so that it may go into a blank or a token
    before = np.full((len(states), 1), -np.inf)
    for frame in scores:
        one = np.concatenate([before, alpha[:, :-1]], axis=1)
        two = np.where(skips, np.concatenate([before, before, alpha[:, :-2]], axis=1), -np.inf)
        alpha = np.logaddexp(np.logaddexp(alpha, one), two) + frame[states]
    rows = np.arange(len(states))
    last = np.where(ends > 0, alpha[rows, np.maximum(ends - 1, 0)], -np.inf)
    return np.logaddexp(alpha[rows, ends], last) if len(scores) else np.where(ends > 0, -np.inf, 0.0)


def _states(sequences: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Blanks between tokens (N, 2 L + 1), which of them may be entered from two before, and the last state of each."""
    lengths = np.array([len(tokens) for tokens in sequences], dtype=np.int64)
    states = np.full((len(sequences), 2 * int(lengths.max(initial=0)) + 1), BLANK_ID, dtype=np.int64)
    for row, tokens in zip(states, sequences, strict=True):
        row[1 : 2 * len(tokens) : 2] = tokens
    skips = np.zeros(states.shape, dtype=np.bool_)
    skips[:, 2:] = (states[:, 2:] != BLANK_ID) & (states[:, 2:] != states[:, :-2])
    return states, skips, 2 * lengths


@dataclass(frozen=True)
class PrefixState:
    """Forward variables of some prefixes: probability mass after each frame, ending in the last token or in a blank."""

    label: Floats
    """(N, T)."""
    blank: Floats
    """(N, T)."""
    last: NDArray[np.int64]
    """(N,) last token of each prefix; the blank for the empty prefix."""

    def __getitem__(self, rows: NDArray[np.int64]) -> "PrefixState":
        return PrefixState(self.label[rows], self.blank[rows], self.last[rows])


class PrefixScorer:
    """CTC prefix probabilities, for label-synchronous search (Watanabe et al., 2017, algorithm 2).

    Args:
        log_probs: (T, V) of one utterance, T at least 1.
    """

    def __init__(self, log_probs: np.ndarray) -> None:
        self._scores = log_probs.astype(np.float64)

    def start(self) -> PrefixState:
        """The state of the empty prefix alone."""
        blank = np.cumsum(self._scores[:, BLANK_ID])[None]
        return PrefixState(np.full_like(blank, -np.inf), blank, np.array([BLANK_ID]))

    def end(self, state: PrefixState) -> Floats:
        """(N,) log probabilities that the prefixes are all there is."""
        return np.logaddexp(state.label[:, -1], state.blank[:, -1])

    def extensions(self, state: PrefixState, tokens: NDArray[np.int64]) -> Floats:
        """(N, C) log probabilities that what is said begins with a prefix and one of its (N, C) tokens."""
        repeats = tokens == state.last[:, None]
        reach = np.where(repeats[..., None], state.blank[:, None], self._any(state)[:, None])[..., :-1]
        values = self._scores.T[tokens]
        mass = reach + values[..., 1:]
        first = np.where((state.last == BLANK_ID)[:, None], values[..., 0], -np.inf)
        return np.logaddexp(first, np.logaddexp.reduce(mass, axis=-1, initial=-np.inf))

    def extend(self, state: PrefixState, tokens: NDArray[np.int64]) -> PrefixState:
        """Each prefix with its one of (N,) tokens."""
        reach = np.where((tokens == state.last)[:, None], state.blank, self._any(state))
        values, pause = self._scores.T[tokens], self._scores[:, BLANK_ID]
        label, blank = np.full_like(reach, -np.inf), np.full_like(reach, -np.inf)
        label[:, 0] = np.where(state.last == BLANK_ID, values[:, 0], -np.inf)
        for frame in range(1, reach.shape[1]):
            label[:, frame] = np.logaddexp(label[:, frame - 1], reach[:, frame - 1]) + values[:, frame]
            blank[:, frame] = np.logaddexp(blank[:, frame - 1], label[:, frame - 1]) + pause[frame]
        return PrefixState(label, blank, tokens)

    @staticmethod
    def _any(state: PrefixState) -> Floats:
        return np.logaddexp(state.label, state.blank)
