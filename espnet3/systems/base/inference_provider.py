"""A test set as work for the runner: which utterances go together, and how a process gets ready to decode them.

`infer` makes one for each test set. Whatever the model is, it takes a list of samples and gives back a mapping for
each; here these become lines for SCP files, or files of their own. For where results are merged, see `infer`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np

from espnet3.components.data.artifacts import ArtifactWriter, artifact_writer, write_artifact
from espnet3.components.data.dataset import SpeechDataset
from espnet3.components.data.dataset_reference import load_test_sets
from espnet3.components.data.scp import scp_line
from espnet3.config.instantiate import build
from espnet3.errors import ConfigError
from espnet3.parallel.provider import Batch, Provider, Work
from espnet3.parallel.threads import limit_threads
from espnet3.systems.base.config import InferenceConfig


@dataclass
class InferenceProvider(Provider):
    """The utterances of one test set.

    A batch's result is `{records: {utt_id: {key: value}}, seconds, device, backend, threads}`; `seconds` are those of
    reading, features, model and search, without loading the model.
    """

    settings: InferenceConfig
    test_set: str
    threads: int
    """Of the process that decodes."""
    files: Path = Path()
    """Where artifacts are kept until the test set is complete: `<key>/<file>`."""

    @cached_property
    def dataset(self) -> SpeechDataset:
        """The test set, loaded in each process anew."""
        chosen = [reference for reference in self.settings.dataset.test if reference.name == self.test_set]
        return load_test_sets(chosen, Path(self.settings.recipe_dir), "inference_config.dataset.test")[self.test_set]

    @cached_property
    def durations(self) -> np.ndarray:
        """Seconds of each utterance."""
        return self.dataset.durations

    def __len__(self) -> int:
        return len(self.dataset)

    def batches(self) -> list[Batch]:
        """Utterances of similar duration together, the longest first, so that too large a batch fails at once."""
        batches: list[Batch] = []
        longest = 0.0
        for index in np.argsort(-self.durations, kind="stable").tolist():
            if not batches or (len(batches[-1]) + 1) * longest > self.settings.batch_seconds:
                batches.append([])
                longest = float(self.durations[index])
            batches[-1].append(index)
        return batches

    def cost(self, batch: Batch) -> float:
        """Seconds of audio, with padding."""
        return len(batch) * float(self.durations[batch].max())

    def name(self, index: int) -> str:
        """The utterance's id."""
        return self.dataset.utterance(index).utt_id

    def build(self) -> Work:
        """Load the model."""
        limit_threads(self.threads)
        writers = {key: artifact_writer(key, given) for key, given in self.settings.output_artifacts.items()}
        model = build(self.settings.model, "inference_config.model")
        return _Decoding(self, model, writers)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("dataset", "durations")}


@dataclass
class _Decoding:
    """What a process does with a batch."""

    provider: InferenceProvider
    model: Any
    writers: Mapping[str, ArtifactWriter]
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = self.provider.settings.output_keys

    def __call__(self, batch: Batch) -> dict[str, Any]:
        start = time.perf_counter()
        samples = [self.provider.dataset[index] for index in batch]
        outputs = self.model(samples)
        seconds = time.perf_counter() - start
        records = {sample["utt_id"]: output for sample, output in zip(samples, outputs, strict=True)}
        return {
            "records": {utt_id: self.record(utt_id, output) for utt_id, output in records.items()},
            "seconds": seconds,
            "device": str(getattr(self.model, "device", "cpu")),
            "backend": str(getattr(self.model, "backend", "")),
            "threads": self.provider.threads,
        }

    def record(self, utt_id: str, output: Mapping[str, Any]) -> dict[str, str]:
        """The SCP values of an utterance."""
        if lacking := [key for key in self.keys if key not in output]:
            raise ConfigError(
                f"inference_config.output_keys names {', '.join(lacking)}, but the model gives {', '.join(output)}. "
                "Correct output_keys, or the model's outputs."
            )
        return {key: self.value(utt_id, key, output[key]) for key in self.keys}

    def value(self, utt_id: str, key: str, value: Any) -> str:
        """What the SCP holds for an output: itself, or the path of its file relative to the SCP's folder."""
        if key in self.writers:
            return f"{key}/{write_artifact(self.provider.files / key, utt_id, value, self.writers[key])}"
        if not isinstance(value, str | Number | np.generic):
            raise ConfigError(
                f"The output {key} of {utt_id} is a {type(value).__name__}, which cannot stand in an SCP file. Give it "
                f"a file of its own: inference_config.output_artifacts.{key}: {{type: npy}} (or wav, json)."
            )
        scp_line(utt_id, str(value))
        return str(value)
