import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet3.components.data.audio import audio_info, checksum, read_audio, resample, whole_file
from espnet3.components.data.manifest import Utterance
from espnet3.errors import DataError
from tests.components.data.corpus import CHECKSUM, tone, write_audio

KINDS = ("wav", "flac", "ogg", "mp3", "sph", "aiff", "au", "w64")
LOSSY = ("ogg", "mp3")


def part(path: Path, start: float, duration: float, rate: int = 16000) -> Utterance:
    return Utterance("u0", path.name, start, duration, rate, "TEXT", "s0", CHECKSUM)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_reads_every_format(tmp_path: Path, kind: str, channels: int, rate: int) -> None:
    path = write_audio(tmp_path / f"ä 音.{kind}", 1.0, rate, channels)
    info = audio_info(path)
    assert (info.sample_rate, info.channels, info.duration) == (rate, channels, 1.0)
    audio, read_rate = read_audio(part(path, 0.0, 1.0, rate), tmp_path)
    assert audio.dtype == np.float32
    assert (audio.shape, read_rate) == ((rate,), rate)
    expected = tone(1.0, rate, channels).reshape(rate, channels).mean(axis=1)
    assert np.corrcoef(audio, expected)[0, 1] > 0.98
    if kind not in LOSSY:
        np.testing.assert_allclose(audio, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "sph"])
@pytest.mark.parametrize("start", [0.0, 0.5, 21.3, 29.9], ids=str)
def test_a_part_of_a_file_is_read_exactly(tmp_path: Path, kind: str, start: float) -> None:
    path = write_audio(tmp_path / f"long.{kind}", 30.21)
    whole, _ = soundfile.read(path, dtype="float32")
    audio, _ = read_audio(part(path, start, 0.3), tmp_path)
    first = round(start * 16000)
    np.testing.assert_allclose(audio, whole[first : first + 4800], atol=1e-5)


def test_an_absolute_path_needs_no_root(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav")
    audio, _ = read_audio(replace(part(path, 0, 1), audio=str(path)), Path("/nowhere"))
    assert len(audio) == 16000


@pytest.mark.parametrize(
    ("utterance", "expected"),
    [
        (part(Path("a.wav"), 0.0, 1.0, 8000), "has 16000 Hz, its manifest says 8000 Hz"),
        (part(Path("a.wav"), 0.5, 0.6), "ends at 1.000 s, before its utterance u0 does"),
        (part(Path("b.wav"), 0.0, 1.0), "b.wav does not exist"),
        (part(Path("nan.wav"), 0.0, 1.0), "no numbers"),
        (part(Path("folder"), 0.0, 1.0), "it is a folder"),
        (replace(part(Path("a.wav"), 0.0, 1.0), audio="a.wav/x.wav"), "does not exist"),
        (part(Path("pipe"), 0.0, 1.0), "pipe is empty"),
        (replace(part(Path("a.wav"), 0.0, 1.0), audio="a\0.wav"), r"a\\x00\.wav' cannot be a path"),
    ],
    ids=["rate", "end", "missing", "nan", "folder", "below a file", "pipe", "NUL"],
)
def test_refuses_to_read(tmp_path: Path, utterance: Utterance, expected: str) -> None:
    write_audio(tmp_path / "a.wav")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(DataError, match=expected):
        read_audio(utterance, tmp_path)


def test_rounded_durations_are_tolerated(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", 1.0)
    assert len(read_audio(part(path, 0.0, 1.005), tmp_path)[0]) == 16000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.98, 0.5, 0.002], ids=["end", "half", "head"])
def test_finds_files_that_are_cut(tmp_path: Path, kind: str, kept: float) -> None:
    path = write_audio(tmp_path / f"a.{kind}", 3.0)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match=r"a\.\w+ (is cut short|is not readable audio|holds no samples)"):
        audio_info(path)


UNREADABLE = {
    "empty": (b"", "is empty"),
    "text": (b"this is not audio", "is not readable audio"),
    "html": (b"<html>404</html>" * 100, "is not readable audio"),
    "zeros": (bytes(1000), "is not readable audio"),
}


@pytest.mark.parametrize(("content", "expected"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.raw", "x"])
def test_names_what_is_no_audio(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=expected):
        audio_info(tmp_path / name)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no samples"):
        audio_info(write_audio(tmp_path / "a.wav", 0.0))


def test_a_stream_of_unknown_length_is_whole(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "piped.wav")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert audio_info(path).frames == 16000


@pytest.mark.parametrize("target", [8000, 16000, 48000])
def test_resampling_keeps_the_sound(target: int) -> None:
    audio = resample(tone(1.0, 16000), 16000, target)
    assert audio.dtype == np.float32
    assert len(audio) == target
    middle = slice(target // 10, -target // 10)
    np.testing.assert_allclose(audio[middle], tone(1.0, target)[middle], atol=1e-3)


def test_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav")
    assert checksum(path) == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="cannot be read"):
        checksum(tmp_path / "missing.wav")


def test_describes_a_whole_file(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "audio/ü.flac", 1.5, 8000, 2)
    expected = Utterance("u", "audio/ü.flac", 0.0, 1.5, 8000, "TEXT", "s", checksum(path))
    assert whole_file("u", path, tmp_path, "TEXT", "s") == expected
    assert whole_file("u", path, tmp_path / "other", "TEXT", "s").audio == str(path)
