"""How fast audio becomes features, per core, and how much of the batches is padding."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from bench.figure import Figure
from espnet3.components.data.audio import read_audio
from espnet3.components.data.audio_check import AudioCheck
from espnet3.components.data.batching import DurationBatches, padding
from espnet3.components.data.features import LogMel
from espnet3.components.data.manifest import Manifest
from espnet3.systems.base.config import Dataloader

MOST_UTTERANCES = 300
ROUNDS = 3


def measure(manifest: Path, training_config: Path) -> list[Figure]:
    """Speeds in seconds of audio per second of one core; padding as a percentage of the frames of an epoch."""
    corpus = Manifest.read(manifest)
    utterances = corpus[:MOST_UTTERANCES]
    audio = [read_audio(utterance, corpus.root) for utterance in utterances]
    seconds = sum(utterance.duration for utterance in utterances)
    features, check = LogMel(sample_rate=audio[0][1]), AudioCheck(corpus.path)

    def compute() -> None:
        for samples, _ in audio:
            features(samples)

    def read_and_compute() -> None:
        for utterance in utterances:
            features(read_audio(utterance, corpus.root, check)[0])

    limits = Dataloader.model_validate(OmegaConf.to_container(OmegaConf.load(training_config))["dataloader"])  # type: ignore[call-overload, index]
    batches = DurationBatches(corpus.durations, limits, seed=0).global_epoch(0)
    return [
        Figure("feature extraction", seconds / best(compute), "x real time", 2000),
        Figure("reading and feature extraction", seconds / best(read_and_compute), "x real time", 1000),
        Figure("padding", 100 * padding(batches, np.asarray(corpus.durations)), "% of frames", 10, "less"),
    ]


def best(work: Callable[[], None]) -> float:
    """CPU seconds of the quickest of a few rounds."""
    return min(_cpu_seconds(work) for _ in range(ROUNDS))


def _cpu_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
