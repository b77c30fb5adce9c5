"""Back-off n-gram models: the log probability of a word after others, and of the best word with some first letters.

The beam decoders ask them. Estimating one is in `smoothing`, the file format in `arpa`; `ngram` gets one for a config.
"""

import math
from bisect import bisect_left
from functools import cached_property

Words = tuple[str, ...]

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
_LAST = "\U0010ffff"


class Ngram:
    """A back-off n-gram model; all logarithms are natural.

    Args:
        order: words of the longest n-gram.
        log_probs: log P(last word | words before it) of the n-grams that have their own.
        log_backoffs: log of the factor on the shorter context's probability, by context; 0 where left out.
    """

    def __init__(self, order: int, log_probs: dict[Words, float], log_backoffs: dict[Words, float]) -> None:
        self.order = order
        self.log_probs = log_probs
        self.log_backoffs = log_backoffs
        self._best: dict[tuple[Words, str], float] = {}

    @cached_property
    def words(self) -> list[str]:
        """The vocabulary, sorted, without the marks for start, end and unknown words."""
        return sorted(ngram[0] for ngram in self.log_probs if len(ngram) == 1 and ngram[0] not in (START, END, UNKNOWN))

    def start(self) -> Words:
        """The context at the beginning of a sentence."""
        return (START,)[: self.order - 1]

    def push(self, context: Words, word: str) -> Words:
        """The context after `word`."""
        known = word if (word,) in self.log_probs else UNKNOWN
        return (*context, known)[max(0, len(context) + 2 - self.order) :]

    def knows(self, word: str) -> bool:
        """Whether `word` is in the vocabulary."""
        return (word,) in self.log_probs and word not in (START, END, UNKNOWN)

    def score(self, context: Words, word: str) -> float:
        """Log P(word | context); of `<unk>` for a word that is not in the vocabulary."""
        if (word,) not in self.log_probs:
            word = UNKNOWN
        backoff = 0.0
        for start in range(len(context) + 1):
            if (found := self.log_probs.get((*context[start:], word))) is not None:
                return backoff + found
            backoff += self.log_backoffs.get(context[start:], 0.0)
        return -math.inf

    def best(self, context: Words, letters: str) -> float:
        """Log probability of the likeliest vocabulary word that begins with `letters`; -inf where there is none."""
        key = (context, letters)
        if key not in self._best:
            followers = self._followers.get(context, [])
            end = bisect_left(followers, letters + _LAST)
            start = bisect_left(followers, letters)
            scores = [self.log_probs[(*context, word)] for word in followers[start:end]]
            if context:
                scores.append(self.log_backoffs.get(context, 0.0) + self.best(context[1:], letters))
            self._best[key] = max(scores, default=-math.inf)
        return self._best[key]

    def sentence(self, text: str) -> float:
        """Log probability of the words of `text` and of the sentence's end."""
        context, total = self.start(), 0.0
        for word in (*text.split(), END):
            total += self.score(context, word)
            context = self.push(context, word)
        return total

    @cached_property
    def _followers(self) -> dict[Words, list[str]]:
        """The words that have a probability of their own after a context, sorted."""
        followers: dict[Words, list[str]] = {}
        for *context, word in sorted(self.log_probs):
            if word not in (START, END, UNKNOWN):
                followers.setdefault(tuple(context), []).append(word)
        return followers
