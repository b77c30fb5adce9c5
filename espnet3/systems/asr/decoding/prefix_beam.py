"""CTC prefix beam search with an optional word n-gram and lexicon.

Sums over the paths of each prefix in the log domain (Graves, 2012, section 3.4.2; Hannun et al., "First-pass large
vocabulary continuous speech recognition using bi-directional recurrent DNNs", 2014). Named by the `decoder` of an
inference config. Prefixes are nodes of a tree, so that a path is extended, merged and dropped without being copied,
and a language model is asked once for each prefix. Works on arrays; knows no torch.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from espnet3.components.data.tokenizer import BLANK_ID
from espnet3.errors import ConfigError
from espnet3.systems.asr.decoding.backoff import Ngram
from espnet3.systems.asr.decoding.decoder import CTCDecoder, Hypothesis, Vocabulary
from espnet3.systems.asr.decoding.words import WordRules, WordScorer, WordState, special_tokens, spell

NEVER = -math.inf

Frame = tuple[np.ndarray, list[tuple[int, float]]]
"""(V,) log probabilities of a frame, and the tokens that are worth appending there, with theirs."""


@dataclass
class PrefixBeamDecoder(CTCDecoder):
    """The most probable text, approximately.

    With a language model, a text's score is `log P_ctc + lm_weight * log P_lm + word_bonus * words`.

    Raises:
        ConfigError: a setting is out of range.
    """

    beam: int = 25
    """Prefixes kept after each frame."""
    lm: Ngram | None = None
    """A word n-gram, e.g. espnet3.systems.asr.decoding.ngram.WordNgram."""
    lm_weight: float = 0.5
    word_bonus: float = 1.0
    """Added for each word, against the language model's liking for few words; counts only with `lm`."""
    closed: bool = False
    """Allow only words of the language model's vocabulary."""
    unknown_letter_log_prob: float = -3.3
    """What an unknown word costs in the language model for each letter, besides the probability of `<unk>`."""
    max_tokens: int = 20
    """Most tokens that are tried in a frame."""
    min_token_log_prob: float = -9.0
    """Tokens below are not tried in a frame; -inf tries all of `max_tokens`."""
    _ready_for: tuple[Vocabulary, "_Rules"] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.beam < 1 or self.max_tokens < 1:
            raise ConfigError(f"beam and max_tokens are at least 1; given: {self.beam} and {self.max_tokens}.")
        if self.closed and self.lm is None:
            raise ConfigError("closed: true allows the words of a language model only, but lm names none. Set lm.")

    def __call__(self, log_probs: np.ndarray, tokenizer: Vocabulary) -> Hypothesis:
        """The best hypothesis of (T', V) log probabilities."""
        return self.n_best(log_probs, tokenizer)[0]

    def n_best(self, log_probs: np.ndarray, tokenizer: Vocabulary) -> list[Hypothesis]:
        """At most `beam` hypotheses of different text, best first."""
        rules = self._rules(tokenizer)
        beam = [_Prefix(None, BLANK_ID, rules.words.start() if rules.words else None)]
        beam[0].blank = beam[0].total = 0.0
        for frame, tokens in self._frames(log_probs, rules.silent):
            reached = _advance(beam, frame, tokens, rules.words)
            reached.sort(key=_score, reverse=True)
            beam = reached[: self.beam]
        return _hypotheses(beam, rules.words, tokenizer)

    def _frames(self, log_probs: np.ndarray, silent: list[int]) -> Iterator[Frame]:
        """Choose for all frames at once which tokens are worth trying."""
        scores = log_probs.astype(np.float64)
        tried = scores.copy()
        tried[:, silent] = NEVER
        count = min(self.max_tokens, tried.shape[1])
        best = np.argpartition(-tried, count - 1, axis=1)[:, :count]
        best.sort(axis=1)
        for frame, tokens in zip(scores, best, strict=True):
            values = frame[tokens].tolist()
            pairs = zip(tokens.tolist(), values, strict=True)
            floor = max(self.min_token_log_prob, -1e30)
            yield frame, [(token, value) for token, value in pairs if value > floor and token not in silent]

    def _rules(self, tokenizer: Vocabulary) -> "_Rules":
        if self._ready_for is None or self._ready_for[0] is not tokenizer:
            how = WordRules(self.lm_weight, self.word_bonus, self.closed, self.unknown_letter_log_prob)
            words = WordScorer(self.lm, how, spell(tokenizer)) if self.lm is not None else None
            self._ready_for = tokenizer, _Rules(words, sorted(special_tokens(tokenizer)))
        return self._ready_for[1]


