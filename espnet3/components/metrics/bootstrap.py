"""Confidence intervals of error rates by the bootstrap.

Utterances of one speaker succeed and fail together, so whole speakers are drawn with replacement, and the rate of each
draw is taken over all its words. Source: Bisani & Ney, "Bootstrap estimates for confidence intervals in ASR performance
evaluation", ICASSP 2004 (the segments there are the groups here). Metrics call `percentile_interval`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 10_000
"""The ends of an interval vary by about 1 % of its width from seed to seed."""
_CELLS = 1_000_000
"""So many groups of draws are held at a time: 20 MB."""


class Interval(NamedTuple):
    """Both ends, in percent."""

    low: float
    high: float


def percentile_interval(errors: ArrayLike, totals: ArrayLike, seed: int, level: float = 0.95) -> Interval | None:
    """The interval of 100 * sum(errors) / sum(totals) that holds `level` of the draws of groups.

    Args:
        errors: errors in each group, (groups,).
        totals: reference tokens in each group, (groups,).
        seed: of the draws; the same seed gives the same interval.
        level: part of the draws between the two ends.

    Returns:
        None where fewer than two groups have reference tokens: nothing can be said then.
    """
    error_counts, total_counts = np.asarray(errors, np.float64), np.asarray(totals, np.float64)
    if np.count_nonzero(total_counts) < 2:
        return None
    rates = _rates(error_counts, total_counts, np.random.default_rng(seed))
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _rates(errors: np.ndarray, totals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Percent in each draw; a draw without reference tokens has no rate and is left out."""
    groups = len(errors)
    at_once = max(1, _CELLS // groups)
    found = []
    for first in range(0, DRAWS, at_once):
        drawn = rng.integers(groups, size=(min(at_once, DRAWS - first), groups), dtype=np.int32)
        wrong, summed = errors[drawn].sum(axis=1), totals[drawn].sum(axis=1)
        found.append(100 * wrong[summed > 0] / summed[summed > 0])
    return np.concatenate(found)
