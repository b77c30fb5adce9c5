"""A segment of any file has the same samples as that part of the whole file, to the last bit."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet3.components.data.audio import read_audio, whole_file
from espnet3.components.data.manifest import Utterance
from tests.components.data.odd_audio import (
    encoded,
    flac,
    flac_of_length,
    id3,
    mp3,
    ogg,
    pcm,
    sound,
    wav,
    without_tag,
)

SECONDS = 24.0


def made(rate: int, channels: int = 1, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        samples = np.stack([sound(SECONDS, rate, seed) for seed in range(channels)], axis=1)
        return encoded(samples, rate, **options)

    return make


def wav_of(subtype: str) -> Callable[[], bytes]:
    return made(8000, format="WAV", subtype=subtype)


MP3_RATES = (8000, 12000, 16000, 22050, 24000, 32000, 44100)
FAST: dict[str, Any] = {"bitrate_mode": "VARIABLE", "compression_level": 0.3}
FILES: dict[str, Callable[[], bytes]] = {
    **{f"WAV {name}": wav_of(name) for name in ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "GSM610")},
    **{f"WAV {name}": wav_of(name) for name in ("MS_ADPCM", "G721_32", "NMS_ADPCM_24")},
    "WAV without sizes": lambda: wav(pcm(sound(SECONDS)), 0),
    "WAV, joined": lambda: wav(pcm(sound(SECONDS / 2))) + wav(pcm(sound(SECONDS / 2, seed=1))),
    "SPHERE": made(16000, format="NIST", subtype="PCM_16"),
    "AIFF": made(44100, 2, format="AIFF", subtype="PCM_16"),
    "AIFF DWVW": made(8000, format="AIFF", subtype="DWVW_16"),
    "CAF ALAC": made(8000, format="CAF", subtype="ALAC_16"),
    "FLAC": made(16000, format="FLAC", subtype="PCM_16"),
    "FLAC, stereo, 24 bits": made(44100, 2, format="FLAC", subtype="PCM_24"),
    "FLAC of unknown length": lambda: flac_of_length(flac(SECONDS), 0),
    "FLAC with ID3, joined": lambda: id3(700) + flac(SECONDS / 2) + flac(SECONDS / 2, 1),
    **{f"Vorbis, {rate} Hz": made(rate, format="OGG", subtype="VORBIS") for rate in (8000, 16000, 44100)},
    **{f"Opus, {rate} Hz": made(rate, format="OGG", subtype="OPUS") for rate in (8000, 16000, 48000)},
    "Opus, joined": lambda: ogg("OPUS", SECONDS / 2) + ogg("VORBIS", SECONDS / 2, 1),
    **{
        f"MP3, {rate} Hz": made(rate, format="MP3", **FAST) for rate in (8000, 12000, 16000, 22050, 24000, 32000, 44100)
    },
    "MP3, stereo": made(48000, 2, format="MP3", **FAST),
    "MP3, constant rate": made(16000, format="MP3", bitrate_mode="CONSTANT", compression_level=0.7),
    "MP3, constant rate, lowest": made(24000, format="MP3", bitrate_mode="CONSTANT", compression_level=0.95),
    "MP3 without a tag": lambda: without_tag(mp3(SECONDS)),
    "MP3 without its first frames": lambda: without_tag(mp3(SECONDS))[5000:],
    "MP3, joined": lambda: mp3(SECONDS / 2) + id3(50) + mp3(SECONDS / 2, 1),
}


@cache
def whole(name: str, folder: str) -> tuple[Utterance, np.ndarray]:
    path = Path(folder) / name.replace("/", "-")
    path.write_bytes(FILES[name]())
    utterance = whole_file(name, path, path.parent, "text", "speaker")
    return utterance, read_audio(utterance, path.parent)[0]


@pytest.mark.parametrize("name", FILES)
@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_a_segment_is_the_same_part_of_the_whole(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    utterance, audio = whole(name, str(folder))
    rate = utterance.sample_rate
    first = data.draw(st.integers(0, len(audio) - 200) | st.integers(len(audio) - 6000, len(audio) - 200), "first")
    count = min(data.draw(st.integers(100, 3 * rate), "count"), len(audio) - first)
    part = replace(utterance, start=first / rate, duration=count / rate)
    np.testing.assert_array_equal(read_audio(part, folder)[0], audio[first : first + count])


@pytest.mark.parametrize("name", ["MP3, 16000 Hz", "MP3 without its first frames", "MP3, joined", "MP3, stereo"])
def test_reading_makes_no_noise(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    utterance, audio = whole(name, str(tmp_path))
    for start in np.arange(0, len(audio) / utterance.sample_rate - 1, 0.73):
        read_audio(replace(utterance, start=float(start), duration=0.5), tmp_path)
    assert capfd.readouterr().err == ""
