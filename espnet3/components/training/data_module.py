"""Batches for training: utterances prepared by worker processes, in an order that depends on seed and epoch alone.

`TrainingData` turns a dataset into padded tensors. It can start anywhere in any epoch, and an utterance's
augmentation is drawn from (seed, epoch, utterance id), so a training that was interrupted sees the same batches as
one that was not. Which utterances form a batch is decided by `espnet3.components.data.batching`.
"""

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from espnet3.components.data.batching import DurationBatches, Share
from espnet3.components.data.padding import pad
from espnet3.errors import Espnet3Error
from espnet3.runtime.processes import end_with_parent, ignore_requests_to_stop

Arrays = dict[str, np.ndarray]
Preprocessor = Callable[[Mapping[str, Any], np.random.Generator | None], Arrays]
Position = tuple[int, int]
"""Epoch and index of an utterance."""

STAND_IN = "stand_in"
"""Key of a batch that this rank works on only because all ranks have to: it counts nothing."""


class Samples(Protocol):
    """What a dataset offers."""

    @property
    def durations(self) -> np.ndarray:
        """Seconds of each utterance (n,)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any:
        """A sample: a mapping with `utt_id` and what the preprocessor takes."""


@dataclass(frozen=True)
class LoaderSettings:
    """How batches are prepared."""

    seed: int
    augment: bool
    num_workers: int


class Prepared(Dataset[Any]):
    """A dataset behind its preprocessor; an item is an utterance in an epoch."""

    def __init__(self, samples: Samples, preprocessor: Preprocessor, settings: LoaderSettings) -> None:
        self.samples = samples
        self.preprocessor = preprocessor
        self.settings = settings

    def __getitem__(self, position: Position) -> tuple[str, Arrays] | Espnet3Error:
        """The arrays of an utterance; an error as a value, because a worker would bury its message in a trace."""
        epoch, index = position
        try:
            sample = self.samples[index]
            utt_id = str(sample["utt_id"])
            return utt_id, self.preprocessor(sample, self._generator(epoch, utt_id))
        except Espnet3Error as error:
            return error

    def _generator(self, epoch: int, utt_id: str) -> np.random.Generator | None:
        if not self.settings.augment:
            return None
        return np.random.default_rng([self.settings.seed, epoch, zlib.crc32(utt_id.encode())])


class EpochBatches(Sampler[list[Position]]):
    """The batches of one epoch, from any of them on."""

    def __init__(self, batches: DurationBatches) -> None:
        self.batches = batches
        self.epoch = 0
        self.first = 0
        self.nothing = False
        """Whether to yield no batch at all."""
        self._plan: list[Share] = []
        self._planned = -1

    def plan(self, epoch: int) -> list[Share]:
        """This rank's share of each batch of an epoch."""
        if self._planned != epoch:
            self._plan, self._planned = self.batches.epoch(epoch), epoch
        return self._plan

    def __iter__(self) -> Iterator[list[Position]]:
        for share in [] if self.nothing else self.plan(self.epoch)[self.first :]:
            yield [(self.epoch, index) for index in share.indices]


class TrainingData:
    """The batches of one split on one device.

    Args:
        samples: the dataset.
        preprocessor: a sample to arrays.
        batches: which utterances form a batch.
        settings: seed, augmentation, workers.
    """

    def __init__(
        self, samples: Samples, preprocessor: Preprocessor, batches: DurationBatches, settings: LoaderSettings
    ) -> None:
        self.samples = samples
        self.durations = samples.durations
        self.order = EpochBatches(batches)
        self.loader: DataLoader[Any] = DataLoader(
            Prepared(samples, preprocessor, settings),
            batch_sampler=self.order,
            collate_fn=collate,
            num_workers=settings.num_workers,
            persistent_workers=settings.num_workers > 0,
            multiprocessing_context="fork" if settings.num_workers else None,
            worker_init_fn=start_worker,
        )

    def start(self) -> None:
        """Fork the workers while this process is small: they keep a copy of all that it changes later."""
        if self.loader.num_workers:
            self.order.nothing = True
            _begin(self.loader)
            self.order.nothing = False

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        return len(self.order.plan(epoch))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[dict[str, Any]]:
        """The padded batches of an epoch, as tensors, from the batch `first` on.

        Raises:
            Espnet3Error: what went wrong with an utterance.
        """
        self.order.epoch, self.order.first = epoch, first
        for batch, share in zip(self.loader, self.order.plan(epoch)[first:], strict=True):
            if isinstance(batch, Espnet3Error):
                raise batch
            arrays = {
                name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
                for name, value in batch.items()
            }
            yield arrays if share.counted else {**arrays, STAND_IN: True}

    def seconds(self, epoch: int, batch: int) -> float:
        """Seconds of audio in a batch, as far as this rank counts it."""
        share = self.order.plan(epoch)[batch]
        return float(self.durations[share.indices].sum()) if share.counted else 0.0

    def close(self) -> None:
        """End the worker processes; they would otherwise wait for more work and, ignoring SIGTERM, hold up the exit."""
        iterator = getattr(self.loader, "_iterator", None)
        if iterator is not None and self.loader.num_workers:
            iterator._shutdown_workers()
        self.loader._iterator = None


def _begin(loader: "DataLoader[Any]") -> None:
    """Fork a loader's workers.

    Raises:
        OSError: there is no room for what they share.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # for what is half made and goes
    try:
        iter(loader)
    except OSError as error:
        failure = OSError(error.errno, error.strerror)
    else:
        return
    finally:
        sys.unraisablehook = hook
    raise failure


def start_worker(_: int) -> None:
    """Ignore requests to stop, which reach the whole process group, but end together with the training process."""
    ignore_requests_to_stop()
    # Otherwise a worker whose parent was killed waits forever for someone to read its last batch.
    end_with_parent()
    torch.set_num_threads(1)


def collate(items: Sequence[tuple[str, Arrays] | Espnet3Error]) -> dict[str, Any] | Espnet3Error:
    """Padded arrays: for each array `x` of the preprocessor `x` (B, longest, ...) and `x_lengths` (B,).

    Arrays, because tensors would travel from the workers through shared memory, of which a container has little.
    """
    arrays: list[Arrays] = []
    utt_ids: list[str] = []
    for item in items:
        if isinstance(item, Espnet3Error):
            return item
        utt_ids.append(item[0])
        arrays.append(item[1])
    batch: dict[str, Any] = {"utt_ids": utt_ids}
    for name in arrays[0]:
        column = [item[name] for item in arrays]
        batch[name], batch[f"{name}_lengths"] = pad(column)
    return batch
