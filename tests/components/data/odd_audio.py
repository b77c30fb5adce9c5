"""Sound files that are whole, and whose headers lie: what recorders, pipes, `cat` and other programs leave behind."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 8000
SECONDS = 2.0


def sound(seconds: float = SECONDS, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    """Noise that is louder and quieter in turn, so that frames of variable size differ, and a wandering tone; (n,)."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time)) * (1 + np.sin(7 * time)) ** 3
    return np.asarray(0.02 * noise + 0.3 * np.sin(2000 * time + 100 * np.sin(3 * time)), np.float32)


def encoded(samples: NDArray[Any], rate: int = RATE, **options: Any) -> bytes:
    """A file as libsndfile writes it, in blocks: it crashes on long ones."""
    buffer = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(buffer, "w", rate, channels, **options) as file:
        for start in range(0, len(samples), 4000):
            file.write(samples[start : start + 4000])
    return buffer.getvalue()


def pcm(samples: NDArray[np.float32] | None = None) -> bytes:
    return (np.round((sound() if samples is None else samples) * 32767)).astype("<i2").tobytes()


def wav(data: bytes, size: int | None = None, before: bytes = b"", riff: int | None = None) -> bytes:
    """16-bit mono WAV with any size in its header."""
    size = len(data) if size is None else size
    riff = min(36 + len(before) + size, 0xFFFF_FFFF) if riff is None else riff
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + form + before + b"data" + struct.pack("<I", size) + data


def rf64(data: bytes, size: int) -> bytes:
    """16-bit mono RF64; the size is that in its chunk of sizes."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 72 + size, size, size // 2, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + b"fmt " + form + b"data\xff\xff\xff\xff" + data


def id3(size: int) -> bytes:
    return b"ID3\x03\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + bytes(size)


def flac(seconds: float = SECONDS, seed: int = 0, rate: int = RATE) -> bytes:
    return encoded(sound(seconds, rate, seed), rate, format="FLAC", subtype="PCM_16")


def flac_of_length(content: bytes, length: int) -> bytes:
    """The same FLAC with another length in its header."""
    fields = int.from_bytes(content[18:26], "big") & ~((1 << 36) - 1) | length
    return content[:18] + fields.to_bytes(8, "big") + content[26:]


def ogg(codec: str, seconds: float = SECONDS, seed: int = 0) -> bytes:
    return encoded(sound(seconds, RATE, seed), RATE, format="OGG", subtype=codec)


def mp3(seconds: float = SECONDS, seed: int = 0, rate: int = 16000, channels: int = 1) -> bytes:
    """Of variable bit rate, with a right tag."""
    samples = np.stack([sound(seconds, rate, seed + channel) for channel in range(channels)], axis=1)
    return encoded(samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3)


def first_frame(content: bytes) -> int:
    """Bytes of the frame with the tag, which comes first."""
    at = content.index(content[:2], 4)
    while content[at : at + 2] != content[:2]:
        at = content.index(content[:2], at + 1)
    return at


def without_tag(content: bytes) -> bytes:
    return content[first_frame(content) :]


def with_frames(content: bytes, change: Callable[[int], int]) -> bytes:
    """The same MP3 with another number of frames in its tag."""
    place = max(content.find(b"Xing"), content.find(b"Info")) + 8
    frames = int.from_bytes(content[place : place + 4], "big")
    return content[:place] + change(frames).to_bytes(4, "big") + content[place + 4 :]


def decoded(content: bytes) -> NDArray[np.float32]:
    """What libsndfile makes of a file whose header is right, (n, channels)."""
    return np.asarray(soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)[0])
