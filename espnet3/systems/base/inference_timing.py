"""How fast a test set was decoded: real-time factor and latencies, in a file of their own.

`infer` calls `timing_of` and writes the result to `timing.json`; the other outputs compare byte by byte, this cannot.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from espnet3.runtime.files import write_text

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Timing:
    """The speed of one test set; loading the model is not in it."""

    utterances: int
    audio_seconds: float
    decode_seconds: float
    """Of reading, features, model and search, summed over the processes."""
    real_time_factor: float
    """decode_seconds / audio_seconds: of one process, and the smaller the faster."""
    latency_seconds: dict[str, float]
    """Percentiles over the utterances; the latency of an utterance is the time that its whole batch took."""
    device: str
    backend: str
    """What ran the model, and how exactly, as it says itself; empty where it does not."""
    threads: int
    """Of each process."""
    workers: int

    def write(self, path: Path) -> None:
        """Replace the file at `path`."""
        write_text(path, json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    def __str__(self) -> str:
        speed = self.audio_seconds / self.decode_seconds if self.decode_seconds else float("inf")
        return (
            f"{self.utterances} utterances, {self.audio_seconds:.1f} s of audio decoded in {self.decode_seconds:.1f} s "
            f"({speed:.0f} times real time) on {self.device}, {self.workers} workers with {self.threads} threads each."
        )


def timing_of(results: list[dict[str, Any]], audio_seconds: float, workers: int) -> Timing:
    """The timing of a test set from the results of its batches (`InferenceProvider`); there is at least one."""
    sizes = [len(result["records"]) for result in results]
    seconds = np.array([result["seconds"] for result in results])
    latencies = np.percentile(np.repeat(seconds, sizes), PERCENTILES)
    return Timing(
        utterances=sum(sizes),
        audio_seconds=audio_seconds,
        decode_seconds=float(seconds.sum()),
        real_time_factor=float(seconds.sum()) / audio_seconds,
        latency_seconds={f"p{rank}": float(value) for rank, value in zip(PERCENTILES, latencies, strict=True)},
        device=_together(results, "device"),
        backend=_together(results, "backend"),
        threads=results[0]["threads"],
        workers=workers,
    )


def _together(results: list[dict[str, Any]], key: str) -> str:
    return ", ".join(sorted({result.get(key, "") for result in results} - {""}))
