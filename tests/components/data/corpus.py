"""Small corpora for the tests: tones in audio files, and manifests that name them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16000
CHECKSUM = "sha256:" + 64 * "0"


def tone(seconds: float = 1.0, rate: int = RATE, channels: int = 1) -> NDArray[np.float32]:
    """(n,), or (n, channels) with an octave between neighbours."""
    time = np.arange(round(seconds * rate)) / rate
    waves = np.stack([0.3 * np.sin(2 * np.pi * 220 * 2**channel * time) for channel in range(channels)], axis=1)
    return waves[:, 0].astype(np.float32) if channels == 1 else waves.astype(np.float32)


def write_audio(path: Path, seconds: float = 1.0, rate: int = RATE, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "NIST" if path.suffix == ".sph" else None
    soundfile.write(path, tone(seconds, rate, channels), rate, format=kind)
    return path


def record(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A manifest line's fields for `a.wav`; a change to None leaves the field out."""
    fields: dict[str, Any] = {
        "utt_id": f"u{number}",
        "audio": "a.wav",
        "start": 0.0,
        "duration": 1.0,
        "sample_rate": RATE,
        "text": f"TEXT {number}",
        "speaker": f"s{number}",
        "checksum": CHECKSUM,
    }
    return {key: value for key, value in (fields | changes).items() if value is not None}


def write_lines(path: Path, lines: Iterable[dict[str, Any] | str | bytes]) -> Path:
    """A manifest of records and raw lines, with `a.wav` beside it."""
    if not (path.parent / "a.wav").exists():
        write_audio(path.parent / "a.wav")
    with path.open("wb") as file:
        for line in lines:
            raw = json.dumps(line, ensure_ascii=False).encode() if isinstance(line, dict) else line
            file.write((raw if isinstance(raw, bytes) else raw.encode()) + b"\n")
    return path
