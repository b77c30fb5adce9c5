"""What a split holds, in numbers, as a table and as a picture; collect_stats writes them beside the statistics."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet3.components.charts import histogram
from espnet3.components.data.manifest import Utterance
from espnet3.components.data.text import normalise

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True)
class SplitSummary:
    """A split in numbers. Words are what white space parts, characters are NFC code points without the space."""

    utterances: int
    hours: float
    frames: int
    speakers: int
    words: int
    word_types: int
    characters: int
    """How many different ones."""
    sample_rates: list[int]
    """In Hz, of the files."""
    seconds: dict[str, float]
    """Percentiles of the durations, by name: `0` is the shortest, `100` the longest."""


def split_summary(utterances: Iterable[Utterance], durations: NDArray[np.float64], frames: int) -> SplitSummary:
    """The numbers of a split: its utterances, at least one, their seconds, and the frames of all."""
    speakers, words, rates, spoken = set(), set(), set(), 0
    for utterance in utterances:
        said = normalise(utterance.text).split()
        spoken += len(said)
        words.update(said)
        speakers.add(utterance.speaker)
        rates.add(utterance.sample_rate)
    seconds = np.percentile(durations, PERCENTILES)
    return SplitSummary(
        utterances=len(durations),
        hours=round(float(durations.sum()) / 3600, 4),
        frames=frames,
        speakers=len(speakers),
        words=spoken,
        word_types=len(words),
        characters=len(set().union(*words)),
        sample_rates=sorted(rates),
        seconds={
            str(percentile): round(float(value), 3) for percentile, value in zip(PERCENTILES, seconds, strict=True)
        },
    )


def as_json(splits: Mapping[str, SplitSummary]) -> str:
    """The numbers of each split as JSON."""
    return json.dumps({name: asdict(split) for name, split in splits.items()}, indent=2) + "\n"


def as_markdown(splits: Mapping[str, SplitSummary]) -> str:
    """The numbers of each split as a table, a column each."""
    rows: dict[str, list[Any]] = {
        "hours": [f"{split.hours:.2f}" for split in splits.values()],
        "utterances": [f"{split.utterances:,}" for split in splits.values()],
        "speakers": [f"{split.speakers:,}" for split in splits.values()],
        "words": [f"{split.words:,}" for split in splits.values()],
        "word types": [f"{split.word_types:,}" for split in splits.values()],
        "characters": [f"{split.characters:,}" for split in splits.values()],
        "frames": [f"{split.frames:,}" for split in splits.values()],
        "sample rates (Hz)": [", ".join(map(str, split.sample_rates)) for split in splits.values()],
    }
    named = {0: "shortest (s)", 50: "median (s)", 100: "longest (s)"}
    for percentile in PERCENTILES:
        label = named.get(percentile, f"{percentile} % are at most (s)")
        rows[label] = [f"{split.seconds[str(percentile)]:.2f}" for split in splits.values()]
    lines = [f"| | {' | '.join(splits)} |", f"|---|{'---:|' * len(splits)}"]
    lines += [f"| {label} | {' | '.join(cells)} |" for label, cells in rows.items()]
    return "# The data\n\n" + "\n".join(lines) + "\n\n![How long the utterances are](durations.svg)\n"


def as_picture(durations: Mapping[str, NDArray[np.float64]]) -> str:
    """A histogram (SVG) of the durations (n,) of each split."""
    return histogram("How long the utterances are", durations, "seconds", "% of utterances")
