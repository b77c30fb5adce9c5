"""CTC probabilities of given token sequences, in numpy.

`joint_search` asks for the probability that the tokens of an utterance begin with a prefix (`PrefixScorer`, for all
hypotheses of a batch at once), `rescore` for that of whole sequences (`sequence_log_probs`). Both sum over all
alignments in the log domain.
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
    """Forward variables of K prefixes of each of B utterances, after each of T frames."""

    utterances: NDArray[np.int64]
    """(B,) which of the scorer's utterances these are."""
    label: Floats
    """(B, K, T) probability mass that ends in the last token."""
    blank: Floats
    """(B, K, T) probability mass that ends in a blank."""
    last: NDArray[np.int64]
    """(B, K) last token of each prefix; the blank for the empty prefix."""

    def select(self, rows: NDArray[np.int64], prefixes: NDArray[np.int64]) -> "PrefixState":
        """The state of some (B',) of the utterances, with the prefixes (B', K') of each; any of them twice."""
        place = (rows[:, None], prefixes)
        return PrefixState(self.utterances[rows], self.label[place], self.blank[place], self.last[place])


class PrefixScorer:
    """CTC prefix probabilities, for label-synchronous search (Watanabe et al., 2017, algorithm 2).

    Args:
        log_probs: (T, V) of each utterance, T at least 1.
    """

    def __init__(self, log_probs: Sequence[np.ndarray]) -> None:
        self._ends = np.array([len(frames) for frames in log_probs]) - 1
        # A token's frames beside each other, because they are read together; nothing is possible in the padding.
        shape = (len(log_probs), log_probs[0].shape[1], int(self._ends.max()) + 1)
        self._scores = np.full(shape, _IMPOSSIBLE, log_probs[0].dtype)
        for row, frames in zip(self._scores, log_probs, strict=True):
            row[:, : len(frames)] = np.maximum(frames.T, _IMPOSSIBLE)

    def start(self) -> PrefixState:
        """The state of the empty prefix of each utterance."""
        blank = _possible(np.cumsum(self._scores[:, None, BLANK_ID], axis=-1, dtype=np.float64))
        utterances = np.arange(len(blank))
        return PrefixState(utterances, np.full_like(blank, -np.inf), blank, np.full(blank.shape[:2], BLANK_ID))

    def end(self, state: PrefixState) -> Floats:
        """(B, K) log probabilities that the prefixes are all there is."""
        rows, ends = np.arange(len(state.utterances)), self._ends[state.utterances]
        return np.logaddexp(state.label[rows, :, ends], state.blank[rows, :, ends])

    def extensions(self, state: PrefixState, tokens: NDArray[np.int64]) -> Floats:
        """(B, K, C) log probabilities that what is said begins with a prefix and one of its (B, K, C) tokens."""
        values = self._scores[state.utterances[:, None, None], tokens]
        reach, later = self._any(state)[..., :-1], values[..., 1:]
        mass = _log_product(reach, later)
        repeats = np.nonzero(tokens == state.last[..., None])
        mass[repeats] = _log_product(state.blank[repeats[:2]][:, :-1], later[repeats][:, None])[:, 0]
        first = np.where((state.last == BLANK_ID)[..., None], values[..., 0], -np.inf)
        return _possible(np.logaddexp(first, mass))

    def extend(self, state: PrefixState, tokens: NDArray[np.int64]) -> PrefixState:
        """Each prefix with its one of (B, K) tokens."""
        reach = np.where((tokens == state.last)[..., None], state.blank, self._any(state))
        values = self._scores[state.utterances[:, None], tokens].astype(np.float64)
        begun = np.where(state.last == BLANK_ID, values[..., 0], -np.inf)
        label = _flow(begun, reach, values)
        pause = self._scores[state.utterances, None, BLANK_ID].astype(np.float64)
        blank = _flow(np.full_like(begun, -np.inf), label, pause)
        return PrefixState(state.utterances, label, blank, tokens)

    @staticmethod
    def _any(state: PrefixState) -> Floats:
        return np.logaddexp(state.label, state.blank)


_IMPOSSIBLE = -1e6
"""Instead of a log probability of -inf, of which there is no difference; no hour of speech is so unlikely."""

_SMALL = 1e-200
"""Of a sum of products, what is so small may lack terms that were too small for a number; it is taken in logarithms."""


def _possible(scores: Floats) -> Floats:
    """Log probabilities with -inf again for what is not possible."""
    return np.where(scores > _IMPOSSIBLE / 2, scores, -np.inf)


def _log_product(reach: Floats, scores: np.ndarray) -> Floats:
    """`log(sum over t of exp(reach[t] + scores[t]))`, (..., T) by (..., C, T), as (..., C); T may be 0."""
    shift = _finite(reach.max(axis=-1, initial=-np.inf))
    mass = np.exp(reach - shift[..., None])
    sums = (np.exp(scores).astype(np.float64) @ mass[..., None])[..., 0]
    small = np.nonzero(sums < _SMALL)
    with np.errstate(divide="ignore"):
        logs: Floats = np.log(sums) + shift[..., None]
    logs[small] = np.logaddexp.reduce(reach[small[:-1]] + scores[small], axis=-1, initial=-np.inf)
    return logs


def _finite(scores: Floats) -> Floats:
    return np.where(np.isneginf(scores), 0.0, scores)


def _flow(begun: Floats, inflow: Floats, scores: Floats) -> Floats:
    """`x[t] = log(exp x[t-1] + exp inflow[t-1]) + scores[t]` from `x[0] = begun`, (..., T), for all t at once.

    Divided by the product of all scores so far, it is a plain sum.
    """
    total = np.cumsum(scores, axis=-1)
    terms = np.concatenate([(begun - total[..., 0])[..., None], inflow[..., :-1] - total[..., :-1]], axis=-1)
    return _possible(np.logaddexp.accumulate(terms, axis=-1) + total)
