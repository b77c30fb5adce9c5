"""The stage collect_stats: feature statistics of the training split, shapes and a summary of training and validation.

Runs without torch. The utterances are cut into chunks of a fixed size, which worker processes or shards take one after
another; sums are added up in the order of the chunks, so that the files have the same bytes however the work is spread.
What a killed run finished is kept. There is no augmentation. The statistics are read back by
`espnet3.components.data.stats`.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from pydantic import PositiveInt

from espnet3.components.data.audio import resample
from espnet3.components.data.dataset import CombinedDataset
from espnet3.components.data.dataset_reference import load_datasets
from espnet3.components.data.features import Features
from espnet3.components.data.manifest import Utterance
from espnet3.components.data.stats import Moments, stats_file
from espnet3.config.instantiate import build
from espnet3.config.sections import DataConfig, Target, read_config
from espnet3.errors import DataError
from espnet3.parallel.provider import Batch, Provider, Work
from espnet3.parallel.runner import Runner
from espnet3.parallel.sharded import PARTIAL, leased_partials, run_shard
from espnet3.pipeline.fingerprint import stage_inputs
from espnet3.pipeline.settings import fingerprint_of
from espnet3.pipeline.shard import current_shard
from espnet3.recipe.recipe import activated
from espnet3.runtime.files import remove, replacing, write_text
from espnet3.systems.base.data_summary import as_json, as_markdown, as_picture, split_summary
from espnet3.systems.base.products import stats_key

log = logging.getLogger(__name__)

SPLITS = ("train", "valid")
CHUNK = 32
"""Utterances that a worker takes at once. The statistics' last bits depend on it, so it is not a setting."""
SHARDS_PER_WORKER = 4
"""Tasks for each worker process, so that none is long alone at the end."""


class StatsConfig(DataConfig):
    """What collect_stats reads of the training config."""

    stats_dir: str
    features: Target
    num_workers: PositiveInt = 1


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

    def __call__(self, split: str, index: int) -> NDArray[np.float32]:
        """The frames of an utterance.

        Raises:
            DataError: it cannot be read; names it.
        """
        sample = self.data[split][index]
        audio = resample(sample["audio"], sample["sample_rate"], self.features.sample_rate)
        try:
            return self.features(audio)
        except DataError as error:
            raise DataError(f"{sample['utt_id']}: {error}") from None


@dataclass
class StatsProvider(Provider):
    """The utterances of both splits, one after the other, as work for the runner.

    A batch's result is `{frames: [of each utterance], count, sum, sum_square}`, the last three as `Moments` has them.
    """

    settings: StatsConfig

    @cached_property
    def extractor(self) -> Extractor:
        """Each process builds its own."""
        return Extractor(self.settings)

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """Split and index in it of every utterance."""
        return [(split, index) for split in SPLITS for index in range(len(self.extractor.data[split]))]

    def __len__(self) -> int:
        return len(self.places)

    def batches(self) -> list[Batch]:
        """Chunks of neighbours, none of both splits."""
        starts = [start for start, (_, index) in enumerate(self.places) if index % CHUNK == 0]
        return [list(range(start, end)) for start, end in zip(starts, [*starts[1:], len(self)], strict=True)]

    def name(self, index: int) -> str:
        """The utterance's id."""
        split, place = self.places[index]
        return self.extractor.data[split].utterance(place).utt_id

    def build(self) -> Work:
        """Get the features and the datasets ready."""
        assert self.extractor
        return self._summed_up

    def _summed_up(self, batch: Batch) -> dict[str, Any]:
        moments = Moments(self.extractor.features.size)
        frames = []
        for index in batch:
            features = self.extractor(*self.places[index])
            frames.append(len(features))
            moments.add(features)
        return {"frames": frames, **moments.as_numbers()}

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings}


def collect_stats(config: DictConfig | dict[str, Any]) -> None:
    """The stage: statistics, shapes, a table and a picture, into a folder of `stats_dir` (see `products`); or a shard.

    Raises:
        ConfigError: a setting is missing or wrong.
        DataError: a manifest or an utterance cannot be read.
        TryAgain: a worker process was killed, or shards are missing.
    """
    settings = read_config(StatsConfig, config, "training_config")
    key = stats_key(config)
    stats_dir = Path(settings.stats_dir) / key
    provider = StatsProvider(settings)
    runner = Runner(
        provider,
        stats_dir / PARTIAL,
        work_fingerprint(config),
        label="statistics",
        workers=1 if current_shard() else settings.num_workers,
    )
    with leased_partials(stats_dir) as partials:
        shards = min(len(runner.batches), SHARDS_PER_WORKER * settings.num_workers)
        if run_shard([runner], shards, partials):
            frames, moments = _gather(provider, runner.results())
            _describe(stats_dir, provider.extractor, frames)
            moments.write(stats_file(stats_dir), key)
            remove(partials)


def work_fingerprint(config: DictConfig | dict[str, Any]) -> str:
    """One hash of all that the statistics depend on: the stage and the manifests."""
    inputs = stage_inputs(config, without=("data_dir", "stats_dir", "exp_dir", "recipe_dir"))
    return fingerprint_of({"stage": inputs.fingerprint, "chunk": CHUNK})


def _gather(provider: StatsProvider, results: Iterable[Mapping[str, Any]]) -> tuple[dict[str, list[int]], Moments]:
    """The frames of each split's utterances, and the sums over the training split."""
    frames: dict[str, list[int]] = {split: [] for split in SPLITS}
    moments = Moments(provider.extractor.features.size)
    for batch, result in zip(provider.batches(), results, strict=True):
        split, _ = provider.places[batch[0]]
        frames[split] += result["frames"]
        if split == "train":
            moments.merge(Moments.from_numbers(result))
    return frames, moments


def _describe(stats_dir: Path, extractor: Extractor, frames: Mapping[str, list[int]]) -> None:
    """Shapes, table and picture."""
    summaries = {}
    for split, dataset in extractor.data.items():
        with replacing(stats_dir / split / "feats_shape") as temporary, temporary.open("w", encoding="utf-8") as file:
            utterances = _listed(dataset, frames[split], extractor.features.size, file)
            summaries[split] = summary = split_summary(utterances, dataset.durations, sum(frames[split]))
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
