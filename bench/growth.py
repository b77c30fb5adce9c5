"""A manifest of a million lines: how long it takes to validate and to give the first batch, and in how much memory.

`make bench` runs it as a process of its own: `python -m bench.growth FOLDER`.
"""

import sys
from pathlib import Path

from bench.figure import Figure
from bench.process import run_python

LINES = 1_000_000
LINE = (
    '{{"utt_id": "speaker{speaker:05d}-{number:07d}", "audio": "audio/one.wav", "start": {start:.2f}, '
    '"duration": {duration:.2f}, "sample_rate": 16000, "text": "utterance number {number}", '
    '"speaker": "speaker{speaker:05d}", "checksum": "sha256:{zeros}"}}\n'
)


def measure(folder: Path) -> list[Figure]:
    """Write the manifest, then validate it and draw a batch in a fresh process."""
    write(folder)
    cost = run_python(["-m", "bench.growth", str(folder)])
    return [
        Figure("a million lines: validated, first batch drawn", cost.seconds, "s", 30, "less"),
        Figure("a million lines: peak memory", cost.megabytes, "MB", 1000, "less"),
    ]


def write(folder: Path) -> None:
    """A manifest whose utterances are pieces of one audio file of two minutes."""
    import numpy as np
    import soundfile

    (folder / "audio").mkdir(parents=True)
    soundfile.write(folder / "audio" / "one.wav", np.random.default_rng(0).normal(0, 0.1, 120 * 16000), 16000)
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(LINES):
            duration = 1 + number * 7919 % 1900 / 100
            start = number * 104729 % 10000 / 100
            line = LINE.format(number=number, speaker=number % 5000, start=start, duration=duration, zeros="0" * 64)
            file.write(line)


def validate_and_draw(folder: Path) -> None:
    """What the child process does."""
    from espnet3.components.data.batching import DurationBatches
    from espnet3.components.data.dataset import ManifestDataset
    from espnet3.components.data.validation import validate_manifest
    from espnet3.systems.base.config import Dataloader

    problems = validate_manifest(folder / "train.jsonl")
    if problems:
        raise SystemExit("\n".join(map(str, problems[:10])))
    dataset = ManifestDataset(str(folder / "train.jsonl"))
    batch = DurationBatches(dataset.durations, Dataloader(), seed=0).global_epoch(0)[0]
    for index in batch:
        dataset[index]


if __name__ == "__main__":
    validate_and_draw(Path(sys.argv[1]))
