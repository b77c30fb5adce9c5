"""Outputs as files of their own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from espnet3.components.data.artifacts import artifact_writer, file_name, write_artifact
from espnet3.errors import ConfigError, DataError


def test_an_array_comes_back(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    name = write_artifact(tmp_path, "utt", array, artifact_writer("scores", {"type": "npy"}))
    assert name == "utt.npy"
    np.testing.assert_array_equal(np.load(tmp_path / name), array)


def test_audio_comes_back(tmp_path: Path) -> None:
    audio = np.sin(np.arange(800, dtype=np.float32))[:, None].repeat(2, axis=1) * 0.5
    name = write_artifact(tmp_path, "utt", audio, artifact_writer("speech", {"type": "wav", "sample_rate": 8000}))
    read, rate = soundfile.read(tmp_path / name)
    assert rate == 8000
    np.testing.assert_allclose(read, audio, atol=1e-4)


def test_a_mapping_comes_back_with_sorted_keys(tmp_path: Path) -> None:
    name = write_artifact(tmp_path, "utt", {"b": [1, 2.5], "a": "é"}, artifact_writer("words", {"type": "json"}))
    assert (tmp_path / name).read_text(encoding="utf-8") == '{"a": "é", "b": [1, 2.5]}\n'
    assert json.loads((tmp_path / name).read_text())["b"] == [1, 2.5]


def test_a_writer_of_ones_own(tmp_path: Path) -> None:
    settings = {"_target_": "espnet3.components.data.artifacts.JsonWriter", "indent": 2, "suffix": ".txt"}
    assert write_artifact(tmp_path, "utt", [1], artifact_writer("words", settings)) == "utt.txt"
    assert (tmp_path / "utt.txt").read_text() == "[\n  1\n]\n"


@pytest.mark.parametrize("kind", ["npy", "wav", "json"])
def test_the_same_value_gives_the_same_bytes(kind: str) -> None:
    writer = artifact_writer("x", {"type": kind} | ({"sample_rate": 16000} if kind == "wav" else {}))
    value: Any = {"a": 1, "b": 2} if kind == "json" else np.zeros(10)
    assert writer.encode(value) == writer.encode(value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({}, "output_artifacts.x needs a type of npy, wav, json, or a _target_", id="nothing"),
        pytest.param({"type": "pickle"}, "needs a type of npy, wav, json", id="unknown type"),
        pytest.param({"type": "wav"}, "sample_rate", id="missing argument"),
        pytest.param({"type": "npy", "compress": True}, "compress", id="unknown argument"),
    ],
)
def test_a_wrong_writer_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        artifact_writer("x", settings)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("json", np.zeros(3)), ("npy", [object()]), ("wav", np.zeros((2, 2, 2)))],
)
def test_a_value_that_a_writer_cannot_take_names_the_utterance(tmp_path: Path, kind: str, value: Any) -> None:
    settings = {"type": kind} | ({"sample_rate": 16000} if kind == "wav" else {})
    with pytest.raises(DataError, match=r"utt-1: .*Writer cannot write a"):
        write_artifact(tmp_path, "utt-1", value, artifact_writer("x", settings))
    assert list(tmp_path.iterdir()) == []


def test_different_ids_have_different_safe_names() -> None:
    ids = ["a/b", "a%2Fb", "a:b", "é", "..", "a b"]
    names = [file_name(utt_id) for utt_id in ids]
    assert names == ["a%2Fb", "a%252Fb", "a%3Ab", "é", "..", "a%20b"]
