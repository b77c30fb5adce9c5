"""Bootstrap intervals against closed forms and simple truths."""

import math

import numpy as np
import pytest
from numpy.typing import ArrayLike

from espnet3.components.metrics.bootstrap import Interval, percentile_interval


def interval(errors: ArrayLike, totals: ArrayLike, seed: int) -> Interval:
    found = percentile_interval(errors, totals, seed)
    assert found is not None
    return found


def test_equal_groups_follow_the_normal_approximation() -> None:
    """With many groups of one word each, the interval is that of a proportion: p ± 1.96 sqrt(p (1 - p) / n)."""
    errors = np.zeros(2000)
    errors[:400] = 1
    half = 1.96 * math.sqrt(0.2 * 0.8 / 2000)

    low, high = interval(errors, np.ones(2000), seed=1)

    assert low == pytest.approx(100 * (0.2 - half), abs=0.15)
    assert high == pytest.approx(100 * (0.2 + half), abs=0.15)


def test_two_groups_give_their_own_rates_as_ends() -> None:
    """Of two groups, a draw takes one of them twice with probability 1/4 each: more than the 2.5 % that are cut off."""
    assert interval([0, 10], [100, 100], seed=0) == (0, 10)


def test_words_of_a_speaker_stay_together() -> None:
    """40 errors in 400 words: spread evenly over the speakers they vary less than heaped on one."""
    even = interval([10, 10, 10, 10], [100] * 4, seed=3)
    heaped = interval([40, 0, 0, 0], [100] * 4, seed=3)

    assert even.low == even.high == 10
    assert heaped.high - heaped.low >= 20


def test_the_same_seed_gives_the_same_interval() -> None:
    errors, totals = np.arange(30), np.full(30, 50)

    assert interval(errors, totals, seed=5) == interval(errors, totals, seed=5)
    assert interval(errors, totals, seed=5) != interval(errors, totals, seed=6)


def test_many_groups_are_drawn_in_parts() -> None:
    low, high = interval(np.ones(3000), np.full(3000, 10), seed=0)

    assert (low, high) == (10, 10)


@pytest.mark.parametrize("totals", [[], [5], [5, 0], [0, 0]], ids=["none", "one", "one with words", "no words"])
def test_too_few_groups_have_no_interval(totals: list[int]) -> None:
    assert percentile_interval([0] * len(totals), totals, seed=0) is None


def test_draws_without_words_are_left_out() -> None:
    low, high = interval([1, 1, 0, 0, 0], [10, 10, 0, 0, 0], seed=0)

    assert (low, high) == (10, 10)
