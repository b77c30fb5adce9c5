"""Joint CTC and attention decoding: one-pass, label-synchronous beam search.

After Watanabe et al., "Hybrid CTC/attention architecture for end-to-end speech recognition" (2017): the attention
decoder proposes tokens, and a hypothesis's score adds to its log probability that of the CTC prefix, and where there
is a word n-gram, that of its words. Named by the `decoder` of an inference config, for models with an attention
`decoder`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from espnet3.errors import ConfigError
from espnet3.systems.asr.decoding.backoff import Ngram
from espnet3.systems.asr.decoding.ctc_scores import PrefixScorer, PrefixState
from espnet3.systems.asr.decoding.decoder import Hypothesis, arrays
from espnet3.systems.asr.decoding.words import WordRules, WordScorer, WordState, special_tokens, spell


@dataclass(frozen=True)
class JointBeamDecoder:
    """`(1 - ctc_weight) log P_attention + ctc_weight log P_ctc + token_bonus * tokens`, and the words' score.

    Raises:
        ConfigError: a setting is out of range.
    """

    beam: int = 10
    """Hypotheses kept at each length."""
    ctc_weight: float = 0.3
    token_bonus: float = 0.0
    """Added for each token."""
    lm: Ngram | None = None
    """A word n-gram, e.g. espnet3.systems.asr.decoding.ngram.WordNgram."""
    lm_weight: float = 0.3
    word_bonus: float = 0.0
    """Added for each word; counts only with `lm`."""
    proposals: int = 20
    """Tokens of the attention decoder that are tried after each hypothesis."""
    margin: float = 15.0
    """A hypothesis whose score lies so far below the best finished one is given up."""

    def __post_init__(self) -> None:
        if self.beam < 1 or self.proposals < 1 or not 0 <= self.ctc_weight <= 1:
            raise ConfigError(
                "beam and proposals are at least 1, ctc_weight is between 0 and 1; "
                f"given: {self.beam}, {self.proposals} and {self.ctc_weight}."
            )

    def decode_batch(self, model: Any, feats: Any, lengths: Any, preprocessor: Any) -> list[Hypothesis]:
        """See `espnet3.systems.asr.decoding.decoder.Decoder`.

        Raises:
            ConfigError: the model has no attention decoder.
        """
        if not hasattr(model, "decoder"):
            raise ConfigError(
                f"JointBeamDecoder needs a model with an attention decoder, which {type(model).__name__} is not. Use "
                "espnet3.systems.asr.decoding.prefix_beam.PrefixBeamDecoder."
            )
        hidden, out_lengths = model.encode(feats, lengths)
        log_probs = arrays(model.ctc(hidden), out_lengths)
        words = self._words(preprocessor.tokenizer)
        frames = [hidden[row, :length] for row, length in enumerate(out_lengths.tolist())]
        searches = [_Search(self, model, *pair, words) for pair in zip(frames, log_probs, strict=True)]
        found = [search.run(special_tokens(preprocessor.tokenizer)) for search in searches]
        return [Hypothesis(preprocessor.tokenizer.decode(list(tokens)), tokens, score) for tokens, score in found]

    def _words(self, tokenizer: Any) -> WordScorer | None:
        if self.lm is None:
            return None
        return WordScorer(self.lm, WordRules(self.lm_weight, self.word_bonus), spell(tokenizer))


Finished = tuple[tuple[int, ...], float]
"""Token ids and score."""


@dataclass(frozen=True)
class _Beam:
    """Unfinished hypotheses of one length."""

    tokens: list[tuple[int, ...]]
    attention: np.ndarray
    """(N,) log probabilities by the attention decoder."""
    ctc: PrefixState
    words: list[WordState | None]
    scores: np.ndarray
    """(N,) with everything."""


@dataclass(frozen=True)
class _Search:
    """The search in one utterance."""

    settings: JointBeamDecoder
    model: Any
    hidden: Tensor
    """(T', H)."""
    log_probs: np.ndarray
    """(T', V)."""
    words: WordScorer | None

    def run(self, special: set[int]) -> Finished:
        """The best hypothesis; nothing where there are no frames."""
        if not len(self.log_probs):
            return (), 0.0
        prefixes = PrefixScorer(self.log_probs)
        words = self.words.start() if self.words else None
        beam = _Beam([()], np.zeros(1), prefixes.start(), [words], np.zeros(1))
        best: Finished = ((), -math.inf)
        for _ in range(len(self.log_probs) + 1):
            attention = self._attention(beam)
            best = self._finish(beam, attention, prefixes, best)
            beam = self._grow(beam, attention, prefixes, special)
            beam = _select(beam, np.flatnonzero(beam.scores > best[1] - self.settings.margin))
            if not beam.tokens:
                break
        return best

    def _attention(self, beam: _Beam) -> np.ndarray:
        """(N, V) log probabilities of each hypothesis with one more token."""
        sos = self.log_probs.shape[1] - 1
        device = self.hidden.device
        tokens = torch.tensor([[sos, *tokens] for tokens in beam.tokens], device=device)
        hidden = self.hidden.expand(len(tokens), -1, -1)
        lengths = torch.full((len(tokens),), len(self.hidden), device=device)
        following = self.model.decoder(tokens, hidden, lengths)[:, -1]
        scores: np.ndarray = beam.attention[:, None] + following.double().cpu().numpy()
        return scores

    def _finish(self, beam: _Beam, attention: np.ndarray, prefixes: PrefixScorer, best: Finished) -> Finished:
        """The best of `best` and the hypotheses that end here."""
        scores = self._mixed(attention[:, -1], prefixes.end(beam.ctc), len(beam.tokens[0]))
        if self.words is not None:
            scores = scores + np.array([self.words.finish(state) for state in beam.words if state])
        winner = int(np.argmax(scores))
        return (beam.tokens[winner], float(scores[winner])) if scores[winner] > best[1] else best

    def _grow(self, beam: _Beam, attention: np.ndarray, prefixes: PrefixScorer, special: set[int]) -> _Beam:
        """The best hypotheses that are one token longer."""
        allowed = attention.copy()
        allowed[:, [*special, -1]] = -np.inf
        count = min(self.settings.proposals, allowed.shape[1])
        tokens = np.argpartition(-allowed, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(allowed, tokens, axis=1)
        scores = self._mixed(values, prefixes.extensions(beam.ctc, tokens), len(beam.tokens[0]) + 1)
        scores[np.isneginf(values)] = -np.inf
        states = [
            [self.words.extend(state, int(token)) if self.words and state else None for token in row]
            for state, row in zip(beam.words, tokens, strict=True)
        ]
        if self.words is not None:
            scores = scores + np.array([[state.total if state else -np.inf for state in row] for row in states])
        order = np.argsort(-scores, axis=None, kind="stable")[: self.settings.beam]
        rows, columns = np.unravel_index(order[scores.ravel()[order] > -np.inf], scores.shape)
        chosen = tokens[rows, columns]
        return _Beam(
            tokens=[(*beam.tokens[row], int(token)) for row, token in zip(rows, chosen, strict=True)],
            attention=values[rows, columns],
            ctc=prefixes.extend(beam.ctc[rows], chosen),
            words=[states[row][column] for row, column in zip(rows, columns, strict=True)],
            scores=scores[rows, columns],
        )

    def _mixed(self, attention: np.ndarray, ctc: np.ndarray, length: int) -> np.ndarray:
        share = self.settings.ctc_weight
        mixed = attention if share == 0 else ctc if share == 1 else (1 - share) * attention + share * ctc
        return np.asarray(mixed + self.settings.token_bonus * length)


def _select(beam: _Beam, rows: np.ndarray) -> _Beam:
    return _Beam(
        tokens=[beam.tokens[row] for row in rows],
        attention=beam.attention[rows],
        ctc=beam.ctc[rows],
        words=[beam.words[row] for row in rows],
        scores=beam.scores[rows],
    )
