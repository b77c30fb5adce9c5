"""The stage collect_stats: feature statistics of the training split, shapes and a summary of training and validation.

Runs without torch. The utterances are cut into chunks of a fixed size, which worker processes take one after another;
sums are added up in the order of the chunks, so that the files have the same bytes for any number of workers. There is
no augmentation. The statistics are read back by `espnet3.components.data.stats`.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from pydantic import PositiveInt

from espnet3.components.data.audio import resample
from espnet3.components.data.data_summary import as_json, as_markdown, as_picture, summarise
from espnet3.components.data.dataset import CombinedDataset
from espnet3.components.data.dataset_reference import load_datasets
from espnet3.components.data.manifest import Utterance
from espnet3.components.data.stats import Moments, stats_file
from espnet3.components.training.build import build
from espnet3.errors import DataError, TryAgain
from espnet3.utils.files import claim, remove_leftovers, replacing, write_text
from espnet3.utils.progress import track
from espnet3.utils.recipe import activated
from espnet3.utils.sections import DataConfig, Target, read_config

log = logging.getLogger(__name__)

SPLITS = ("train", "valid")
CHUNK = 32
"""Utterances that a worker takes at once. The statistics' last bits depend on it, so it is no setting."""


class Features(Protocol):
    """What stands behind `features`: audio (n,) to frames (T, size)."""

    sample_rate: int

    @property
    def size(self) -> int:
        """Values per frame."""

    def __call__(self, audio: NDArray[np.float32], /) -> NDArray[np.float32]:
        """The frames of an utterance."""


class StatsConfig(DataConfig):
    """What collect_stats reads of the training config."""

    stats_dir: str
    features: Target
    num_workers: PositiveInt = 1


@dataclass(frozen=True)
class Chunk:
    """Neighbouring utterances of a split."""

    split: str
    start: int
    end: int


@dataclass(frozen=True)
class ChunkStats:
    """What is known of a chunk: the frames of each utterance, and their sums."""

    frames: list[int]
    moments: Moments


class Extractor:
    """Reads chunks and sums up their features; each process builds its own."""

    def __init__(self, settings: StatsConfig) -> None:
        recipe = Path(settings.recipe_dir)
        with activated(recipe):
            self.features: Features = build(settings.features, "training_config.features")
            self.data = {
                split: load_datasets(getattr(settings.dataset, split), recipe, f"training_config.dataset.{split}")
                for split in SPLITS
            }
        for split, dataset in self.data.items():
            if not len(dataset):
                raise DataError(f"training_config.dataset.{split} holds no utterance. Run create_dataset again.")

    def __call__(self, chunk: Chunk) -> ChunkStats:
        """Read the utterances of `chunk`.

        Raises:
            DataError: one cannot be read; names it.
        """
        stats = ChunkStats([], Moments(self.features.size))
        for index in range(chunk.start, chunk.end):
            frames = self._frames(self.data[chunk.split][index])
            stats.frames.append(len(frames))
            stats.moments.add(frames)
        return stats

    def _frames(self, sample: Mapping[str, Any]) -> NDArray[np.float32]:
        audio = resample(sample["audio"], sample["sample_rate"], self.features.sample_rate)
        try:
            return self.features(audio)
        except DataError as error:
            raise DataError(f"{sample['utt_id']}: {error}") from None


def collect_stats(config: DictConfig | dict[str, Any]) -> None:
    """The stage: statistics, shapes, a table and a picture, into `stats_dir`.

    Raises:
        ConfigError: a setting is missing or wrong.
        DataError: a manifest or an utterance cannot be read.
        TryAgain: a worker process was killed.
    """
    settings = read_config(StatsConfig, config, "training_config")
    stats_dir = Path(settings.stats_dir)
    with claim(stats_dir):
        remove_leftovers(stats_dir)
        extractor = Extractor(settings)
        chunks = [chunk for split in SPLITS for chunk in _chunks(split, len(extractor.data[split]))]
        with _results(settings, extractor, chunks) as results:
            frames, moments = _gather(chunks, track(results, len(chunks), "statistics"), extractor.features.size)
        _describe(stats_dir, extractor, frames)
        moments.write(stats_file(stats_dir))


def _chunks(split: str, count: int) -> list[Chunk]:
    return [Chunk(split, start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _gather(chunks: Sequence[Chunk], results: Iterator[ChunkStats], size: int) -> tuple[dict[str, list[int]], Moments]:
    """The frames of each split's utterances, and the sums over the training split."""
    frames: dict[str, list[int]] = {split: [] for split in SPLITS}
    moments = Moments(size)
    for chunk, stats in zip(chunks, results, strict=True):
        frames[chunk.split] += stats.frames
        if chunk.split == "train":
            moments.merge(stats.moments)
    return frames, moments


def _describe(stats_dir: Path, extractor: Extractor, frames: Mapping[str, list[int]]) -> None:
    """Shapes, table and picture."""
    summaries = {}
    for split, dataset in extractor.data.items():
        with replacing(stats_dir / split / "feats_shape") as beside, beside.open("w", encoding="utf-8") as file:
            utterances = _listed(dataset, frames[split], extractor.features.size, file)
            summaries[split] = summary = summarise(utterances, dataset.durations, sum(frames[split]))
        log.info(
            "%s: %.2f h, %d utterances, %d speakers, %d word types",
            *(split, summary.hours, summary.utterances, summary.speakers, summary.word_types),
        )
    write_text(stats_dir / "summary.json", as_json(summaries))
    write_text(stats_dir / "summary.md", as_markdown(summaries))
    durations = {split: dataset.durations for split, dataset in extractor.data.items()}
    write_text(stats_dir / "durations.svg", as_picture(durations))


def _listed(dataset: CombinedDataset, frames: Sequence[int], size: int, file: TextIO) -> Iterator[Utterance]:
    """The utterances, one at a time; the shape of each goes into `file` on the way."""
    for index, count in enumerate(frames):
        utterance = dataset.utterance(index)
        file.write(f"{utterance.utt_id} {count},{size}\n")
        yield utterance


@contextmanager
def _results(settings: StatsConfig, extractor: Extractor, chunks: Sequence[Chunk]) -> Iterator[Iterator[ChunkStats]]:
    """The statistics of each chunk, in order, from this process or from workers, which end with the block."""
    if settings.num_workers == 1 or len(chunks) == 1:
        yield map(extractor, chunks)
        return
    # Spawned, not forked: a fork of a process that has threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(settings.num_workers, len(chunks)), context, _begin_work, (settings,))
    try:
        yield pool.map(_work, chunks)
    except BrokenProcessPool:
        raise TryAgain(
            "A worker process of collect_stats was killed; most often memory ran out. Run the stage again, if need be "
            "with a smaller num_workers."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """The state of a worker process."""

    settings: StatsConfig
    extractor: Extractor | None = None


def _begin_work(settings: StatsConfig) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # they reach the whole process group; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Worker.settings = settings


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _work(chunk: Chunk) -> ChunkStats:
    _Worker.extractor = _Worker.extractor or Extractor(_Worker.settings)
    return _Worker.extractor(chunk)
