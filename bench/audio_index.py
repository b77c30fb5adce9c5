"""The audio index of a million recordings: how long it takes to write, in how much memory, and to compare one with it.

`make bench` runs the writing as a process of its own: `python -m bench.audio_index FOLDER`.
"""

import os
import sys
import time
from pathlib import Path

from bench.figure import Figure
from bench.process import run_python
from espnet3.components.data.audio_check import AudioCheck
from espnet3.components.data.audio_index import Entry, ManifestState
from espnet3.components.data.audio_index_writer import EntrySorter, write_index

RECORDINGS = 1_000_000
THERE = 1000
"""Of the recordings, so many are files that can be opened."""
ROUNDS = 3
CHECKSUM = "sha256:" + 64 * "0"


def measure(folder: Path) -> list[Figure]:
    """Seconds and MB of writing, start of Python included; microseconds of a comparison when a recording is opened."""
    (folder / "audio").mkdir(parents=True)
    (folder / "train.jsonl").touch()
    for number in range(0, RECORDINGS, RECORDINGS // THERE):
        (folder / name(number)).write_bytes(b"recording")
    cost = run_python(["-m", "bench.audio_index", str(folder)])
    return [
        Figure("index of a million recordings: written", cost.seconds, "s", 60, "less"),
        Figure("index of a million recordings: peak memory", cost.megabytes, "MB", 150, "less"),
        Figure("a recording compared with it when opened", 1e6 * seconds_per_open(folder), "µs", 20, "less"),
    ]


def name(number: int) -> str:
    """The path of a recording."""
    return f"audio/{number * 104729 % RECORDINGS:07d}.flac"


def write(folder: Path) -> None:
    """What the child process does."""
    manifest = folder / "train.jsonl"
    with EntrySorter(manifest) as gathered:
        for number in range(RECORDINGS):
            size, mtime_ns = 1, number
            if number % (RECORDINGS // THERE) == 0:
                status = (folder / name(number)).stat()
                size, mtime_ns = status.st_size, status.st_mtime_ns
            gathered.add(Entry(name(number), size, mtime_ns, CHECKSUM).line())
        write_index(manifest, ManifestState.of(manifest), gathered.entries())


def seconds_per_open(folder: Path) -> float:
    """CPU seconds of the check that `read_audio` makes, on average over recordings all over the index."""
    check = AudioCheck(folder / "train.jsonl")
    return min(_seconds(check, folder) for _ in range(ROUNDS)) / THERE


def _seconds(check: AudioCheck, folder: Path) -> float:
    from espnet3.components.data.manifest import Utterance  # numpy comes with it, which is not to count as memory

    spent = 0.0
    for number in range(0, RECORDINGS, RECORDINGS // THERE):
        utterance = Utterance(str(number), name(number), 0.0, 1.0, 16000, "text", "speaker", CHECKSUM)
        handle = os.open(folder / name(number), os.O_RDONLY)
        start = time.process_time()
        check.admit(utterance, folder / name(number), handle)
        spent += time.process_time() - start
        os.close(handle)
    return spent


if __name__ == "__main__":
    write(Path(sys.argv[1]))
