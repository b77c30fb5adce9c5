"""Utterances to batches by duration: full batches, little padding, the same on one device as on many.

Train makes a `DurationBatches` for each split and hands it to its loaders; the benchmarks measure `padding`. Reading
the utterances is up to others: only durations and indices are known here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from espnet3.errors import DataError

log = logging.getLogger(__name__)

Batch = list[int]


class Share(NamedTuple):
    """What one rank works on of a batch, while the others work on theirs."""

    indices: Batch
    """Never empty: where nothing is left for this rank, it works on what another rank counts."""
    counted: bool


class Limits(Protocol):
    """The part of the `dataloader` settings that shapes batches."""

    @property
    def batch_seconds(self) -> float:
        """Most seconds of padded audio in a batch, over all ranks together."""

    @property
    def max_batch_size(self) -> int:
        """Most utterances in a batch, over all ranks together."""

    @property
    def num_buckets(self) -> int:
        """Duration ranges that hold equal parts of the audio; utterances do not leave theirs."""

    @property
    def jitter(self) -> float:
        """Random factor on durations within a bucket: none sorts it, much shuffles it."""


@dataclass(eq=False)
class DurationBatches:
    """The batches of an `epoch`, and what one rank works on of them.

    An epoch depends on `seed` and its number alone. Its batches are cut from the utterances in order of their buckets
    and jittered durations, and then shuffled. All ranks have equally many shares: one of each batch, whose sizes differ
    by one at most; or, where batches are not to be split, whole ones in turn. Each utterance is counted once, on one
    rank. An utterance longer than `batch_seconds` is a batch of its own.

    Raises:
        DataError: there is no utterance, or a duration is not a positive number.
    """

    durations: NDArray[np.float64]
    """Seconds of each utterance (n,)."""
    limits: Limits
    seed: int
    rank: int = 0
    world: int = 1
    shuffle: bool = True
    """Whether epochs differ; otherwise there is no jitter, and the shortest come first."""
    split: bool = True
    """Whether each batch is dealt to all ranks; otherwise each works on whole ones."""

    def __post_init__(self) -> None:
        assert 0 <= self.rank < self.world
        self.durations = np.asarray(self.durations, np.float64)
        if not len(self.durations):
            raise DataError(
                "There is no utterance to make batches of: the manifest is empty. Run create_dataset again."
            )
        if len(wrong := np.flatnonzero(~(np.isfinite(self.durations) & (self.durations > 0)))):
            raise DataError(
                f"{len(wrong)} of {len(self.durations)} durations are not positive numbers; the first is utterance "
                f"{wrong[0]} (counted from 0) with {self.durations[wrong[0]]} s. Mend the manifest."
            )
        if long := int((self.durations > self.limits.batch_seconds).sum()):
            log.warning(
                "%d of %d utterances are longer than dataloader.batch_seconds (%g s), the longest %g s: each is a "
                "batch of its own. Raise the limit if memory allows, or split or drop them in create_dataset.",
                *(long, len(self.durations), self.limits.batch_seconds, self.durations.max()),
            )

    def epoch(self, number: int) -> list[Share]:
        """This rank's shares in epoch `number`."""
        batches = self.global_epoch(number)
        if self.split:
            return [self._deal(batch) for batch in batches]
        own = [Share(batch, counted=True) for batch in batches[self.rank :: self.world]]
        rounds = -(-len(batches) // self.world)
        return own + [Share(batches[0], counted=False)] * (rounds - len(own))

    def global_epoch(self, number: int) -> list[Batch]:
        """The batches of all ranks together in epoch `number`; the longest utterance of each comes first."""
        rng = np.random.default_rng([self.seed, number])
        order = self._order(rng)
        ends = _cut(self.durations[order], self.limits)
        batches = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        order = order[np.lexsort((-self.durations[order], batches))]
        starts = np.concatenate([[0], ends[:-1]])
        numbers = rng.permutation(len(ends)) if self.shuffle else np.arange(len(ends))
        indices: Batch = order.tolist()
        return [indices[start:end] for start, end in zip(starts[numbers], ends[numbers], strict=True)]

    def _order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """All utterances, by bucket and jittered duration."""
        if not self.shuffle:
            return np.argsort(self.durations, kind="stable")
        by_duration = np.argsort(self.durations, kind="stable")
        seconds = np.cumsum(self.durations[by_duration])
        buckets = np.empty(len(seconds), np.intp)
        buckets[by_duration] = np.ceil(seconds / seconds[-1] * self.limits.num_buckets)
        factors = 1 + self.limits.jitter * rng.uniform(-1, 1, len(seconds))
        return np.lexsort((self.durations * factors, buckets))

    def _deal(self, batch: Batch) -> Share:
        """This rank's share of `batch`; where there is none, the shortest utterance of it stands in."""
        indices = batch[self.rank :: self.world]
        return Share(indices, counted=True) if indices else Share(batch[-1:], counted=False)


def padding(batches: Sequence[Batch], durations: NDArray[np.float64]) -> float:
    """The part of all frames in `batches` that is padding, from 0 to 1."""
    padded = sum(len(batch) * durations[batch].max() for batch in batches)
    return 1.0 - float(sum(durations[batch].sum() for batch in batches) / padded)


def _cut(durations: NDArray[np.float64], limits: Limits) -> NDArray[np.intp]:
    """Where each batch ends, in a list of `durations` (n,): as soon as one utterance more would break a limit."""
    ends, start, longest = [], 0, 0.0
    seconds, size = limits.batch_seconds, limits.max_batch_size
    for index, duration in enumerate(durations.tolist()):
        longest = max(longest, duration)
        count = index - start
        if count and (count >= size or longest * (count + 1) > seconds):
            ends.append(index)
            start, longest = index, duration
    return np.array([*ends, len(durations)])
