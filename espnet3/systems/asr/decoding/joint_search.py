"""The search of joint decoding: all utterances of a batch, and all hypotheses of each, one token further at a time.

`JointBeamDecoder` has the settings and calls it. Hypotheses lie on a grid, K of each of B utterances, the best first;
where an utterance has fewer, the rest of its row scores -inf. An utterance leaves the grid when none of its hypotheses
can become the best any more. What attention, CTC and words say of a hypothesis is up to `attention_scores`,
`ctc_scores` and `words`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from espnet3.systems.asr.decoding.attention_scores import AttentionScores, attention_scores
from espnet3.systems.asr.decoding.ctc_scores import PrefixScorer, PrefixState
from espnet3.systems.asr.decoding.words import WordRules, WordScorer, WordState, special_tokens, spell

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_ROUNDING = 1e-6
"""By which a score may grow all the same."""


class Frames(NamedTuple):
    """What the encoder made of B utterances, each of at least one frame."""

    log_probs: Sequence[np.ndarray]
    """(T', V) of each, of the CTC output."""
    hidden: Tensor
    """(B, T', H)."""
    lengths: Tensor
    """(B,)."""


class Finished(NamedTuple):
    """A hypothesis that is complete."""

    tokens: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class _Beam:
    """Unfinished hypotheses of one length, K of each of B utterances."""

    utterances: Indices
    """(B,) which these are."""
    tokens: Indices
    """(B, K, L)."""
    scores: Floats
    """(B, K) with everything; -inf where there is no hypothesis."""
    attention: Floats
    """(B, K) log probabilities by the attention decoder."""
    next_token: AttentionScores
    ctc: PrefixState
    words: list[list[WordState | None]]
    """K of each of B; None where there is no language model, or no hypothesis."""


class _Candidates(NamedTuple):
    """Each hypothesis with some tokens more: (B, K, C)."""

    tokens: Indices
    scores: Floats
    attention: Floats
    words: list[list[list[WordState | None]]]


class JointSearch:
    """The search in the utterances of a batch.

    Args:
        settings: a `JointBeamDecoder`.
        decoder: the model's attention decoder.
        frames: what the encoder made of the utterances.
        tokenizer: its symbols.
    """

    def __init__(self, settings: Any, decoder: Any, frames: Frames, tokenizer: Any) -> None:
        self.settings = settings
        self.attention = attention_scores(decoder, frames.hidden, frames.lengths)
        self.prefixes = PrefixScorer(frames.log_probs)
        self.lengths = np.array([len(log_probs) for log_probs in frames.log_probs])
        self.sos = frames.log_probs[0].shape[1] - 1
        self.excluded = [*special_tokens(tokenizer), self.sos]
        rules = WordRules(settings.lm_weight, settings.word_bonus)
        self.words = None if settings.lm is None else WordScorer(settings.lm, rules, spell(tokenizer))

    def run(self) -> list[Finished]:
        """The best hypothesis of each utterance."""
        best = [Finished((), -math.inf)] * len(self.lengths)
        beam = self._start()
        while len(beam.utterances):
            last = beam.tokens[..., -1] if beam.tokens.shape[-1] else np.full(beam.scores.shape, self.sos)
            attention = beam.attention[..., None] + beam.next_token.next(last)
            self._finish(beam, attention, best)
            candidates = self._candidates(beam, attention)
            beam = self._grown(beam, candidates, np.array([finished.score for finished in best]))
        return best

    def _start(self) -> _Beam:
        count = len(self.lengths)
        none = np.zeros((count, 1))
        words = self.words.start() if self.words else None
        tokens = np.zeros((count, 1, 0), np.int64)
        return _Beam(
            np.arange(count), tokens, none, none, self.attention, self.prefixes.start(), [[words] for _ in range(count)]
        )

    def _finish(self, beam: _Beam, attention: Floats, best: list[Finished]) -> None:
        """Put hypotheses that end here in the place of worse ones in `best`."""
        scores = self._mixed(attention[..., -1], self.prefixes.end(beam.ctc), beam.tokens.shape[-1])
        if self.words is not None:
            scores = scores + [[self.words.finish(state) if state else -np.inf for state in row] for row in beam.words]
        scores[np.isneginf(beam.scores)] = -np.inf
        for row, winner in enumerate(scores.argmax(axis=1)):
            utterance = beam.utterances[row]
            if scores[row, winner] > best[utterance].score:
                tokens = tuple(beam.tokens[row, winner].tolist())
                best[utterance] = Finished(tokens, float(scores[row, winner]))

    def _candidates(self, beam: _Beam, attention: Floats) -> _Candidates:
        """The tokens that attention proposes after each hypothesis."""
        allowed = attention.copy()
        allowed[..., self.excluded] = -np.inf
        count = min(self.settings.proposals, allowed.shape[-1])
        tokens = np.argpartition(-allowed, count - 1, axis=-1)[..., :count]
        values = np.take_along_axis(allowed, tokens, axis=-1)
        scores = self._mixed(values, self.prefixes.extensions(beam.ctc, tokens), beam.tokens.shape[-1] + 1)
        scores[np.isneginf(values) | np.isneginf(beam.scores)[..., None]] = -np.inf
        words = [
            [self._followed(*pair) for pair in zip(states, chosen, strict=True)]
            for states, chosen in zip(beam.words, tokens.tolist(), strict=True)
        ]
        if self.words is not None:
            scores = scores + [[[s.total if s else -np.inf for s in states] for states in row] for row in words]
        return _Candidates(tokens, scores, values, words)

    def _followed(self, state: WordState | None, tokens: list[int]) -> list[WordState | None]:
        if self.words is None or state is None:
            return [None] * len(tokens)
        return [self.words.extend(state, token) for token in tokens]

    def _grown(self, beam: _Beam, candidates: _Candidates, best: Floats) -> _Beam:
        """The best candidates, where they may still become better than the `best` (utterances,) finished ones."""
        found = candidates.scores.reshape(len(beam.utterances), -1)
        order = np.argsort(-found, axis=1, kind="stable")[:, : self.settings.beam]
        scores = np.take_along_axis(found, order, axis=1)
        left = self.lengths[beam.utterances] - beam.tokens.shape[-1]
        alive = (scores > (best[beam.utterances] - self._most_to_gain(left))[:, None]) & (left > 0)[:, None]
        rows = np.flatnonzero(alive.any(axis=1))
        width = int(alive.sum(axis=1).max(initial=0))
        order, scores, alive = order[rows, :width], scores[rows, :width], alive[rows, :width]
        parents, columns = np.divmod(order, candidates.tokens.shape[-1])
        place = (rows[:, None], parents, columns)
        chosen = candidates.tokens[place]
        return _Beam(
            utterances=beam.utterances[rows],
            tokens=np.concatenate([beam.tokens[rows[:, None], parents], chosen[..., None]], axis=-1),
            scores=np.where(alive, scores, -np.inf),
            attention=candidates.attention[place],
            next_token=beam.next_token.select(rows, parents),
            ctc=self.prefixes.extend(beam.ctc.select(rows, parents), chosen),
            words=[
                [candidates.words[row][parent][column] for parent, column in zip(*pair, strict=True)]
                for row, *pair in zip(rows, parents.tolist(), columns.tolist(), strict=True)
            ],
        )

    def _most_to_gain(self, left: Indices) -> Floats:
        """How far below the best finished hypothesis one may lie that is kept, where so many (B,) tokens may follow.

        Of what makes a score, only bonuses can add to it: log probabilities do not, and those of CTC prefixes and of
        words count all that may come of them. Without bonuses, what is worse than a finished hypothesis stays so.
        """
        settings = self.settings
        if self.words is not None and settings.lm_weight < 0:
            return np.full(len(left), settings.margin)
        words = self.words.most_words if self.words else 0
        bonus = max(0.0, settings.token_bonus) + max(0.0, settings.word_bonus) * words
        return np.asarray(np.minimum(settings.margin, bonus * left + _ROUNDING))

    def _mixed(self, attention: Floats, ctc: Floats, length: int) -> Floats:
        share = self.settings.ctc_weight
        mixed = attention if share == 0 else ctc if share == 1 else (1 - share) * attention + share * ctc
        return np.asarray(mixed + self.settings.token_bonus * length)
