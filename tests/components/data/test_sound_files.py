"""All of a file is read, or it is refused: headers that lie, joined files, what libsndfile does not read."""

import struct
from pathlib import Path

import numpy as np
import pytest

from espnet3.components.data.audio import audio_info, read_audio, whole_file
from espnet3.errors import DataError
from tests.components.data.odd_audio import (
    RATE,
    decoded,
    encoded,
    first_frame,
    flac,
    flac_of_length,
    id3,
    mp3,
    ogg,
    pcm,
    rf64,
    sound,
    wav,
    with_frames,
    without_tag,
)

PCM = pcm()
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf58.29.100\0"
ODD_LIST = b"LIST" + struct.pack("<I", 5) + b"INFOx"
WAVS = {
    "right": wav(PCM),
    "zero": wav(PCM, 0),
    "all sizes zero": wav(PCM, 0, riff=0),
    "half": wav(PCM, len(PCM) // 2),
    "odd": wav(PCM, 1001),
    "one sample": wav(PCM, 2),
    "all ones": wav(PCM, 0xFFFF_FFFF),
    "all ones but for the header": wav(PCM, 0xFFFF_FFFF - 36),
    "pipe of sox": wav(PCM, 0x7FFF_F000),
    "largest signed": wav(PCM, 0x7FFF_FFFF),
    "smallest signed": wav(PCM, 0x8000_0000),
    "16 bytes more": wav(PCM, len(PCM) + 16),
    "its header counted": wav(PCM, len(PCM) + 44),
    "tags before, all ones": wav(PCM, 0xFFFF_FFFF, LIST),
    "tags before, zero": wav(PCM, 0, LIST),
    "odd tags": wav(PCM, None, ODD_LIST + b"\0"),
    "odd tags that are not filled up": wav(PCM, None, ODD_LIST),
    "tags behind": wav(PCM) + LIST,
    "cut tags behind": wav(PCM) + LIST[:20],
    "ID3 behind": wav(PCM) + id3(300),
    "a tag of 128 bytes behind": wav(PCM) + b"TAG" + bytes(125),
    "a tag behind half": wav(PCM, len(PCM) // 2) + b"TAG" + bytes(125),
    "zeros behind": wav(PCM) + bytes(700),
    "text behind": wav(PCM) + b"garbage\r\n" * 90,
    "ID3 before": id3(700) + wav(PCM),
    "BW64": rf64(PCM, len(PCM)).replace(b"RF64", b"BW64"),
    "RF64": rf64(PCM, len(PCM)),
    "RF64 of size zero": rf64(PCM, 0),
    "RF64 of half the size": rf64(PCM, len(PCM) // 2),
    "RF64 with a size of 32 bits": rf64(PCM, 0).replace(b"data\xff\xff\xff\xff", b"data" + struct.pack("<I", len(PCM))),
    "big-endian": b"",  # made below
}
WAVS["big-endian"] = (
    b"RIFX" + struct.pack(">I", 0) + b"WAVEfmt " + struct.pack(">IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    + b"data" + struct.pack(">I", 100) + np.frombuffer(PCM, "<i2").astype(">i2").tobytes()
)  # fmt: skip


def write(folder: Path, content: bytes, name: str = "a") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path) -> np.ndarray:
    """All of a file as the stages read it, which must be as long as was counted."""
    utterance = whole_file("u", path, path.parent, "text", "speaker")
    audio, rate = read_audio(utterance, path.parent)
    assert len(audio) == round(utterance.duration * rate) == audio_info(path).frames
    return audio


@pytest.mark.parametrize("content", WAVS.values(), ids=WAVS)
def test_a_wav_file_is_read_whole(tmp_path: Path, content: bytes) -> None:
    np.testing.assert_array_equal(read(write(tmp_path, content)), np.frombuffer(PCM, "<i2") / np.float32(32768))


@pytest.mark.parametrize("encoding", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("size", ["0", "all ones", "half"])
def test_a_wav_file_of_any_encoding_is_read_whole(tmp_path: Path, encoding: str, size: str) -> None:
    content = encoded(np.stack([sound(), -sound(seed=1)], axis=1), RATE, format="WAV", subtype=encoding)
    place = content.index(b"data") + 4
    (right,) = struct.unpack_from("<I", content, place)
    wrong = {"0": 0, "all ones": 0xFFFF_FFFF, "half": right // 2}[size]
    changed = content[:place] + struct.pack("<I", wrong) + content[place + 4 : place + 4 + right]
    np.testing.assert_array_equal(read(write(tmp_path, changed)), decoded(content).mean(axis=1))


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "W64"])
@pytest.mark.parametrize("size", [0.0, 0.5, -1.0], ids=["0", "half", "unknown"])
def test_other_containers_are_read_whole(tmp_path: Path, kind: str, size: float) -> None:
    content = encoded(sound(), RATE, format=kind, subtype="PCM_16")
    mark, form, extra = {
        "AIFF": (content.find(b"SSND") + 4, ">I", 8),
        "AU": (8, ">I", 0),
        "CAF": (content.find(b"data") + 4, ">q", 4),
        "W64": (content.find(b"data") + 16, "<Q", 24),
    }[kind]
    bits = 8 * struct.calcsize(form)
    wrong = (1 << (bits - 1)) - 1 if size < 0 else int(size * 2 * RATE * 2) + extra
    if size < 0 and kind in {"AU", "CAF"}:
        wrong = -1 if form == ">q" else 0xFFFF_FFFF
    changed = bytearray(content[: -len(content) % 2 or None])
    struct.pack_into(form, changed, mark, wrong)
    np.testing.assert_array_equal(read(write(tmp_path, bytes(changed))), decoded(content)[:, 0])


ONE, OTHER = flac(), flac(1.3, 1)
FLACS = {
    "right": (ONE, [ONE]),
    "length unknown": (flac_of_length(ONE, 0), [ONE]),
    "half the length": (flac_of_length(ONE, RATE), [ONE]),
    "ID3 before": (id3(500) + ONE, [ONE]),
    "ID3 twice before": (id3(500) + id3(2000) + ONE, [ONE]),
    "ID3 before, length unknown": (id3(500) + flac_of_length(ONE, 0), [ONE]),
    "a tag of 128 bytes behind": (ONE + b"TAG" + bytes(125), [ONE]),
    "joined": (ONE + OTHER, [ONE, OTHER]),
    "joined with itself": (ONE * 3, [ONE] * 3),
    "joined, lengths unknown": (flac_of_length(ONE, 0) + flac_of_length(OTHER, 0), [ONE, OTHER]),
}
VORBIS, OPUS = ogg("VORBIS"), ogg("OPUS")
OGGS = {
    "Vorbis": (VORBIS, [VORBIS]),
    "Vorbis, joined": (VORBIS + ogg("VORBIS", 1.3, 1), [VORBIS, ogg("VORBIS", 1.3, 1)]),
    "Vorbis, joined with itself": (VORBIS * 3, [VORBIS] * 3),
    "Opus, joined": (OPUS + ogg("OPUS", 1.3, 1), [OPUS, ogg("OPUS", 1.3, 1)]),
    "Opus and Vorbis": (OPUS + VORBIS, [OPUS, VORBIS]),
    "something between": (OPUS + b"\0" * 700 + OPUS, [OPUS] * 2),
    "ID3 before": (id3(300) + VORBIS, [VORBIS]),
}
LAG = 1105
"""Samples by which LAME and a decoder are late, which the tag says."""
MP3, LONGER = mp3(), mp3(3.1, 1)
MP3S = {
    "right": (MP3, [MP3]),
    "too many frames": (with_frames(MP3, lambda frames: frames + 30), [MP3]),
    "ID3 before": (id3(5000) + MP3, [MP3]),
    "a large ID3 before": (id3(300_000) + MP3, [MP3]),
    "a tag of 128 bytes behind": (MP3 + b"TAG" + bytes(125), [MP3]),
    "zeros behind": (MP3 + bytes(60_000), [MP3]),
    "joined": (MP3 + LONGER, [MP3, LONGER]),
    "joined with itself": (MP3 * 3, [MP3] * 3),
    "joined with their ID3": ((id3(500) + MP3) * 2, [MP3] * 2),
    "joined with something between": (MP3 + bytes(5000) + LONGER, [MP3, LONGER]),
}


@pytest.mark.parametrize(("content", "parts"), [*FLACS.values(), *OGGS.values()], ids=[*FLACS, *OGGS])
def test_a_compressed_file_is_read_whole(tmp_path: Path, content: bytes, parts: list[bytes]) -> None:
    np.testing.assert_array_equal(
        read(write(tmp_path, content)), np.concatenate([decoded(part)[:, 0] for part in parts])
    )


@pytest.mark.parametrize(("content", "parts"), MP3S.values(), ids=MP3S)
def test_an_mp3_file_is_read_whole(
    tmp_path: Path, content: bytes, parts: list[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    audio, expected = read(write(tmp_path, content)), np.concatenate([decoded(part)[:, 0] for part in parts])
    if len(audio) != len(expected):  # a wrong tag does not say what is padding
        assert len(expected) < len(audio) <= len(expected) + 1152
    np.testing.assert_allclose(audio[: len(expected)], expected, atol=3e-7)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("start", ["quiet", "loud"])
def test_an_mp3_file_without_a_tag_is_read_whole(tmp_path: Path, start: str, rate: int, channels: int) -> None:
    quiet, loud = 1e-4 * sound(2, rate), sound(4, rate)
    samples = np.concatenate([quiet, loud] if start == "quiet" else [loud, quiet])
    content = encoded(
        np.stack([samples] * channels, axis=1), rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3
    )
    path, right = write(tmp_path, without_tag(content)), decoded(content).mean(axis=1)
    audio = read(path)
    assert 0 <= len(audio) / rate - 6 < 0.25
    np.testing.assert_allclose(audio[LAG : LAG + len(right)], right, atol=3e-7)
    half = read(write(tmp_path, with_frames(content, lambda frames: frames // 2)))
    np.testing.assert_allclose(half[: len(right)], right, atol=3e-7)


@pytest.mark.parametrize("encoding", ["GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_32", "IMA_ADPCM", "MS_ADPCM"])
def test_telephony_is_read(tmp_path: Path, encoding: str) -> None:
    content = encoded(sound(), RATE, format="WAV", subtype=encoding)
    audio = read(write(tmp_path, content))
    assert 0 <= len(audio) - len(sound()) < 1024
    assert np.corrcoef(audio[: len(sound())], sound())[0, 1] > 0.8


CUT = {
    "WAV": (wav(PCM[: len(PCM) // 2], len(PCM)), "promises 2.000 s, and 1.000 s are there"),
    "WAV without samples": (wav(b"", len(PCM)), "promises 2.000 s, and 0.000 s are there|holds no samples"),
    "RF64": (rf64(PCM[: len(PCM) // 2], len(PCM)), "promises 2.000 s, and 1.000 s are there"),
    "WAV of 3 GB": (wav(PCM, 3_000_000_000), "promises 187500.000 s, and 2.000 s are there"),
    "FLAC": (ONE[: len(ONE) // 2], r"promises 2.000 s, and [01].\d\d\d s are there"),
    "the second FLAC": (ONE + OTHER[: len(OTHER) // 2], r"promises 3.300 s, and 2.\d\d\d s are there"),
    "MP3": (MP3[: len(MP3) // 2], r"promises 2.\d\d\d s, and [01].\d\d\d s are there"),
    "the second MP3": (MP3 + LONGER[: len(LONGER) // 2], r"promises 5.\d\d\d s, and 3.\d\d\d s are there"),
    "Vorbis": (VORBIS[:-300], "300 bytes of its last page are missing"),
    "Opus": (OPUS + OPUS[:-300], "300 bytes of its last page are missing"),
    "AIFF": (encoded(sound(), format="AIFF")[:-16000], "promises 2.000 s, and 1.000 s are there"),
    "SPHERE": (encoded(sound(), format="NIST", subtype="PCM_16")[:-16000], "promises 2.000 s, and 1.000 s are there"),
}


@pytest.mark.parametrize(("content", "message"), CUT.values(), ids=CUT)
def test_what_is_cut_short_is_told_with_both_lengths(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"a is cut short: .*({message})|{message}"):
        audio_info(write(tmp_path, content))


STOPPED = {
    "WAV": wav(PCM[:-1], 0),
    "FLAC": flac_of_length(ONE[:-100], 0),
    "MP3": without_tag(MP3)[:-10],
    "RF64": rf64(PCM[:-3], 0),
}


@pytest.mark.parametrize("content", STOPPED.values(), ids=STOPPED)
def test_what_a_stopped_recorder_left_is_read(tmp_path: Path, content: bytes) -> None:
    assert 1.4 < len(read(write(tmp_path, content))) / audio_info(tmp_path / "a").sample_rate < 2.3


def test_an_ogg_file_without_a_last_page_is_read_and_told(tmp_path: Path) -> None:
    content = ogg("VORBIS", 12)
    cut = content[: content.rindex(b"OggS")]
    info = audio_info(write(tmp_path, cut))
    assert info.frames == len(read(tmp_path / "a"))
    assert "no page that is marked as the last one" in info.remark


MIXED = {
    "MP3 rates": (MP3 + mp3(1, 0, 22050), "recordings of 16000 and 22050 Hz"),
    "MP3 channels": (MP3 + mp3(1, 0, 16000, 2), "recordings of 1 and 2 channels"),
    "FLAC rates": (ONE + flac(1, 0, 16000), "recordings of 8000 and 16000 Hz"),
    "WAV rates": (wav(PCM) + encoded(sound(1), 16000, format="WAV", subtype="PCM_16"), "8000 and 16000 Hz"),
}


@pytest.mark.parametrize(("content", "message"), MIXED.values(), ids=MIXED)
def test_recordings_that_do_not_fit_together_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        audio_info(write(tmp_path, content))


SHORTEN = b"NIST_1A\n   1024\nsample_count -i 9\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n".ljust(1024)
FOREIGN = {
    "m4a": (b"\0\0\0\x20ftypM4A " + bytes(500), r"MP4 or M4A.*ffmpeg -i 'a b.m4a' 'a b'.flac"),
    "webm": (bytes.fromhex("1a45dfa3") + b"\x9fB\x86\x81\x01webm" + bytes(500), "WebM.*ffmpeg"),
    "wma": (bytes.fromhex("3026b2758e66cf11") + bytes(500), "WMA.*ffmpeg"),
    "amr": (b"#!AMR\n" + bytes(500), "AMR.*ffmpeg"),
    "aac": (b"\xff\xf1\x50\x80" + bytes(500), "AAC.*ffmpeg"),
    "ape": (b"MAC \x96\x0f" + bytes(500), "APE.*ffmpeg"),
    "wv": (b"wvpk" + bytes(500), "WavPack.*ffmpeg"),
    "sph": (SHORTEN + b"ajkg\x02" + bytes(500), "shorten.*sph2pipe -f wav 'a b.sph' 'a b'.wav"),
    "wav": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12345\n", "Git LFS.*git lfs pull"),
    "zip": (b"PK\x03\x04" + bytes(500), "zip archive.*unpack"),
    "gz": (b"\x1f\x8b\x08" + bytes(500), "gzip.*gunzip"),
    "html": (b"\n<!DOCTYPE html><title>404</title>", "a web page"),
    "spx": (
        b"OggS\0\2" + bytes(20) + b"\1\x50Speex   1.2" + bytes(69) + b"OggS\0\4" + bytes(20) + b"\1\x20" + bytes(32),
        "Speex.*ffmpeg",
    ),
    "mkv": (b"what is this", "not readable audio.*ffmpeg -i 'a b.mkv'"),
}


@pytest.mark.parametrize(("kind", "content", "message"), [(kind, *rest) for kind, rest in FOREIGN.items()], ids=FOREIGN)
def test_what_is_not_read_is_refused_with_the_cure(tmp_path: Path, kind: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        audio_info(write(tmp_path, content, f"a b.{kind}"))
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        (wav(PCM), ""),
        (wav(PCM, 1000), "longer than its header says"),
        (flac_of_length(ONE, 1000), "longer than its header says"),
        (with_frames(MP3, lambda frames: frames // 2), "longer than its header says"),
        (ONE + OTHER, "holds 2 recordings, one after the other"),
    ],
    ids=["right", "WAV", "FLAC", "MP3", "joined"],
)
def test_says_what_is_odd_about_a_file_that_is_read(tmp_path: Path, content: bytes, remark: str) -> None:
    found = audio_info(write(tmp_path, content)).remark
    assert remark in found
    assert bool(remark) == bool(found)


def test_the_tag_is_found() -> None:
    assert first_frame(MP3) > 20
