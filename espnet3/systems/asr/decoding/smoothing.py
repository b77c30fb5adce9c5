"""Estimating n-gram models: interpolated Witten-Bell and interpolated modified Kneser-Ney.

Both after Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1999). `WordNgram`
calls `estimate`. An interpolated model is written in back-off form: an n-gram that was seen holds its whole
probability, and a context's back-off factor is the weight of the shorter context. Probabilities after a context sum
to one over the words, the sentence's end and `<unk>`, which gets what unseen words get.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from espnet3.systems.asr.decoding.backoff import END, START, UNKNOWN, Ngram, Words

Counts = Counter[Words]
"""Of the n-grams of one order."""

Shares = tuple[list[float], float]
"""What each seen word gets of a context's probability, and what is left for the shorter context."""

Smoothing = Callable[[list[Counts]], list[tuple[Counts, Callable[[list[int]], Shares]]]]
"""From the counts of each order, lowest first, to the counts used and how those after one context are shared out."""


def estimate(sentences: Iterable[Sequence[str]], order: int, smoothing: Smoothing) -> Ngram:
    """The model of `sentences`, each a sequence of words, of which there is at least one.

    Args:
        sentences: what to learn from.
        order: words of the longest n-gram, at least 1.
        smoothing: one of `SMOOTHINGS`.
    """
    counts = count_ngrams(sentences, order)
    uniform = 1 / (len(counts[0]) + 1)
    log_probs: dict[Words, float] = {(START,): -math.inf}
    log_backoffs: dict[Words, float] = {}
    for level, share_out in smoothing(counts):
        for context, followers in _by_context(level).items():
            shares, rest = share_out(list(followers.values()))
            for word, share in zip(followers, shares, strict=True):
                lower = math.exp(log_probs[(*context[1:], word)]) if context else uniform
                log_probs[(*context, word)] = math.log(share + rest * lower)
            if context:
                log_backoffs[context] = math.log(rest)
            else:
                log_probs[(UNKNOWN,)] = math.log(rest * uniform)
    return Ngram(order, log_probs, log_backoffs)


def count_ngrams(sentences: Iterable[Sequence[str]], order: int) -> list[Counts]:
    """Counts of the n-grams of 1 … `order` words; sentences have a start, which is only a context, and an end."""
    counts: list[Counts] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = (START, *sentence, END)
        for end in range(2, len(words) + 1):
            for size in range(1, min(order, end) + 1):
                counts[size - 1][words[end - size : end]] += 1
    return counts


def witten_bell(counts: list[Counts]) -> list[tuple[Counts, Callable[[list[int]], Shares]]]:
    """A context gives to the shorter one as if each different word after it had been seen once more in general."""
    return [(level, _witten_bell_shares) for level in counts]


def kneser_ney(counts: list[Counts]) -> list[tuple[Counts, Callable[[list[int]], Shares]]]:
    """Three discounts for each order; below the highest, an n-gram counts the different words before it."""
    levels = [*(_continuations(lower, higher) for lower, higher in pairwise(counts)), counts[-1]]
    return [(level, _discounting(discounts(level))) for level in levels]


SMOOTHINGS: dict[str, Smoothing] = {"witten_bell": witten_bell, "kneser_ney": kneser_ney}


def discounts(level: Counts) -> tuple[float, float, float]:
    """What is taken from a count of 1, of 2 and of 3 or more.

    Where text is so little that the formula gives no sensible values, one absolute discount for all.
    """
    seen = Counter(level.values())
    once, twice = seen[1], seen[2]
    absolute = once / (once + 2 * twice) if once and twice else 0.5
    if all(seen[times] for times in (1, 2, 3)):
        found = [times - (times + 1) * absolute * seen[times + 1] / seen[times] for times in (1, 2, 3)]
        if all(0 < discount <= times for times, discount in enumerate(found, start=1)):
            return found[0], found[1], found[2]
    return absolute, absolute, absolute


def _witten_bell_shares(counts: list[int]) -> Shares:
    total = sum(counts) + len(counts)
    return [count / total for count in counts], len(counts) / total


def _discounting(discount: tuple[float, float, float]) -> Callable[[list[int]], Shares]:
    def share_out(counts: list[int]) -> Shares:
        total = sum(counts)
        taken = [discount[min(count, 3) - 1] for count in counts]
        return [(count - less) / total for count, less in zip(counts, taken, strict=True)], sum(taken) / total

    return share_out


def _continuations(lower: Counts, higher: Counts) -> Counts:
    """How many different words stand before an n-gram; those that begin a sentence have none, and keep their counts."""
    found: Counts = Counter(ngram[1:] for ngram in higher)
    return Counter({ngram: count if ngram[0] == START else found[ngram] for ngram, count in lower.items()})


def _by_context(level: Counts) -> dict[Words, dict[str, int]]:
    contexts: dict[Words, dict[str, int]] = {}
    for ngram, count in level.items():
        contexts.setdefault(ngram[:-1], {})[ngram[-1]] = count
    return contexts
