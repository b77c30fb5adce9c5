"""Datasets: utterances with their audio, by index.

A recipe's `dataset/__init__.py` exports `ManifestDataset`, or a subclass, under the name `Dataset`;
`espnet3.components.data.dataset_reference` puts those that a config names together. What happens to a sample afterwards
(features, tokens) is up to the preprocessor.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.audio import Samples, read_audio
from espnet3.components.data.audio_check import AudioCheck
from espnet3.components.data.manifest import Manifest, Utterance


class Sample(TypedDict):
    """An utterance with its audio."""

    utt_id: str
    audio: Samples
    """Mono, in [-1, 1], (n,)."""
    sample_rate: int
    """In Hz."""
    text: str
    speaker: str


class SpeechDataset(Protocol):
    """What stages need of a dataset; whatever offers it can stand behind a dataset reference."""

    @property
    def durations(self) -> NDArray[np.float64]:
        """Seconds of each utterance, (utterances,)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...

    def utterance(self, index: int, /) -> Utterance:
        """What the manifest says, without reading audio."""


class ManifestDataset:
    """The utterances of a manifest.

    Raises:
        DataError: the manifest is missing; later, when an utterance is asked for, it or its audio is faulty.
    """

    def __init__(self, manifest: str) -> None:
        self.manifest = Manifest(manifest)

    @property
    def durations(self) -> NDArray[np.float64]:
        """Seconds of each utterance, (utterances,)."""
        return self.manifest.durations

    @cached_property
    def audio_check(self) -> AudioCheck:
        """Whether a recording is the one that the manifest names; hand it to `read_audio` in a dataset of your own."""
        return AudioCheck(self.manifest.path)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> Sample:
        utterance = self.manifest[index]
        audio, rate = read_audio(utterance, self.manifest.root, self.audio_check)
        return Sample(
            utt_id=utterance.utt_id, audio=audio, sample_rate=rate, text=utterance.text, speaker=utterance.speaker
        )

    def utterance(self, index: int) -> Utterance:
        """What the manifest says, without reading audio."""
        return self.manifest[index]


class TransformedDataset:
    """A dataset whose samples pass through a function (`transform` in a dataset reference) before anything else."""

    def __init__(self, dataset: SpeechDataset, transform: Callable[[Any], Any]) -> None:
        self.dataset = dataset
        self.transform = transform

    @property
    def durations(self) -> NDArray[np.float64]:
        """Seconds of each utterance, (utterances,), before the transform."""
        return self.dataset.durations

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.dataset[index])

    def utterance(self, index: int) -> Utterance:
        """What the manifest says, before the transform."""
        return self.dataset.utterance(index)


class CombinedDataset:
    """Several datasets end to end."""

    def __init__(self, datasets: Sequence[SpeechDataset]) -> None:
        self.datasets = tuple(datasets)
        self._ends = list(accumulate(len(dataset) for dataset in self.datasets))

    @property
    def durations(self) -> NDArray[np.float64]:
        """Seconds of each utterance, (utterances,)."""
        return np.concatenate([np.empty(0), *(dataset.durations for dataset in self.datasets)])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Any:
        dataset, place = self._find(index)
        return dataset[place]

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def utterance(self, index: int) -> Utterance:
        """What the manifest says, without reading audio."""
        dataset, place = self._find(index)
        return dataset.utterance(place)

    def _find(self, index: int) -> tuple[SpeechDataset, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"The dataset has {len(self)} utterances; there is no number {index}.")
        index %= len(self)
        which = bisect_right(self._ends, index)
        return self.datasets[which], index - (self._ends[which - 1] if which else 0)
