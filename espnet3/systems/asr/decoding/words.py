"""Scoring words while a search spells them with tokens.

The beam decoders carry a `WordState` with each prefix and extend it by a token. It works for any tokens whose symbols
spell text: characters with a space, or pieces in which `▁` begins a word. The word that is still being spelled counts
with the likeliest word that it can become, so that pruning sees the language model early (look-ahead, as in Ortmanns
and Ney, 2000). Where hypotheses come from and how many are kept is up to the decoders.
"""

import math
from dataclasses import dataclass

from espnet3.components.data.tokenizer import BLANK_ID, BOUNDARY, SPACE, UNKNOWN
from espnet3.systems.asr.decoding.backoff import END, Ngram, Words
from espnet3.systems.asr.decoding.decoder import Vocabulary

_GAP = "▁"


@dataclass(slots=True)
class WordState:
    """What the scorer knows of a prefix."""

    context: Words
    """The n-gram context after the finished words."""
    letters: str
    """Of the unfinished word."""
    finished: float
    """Weighted log probability and bonus of the finished words."""
    total: float
    """`finished`, and the unfinished word with look-ahead."""


@dataclass(frozen=True)
class WordRules:
    """How words count in a search."""

    weight: float
    """Of the language model's log probability."""
    bonus: float
    """Added for each word."""
    closed: bool = False
    """Whether only words of the language model's vocabulary may be spelled."""
    unknown_letter: float = -3.3
    """Log probability added to that of `<unk>` for each letter of an unknown word."""


class WordScorer:
    """Extends word states.

    Args:
        lm: the language model.
        rules: how words count.
        spelling: what each token writes, with `▁` between words; see `spell`.
    """

    def __init__(self, lm: Ngram, rules: WordRules, spelling: list[str]) -> None:
        self._lm = lm
        self._rules = rules
        self._parts = [text.split(_GAP) for text in spelling]
        self.most_words = max(len(parts) for parts in self._parts)
        """Words that one token may write, or begin, at most."""

    def start(self) -> WordState:
        """The state before the first token."""
        return WordState(self._lm.start(), "", 0.0, 0.0)

    def extend(self, state: WordState, token: int) -> WordState | None:
        """The state after one more token; None where no allowed word begins so."""
        first, *others = self._parts[token]
        context, letters, finished = state.context, state.letters + first, state.finished
        for part in others:
            if letters:
                finished += self._word(context, letters)
                context = self._lm.push(context, letters)
            letters = part
        total = finished + self._ahead(context, letters)
        return None if total == -math.inf else WordState(context, letters, finished, total)

    def finish(self, state: WordState) -> float:
        """The weighted score of all words and of the sentence's end; -inf where the last word is not allowed."""
        context, finished = state.context, state.finished
        if state.letters:
            finished += self._word(context, state.letters)
            context = self._lm.push(context, state.letters)
        return finished + self._weighted(self._lm.score(context, END))

    def _word(self, context: Words, word: str) -> float:
        if self._lm.knows(word):
            return self._weighted(self._lm.score(context, word)) + self._rules.bonus
        return self._unknown(context, word)

    def _unknown(self, context: Words, word: str) -> float:
        if self._rules.closed:
            return -math.inf
        log_prob = self._lm.score(context, word) + len(word) * self._rules.unknown_letter
        return self._weighted(log_prob) + self._rules.bonus

    def _ahead(self, context: Words, letters: str) -> float:
        if not letters:
            return 0.0
        best = self._lm.best(context, letters)
        known = -math.inf if best == -math.inf else self._weighted(best) + self._rules.bonus
        return max(known, self._unknown(context, letters))

    def _weighted(self, log_prob: float) -> float:
        return self._rules.weight * log_prob if self._rules.weight else 0.0


def spell(tokenizer: Vocabulary) -> list[str]:
    """What each token writes, with `▁` for a space; nothing for the blank, `<unk>` and the start and end symbol."""
    silent = special_tokens(tokenizer)
    return ["" if index in silent else _GAP if text == SPACE else text for index, text in enumerate(tokenizer.symbols)]


def special_tokens(tokenizer: Vocabulary) -> set[int]:
    """Ids that a beam never puts into a hypothesis: the blank, `<unk>`, and the start and end symbol."""
    return {BLANK_ID} | {index for index, symbol in enumerate(tokenizer.symbols) if symbol in (UNKNOWN, BOUNDARY)}