@dataclass(frozen=True)
class _Rules:
    """What follows from the settings and the tokenizer."""

    words: WordScorer | None
    silent: list[int]
    """Tokens that are never tried."""


class _Prefix:
    """A node of the tree: a sequence of tokens, and its probability mass after the current frame."""

    __slots__ = ("blank", "children", "label", "lm", "new_blank", "new_label", "parent", "token", "total", "words")

    def __init__(self, parent: "_Prefix | None", token: int, words: WordState | None) -> None:
        self.parent = parent
        self.token = token
        self.words = words
        self.lm = words.total if words else 0.0
        self.children: dict[int, _Prefix | None] = {}
        self.blank = self.label = self.total = NEVER
        self.new_blank = self.new_label = NEVER

    def child(self, token: int, scorer: WordScorer | None) -> "_Prefix | None":
        """The prefix with one more token; None where no allowed word begins so."""
        words = scorer.extend(self.words, token) if scorer and self.words else None
        refused = scorer is not None and words is None
        found = self.children[token] = None if refused else _Prefix(self, token, words)
        return found

    def settle(self) -> "_Prefix":
        """Take what the frame brought."""
        self.blank, self.label = self.new_blank, self.new_label
        self.total = log_add(self.blank, self.label)
        self.new_blank = self.new_label = NEVER
        return self

    def tokens(self) -> tuple[int, ...]:
        """The tokens from the root to here."""
        found: list[int] = []
        node = self
        while node.parent is not None:
            found.append(node.token)
            node = node.parent
        return tuple(reversed(found))


def _advance(
    beam: list[_Prefix], frame: np.ndarray, tokens: list[tuple[int, float]], scorer: WordScorer | None
) -> list[_Prefix]:
    """The prefixes that the beam can be after a frame, with their probabilities."""
    value = frame.item
    blank = value(BLANK_ID)
    reached: dict[_Prefix, None] = {}
    for prefix in beam:
        prefix.new_blank = log_add(prefix.new_blank, prefix.total + blank)
        if prefix.label > NEVER:
            prefix.new_label = log_add(prefix.new_label, prefix.label + value(prefix.token))
        reached[prefix] = None
        for token, log_prob in tokens:
            mass = prefix.blank if token == prefix.token else prefix.total
            if mass == NEVER:
                continue
            children = prefix.children
            child = children[token] if token in children else prefix.child(token, scorer)
            if child is not None:
                child.new_label = log_add(child.new_label, mass + log_prob)
                reached[child] = None
    return [prefix.settle() for prefix in reached]


def _score(prefix: _Prefix) -> float:
    return prefix.total + prefix.lm


def _hypotheses(beam: list[_Prefix], scorer: WordScorer | None, tokenizer: Vocabulary) -> list[Hypothesis]:
    """One for each text, best first; where no prefix ends in an allowed word, they are taken as they are."""
    ends = {prefix: scorer.finish(prefix.words) if scorer and prefix.words else 0.0 for prefix in beam}
    if all(end == NEVER for end in ends.values()):
        ends = {prefix: prefix.lm for prefix in beam}
    found: dict[str, Hypothesis] = {}
    for prefix in sorted(beam, key=lambda prefix: prefix.total + ends[prefix], reverse=True):
        tokens = prefix.tokens()
        text = tokenizer.decode(list(tokens))
        if ends[prefix] > NEVER:
            found.setdefault(text, Hypothesis(text, tokens, prefix.total + ends[prefix]))
    return list(found.values())


def log_add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    if one < other:
        one, other = other, one
    return one if other == NEVER else one + math.log1p(math.exp(other - one))
