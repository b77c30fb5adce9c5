"""What create_dataset hears: no numbers, another scale, silence, channels that must not be mixed; single channels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from espnet3.components.data.audio import audio_info, checksum, read_audio
from espnet3.components.data.audio_index import index_path
from espnet3.components.data.manifest import Manifest, Utterance, write_manifest
from espnet3.components.data.validation import Problem, check_manifest
from espnet3.errors import DataError
from espnet3.systems.base.create_dataset import _check_manifest
from tests.components.data.odd_audio import flac, sound, wav

RATE = 8000
TONE = sound(4.0)
TURNS = (np.arange(len(TONE)) // RATE % 2).astype(np.float32)
"""A second of one, a second of the other."""


def corpus(folder: Path, samples: np.ndarray, name: str = "a.wav", subtype: str = "FLOAT", **fields: Any) -> Path:
    """A manifest of one utterance, which is the whole file unless fields say otherwise."""
    soundfile.write(folder / name, samples, RATE, subtype=subtype)
    return manifest_of(folder, name, **fields)


def manifest_of(folder: Path, name: str, **fields: Any) -> Path:
    path = folder / name
    record = {"utt_id": "u", "audio": name, "start": 0.0, "duration": audio_info(path).duration, "sample_rate": RATE}
    record |= {"text": "A", "speaker": "s", "checksum": checksum(path)}
    manifest = folder / "m.jsonl"
    manifest.write_text(json.dumps(record | fields) + "\n")
    return manifest


def found(manifest: Path) -> list[Problem]:
    return check_manifest(manifest, with_checksums=True).problems


def replaced(samples: np.ndarray, place: int, value: float) -> np.ndarray:
    changed = samples.copy()
    changed[place] = value
    return changed


FAULTS = {
    "nan at the beginning": (replaced(TONE, 0, np.nan), "values that are no numbers"),
    "nan in the middle": (replaced(TONE, 17_000, np.nan), "values that are no numbers"),
    "infinite at the end": (replaced(TONE, -1, np.inf), "values that are no numbers"),
    "nan in one channel": (np.stack([TONE, replaced(TONE, 9000, np.nan)], axis=1), "values that are no numbers"),
    "16-bit values": (np.round(TONE * 32768), "look like 16-bit samples stored as floats: divide them by 32768"),
    "another scale": (TONE * 1000, "floats are expected from -1 to 1"),
}


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize(("samples", "message"), FAULTS.values(), ids=FAULTS)
def test_values_that_are_none_of_audio_are_faults(
    tmp_path: Path, samples: np.ndarray, message: str, subtype: str
) -> None:
    manifest = corpus(tmp_path, samples, subtype=subtype)
    (problem,) = found(manifest)
    assert (problem.line, problem.is_warning) == (1, False)
    assert message in problem.message
    with pytest.raises(DataError, match=message.split(":", maxsplit=1)[0]):
        read_audio(Manifest(manifest)[0], tmp_path)


@pytest.mark.parametrize("scale", [1.0, 3.0, 9.0])
def test_floats_that_overshoot_are_no_fault(tmp_path: Path, scale: float) -> None:
    assert found(corpus(tmp_path, TONE * scale)) == []


def test_a_fault_outside_the_utterance_is_none(tmp_path: Path) -> None:
    assert found(corpus(tmp_path, replaced(TONE, 100, np.nan), start=1.0, duration=2.0)) == []


SILENT = {
    "zeros": (np.zeros(8000), "FLOAT"),
    "zeros of 16 bits": (np.zeros(8000), "PCM_16"),
    "zeros of 8 bits": (np.zeros(8000), "PCM_U8"),
    "a constant": (np.full(8000, 0.1), "PCM_16"),
    "one step": (np.where(np.arange(8000) % 5 == 0, 2.0**-15, 0.0), "PCM_16"),
    "two channels": (np.zeros((8000, 2)), "PCM_16"),
}


@pytest.mark.parametrize(("samples", "subtype"), SILENT.values(), ids=SILENT)
def test_digital_silence_is_warned_about(tmp_path: Path, samples: np.ndarray, subtype: str) -> None:
    (problem,) = found(corpus(tmp_path, samples, subtype=subtype))
    assert problem.is_warning
    assert problem.message.startswith("u (a.wav) holds nothing but digital silence. ")


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "aiff"])
def test_silence_is_heard_in_every_format(tmp_path: Path, kind: str) -> None:
    soundfile.write(tmp_path / f"a.{kind}", np.zeros(20_000), RATE)
    (problem,) = found(manifest_of(tmp_path, f"a.{kind}"))
    assert "digital silence" in problem.message


def test_a_sound_anywhere_ends_the_search_for_silence(tmp_path: Path) -> None:
    for place in (0, 4000, 31_000):
        assert found(corpus(tmp_path, replaced(0 * TONE, place, 0.01), subtype="PCM_16")) == []


def test_the_silence_of_a_segment_is_its_own(tmp_path: Path) -> None:
    samples = TONE * (np.arange(len(TONE)) < RATE)
    assert found(corpus(tmp_path, samples, subtype="PCM_16", start=0.0, duration=1.0)) == []
    (problem,) = found(corpus(tmp_path, samples, subtype="PCM_16", start=1.0, duration=1.0))
    assert "digital silence" in problem.message


def test_many_silent_utterances_are_one_warning(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, np.zeros(8000), subtype="PCM_16")
    line = json.loads(manifest.read_text())
    manifest.write_text("".join(json.dumps(line | {"utt_id": f"u{n}"}) + "\n" for n in range(5)))
    (problem,) = found(manifest)
    assert problem.message.startswith("u0 (a.wav) holds nothing but digital silence; 4 more are like that.")


OTHER = sound(4.0, seed=3)
MIXES = {
    "opposite": (np.stack([TONE, -TONE], axis=1), "cancel each other"),
    "opposite and quieter": (np.stack([TONE, -0.5 * TONE], axis=1), "cancel each other"),
    "one of three opposite": (np.stack([TONE, TONE, -TONE], axis=1), "cancel each other"),
    "one speaker in each": (np.stack([TONE * TURNS, OTHER * (1 - TURNS)], axis=1), "another speaker in each channel"),
    "with crosstalk": (
        np.stack([TONE * (TURNS + 0.03), OTHER * (1.03 - TURNS)], axis=1),
        "another speaker in each channel",
    ),
    "the same": (np.stack([TONE, TONE], axis=1), ""),
    "two microphones": (np.stack([TONE, np.roll(TONE, 3) + 0.05 * OTHER], axis=1), ""),
    "one is dead": (np.stack([TONE, 0 * TONE], axis=1), ""),
    "both speak at once": (np.stack([TONE, OTHER], axis=1), ""),
    "one speaks at all": (np.stack([TONE, 0.01 * OTHER], axis=1), ""),
}


@pytest.mark.parametrize(("samples", "message"), MIXES.values(), ids=MIXES)
def test_channels_that_should_not_be_mixed_are_warned_about(tmp_path: Path, samples: np.ndarray, message: str) -> None:
    problems = found(corpus(tmp_path, samples, subtype="PCM_16"))
    assert [problem.is_warning for problem in problems] == [True] * bool(message)
    assert all(message in problem.message and "channel: 0" in problem.message for problem in problems)
    assert found(corpus(tmp_path, samples, subtype="PCM_16", channel=0)) == []


def test_files_that_are_odd_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav((TONE * 32767).astype("<i2").tobytes(), 2000))
    (problem,) = found(manifest_of(tmp_path, "a.wav"))
    assert (problem.is_warning, problem.message) == (
        True, "a.wav is longer than its header says: all of it is read."
    )  # fmt: skip
    (tmp_path / "b.flac").write_bytes(flac() * 2)
    (problem,) = found(manifest_of(tmp_path, "b.flac"))
    assert problem.message == "b.flac holds 2 recordings, one after the other: they are read as one."


def test_a_manifest_names_channels(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, np.stack([TONE, OTHER], axis=1))
    mixed = Manifest(manifest)[0]
    assert mixed.channel is None
    each = [Utterance(**{**fields(mixed), "utt_id": f"u{channel}", "channel": channel}) for channel in (0, 1)]
    write_manifest(manifest, [mixed, *each])
    lines = manifest.read_text().splitlines()
    assert ["channel" in line for line in lines] == [False, True, True]
    again = Manifest(manifest)
    assert list(again) == [mixed, *each]
    right: list[np.ndarray] = [(TONE + OTHER) / 2, TONE, OTHER]
    for utterance, expected in zip(again, right, strict=True):
        audio, _ = read_audio(utterance, tmp_path)
        np.testing.assert_allclose(audio, expected, atol=1e-6)
        assert audio.flags.c_contiguous


def fields(utterance: Utterance) -> dict[str, Any]:
    return {name: getattr(utterance, name) for name in Utterance.__slots__}


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (2, "channel is 2, but a.wav has 2 channels, from 0 to 1"),
        (-1, "channel is -1, but"),
        ("left", 'channel must be a whole number; it is "left"'),
        (0.0, "channel must be a whole number; it is 0.0"),
        (True, "channel must be a whole number; it is true"),
        (None, "channel must be a whole number; it is null"),
    ],
)
def test_a_channel_that_is_none_is_a_fault(tmp_path: Path, channel: Any, message: str) -> None:
    manifest = corpus(tmp_path, np.stack([TONE, OTHER], axis=1), channel=channel)
    (problem,) = found(manifest)
    assert message in problem.message
    if isinstance(channel, int) and not isinstance(channel, bool):
        with pytest.raises(DataError, match=f"a.wav has no channel {channel} \\(u\\): it has 2 channels, from 0 to 1"):
            read_audio(Manifest(manifest)[0], tmp_path)


def test_a_warning_does_not_keep_the_index_from_being_written(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, np.zeros(8000))
    assert [problem.is_warning for problem in _check_manifest(manifest).problems] == [True]
    assert index_path(manifest).is_file()
