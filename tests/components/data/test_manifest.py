import json
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.components.data.manifest import COLUMNS, Manifest, Utterance, parse_line, write_manifest
from espnet3.errors import DataError
from tests.components.data.corpus import CHECKSUM, record, write_lines

UTTERANCE = Utterance("u0", "a.wav", 0.0, 1.0, 16000, "TEXT", "s0", CHECKSUM)

TEXTS = {
    "japanese": "こんにちは 世界",
    "arabic": "السلام عليكم",
    "combining": "q\u0301 n\u0304",
    "astral": "\U0001d54a 👩\u200d🎤",
    "quotes": 'he said "duration": 5 \\ and left',
    "key as value": "duration",
}


def text(length: int = 1) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), min_size=length)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    utterances = [replace(UTTERANCE, utt_id=f"u{n}", duration=1.0 + n) for n in range(5)]
    write_manifest(tmp_path / "m.jsonl", utterances)
    return Manifest.read(tmp_path / "m.jsonl")


def test_gives_back_what_was_written(manifest: Manifest) -> None:
    assert len(manifest) == 5
    assert manifest[3] == manifest[-2] == replace(UTTERANCE, utt_id="u3", duration=4.0)
    assert (
        [utterance.utt_id for utterance in manifest]
        == [u.utt_id for u in manifest[:]]
        == ["u0", "u1", "u2", "u3", "u4"]
    )
    assert manifest[1:4:2] == [manifest[1], manifest[3]]
    np.testing.assert_array_equal(manifest.durations, [1, 2, 3, 4, 5])
    assert manifest.durations.dtype == np.float64


@pytest.mark.parametrize("index", [5, -6])
def test_an_index_outside_says_how_many_there_are(manifest: Manifest, index: int) -> None:
    with pytest.raises(IndexError, match="has 5 utterances"):
        manifest[index]


@pytest.mark.parametrize("said", TEXTS.values(), ids=TEXTS)
def test_text_of_any_script_goes_through(tmp_path: Path, said: str) -> None:
    path = tmp_path / "データ" / "манифест.jsonl"
    utterance = replace(UTTERANCE, text=said, speaker="話者", audio="音声/ä.wav", duration=2.5)
    write_manifest(path, [utterance, utterance])
    assert list(Manifest(path)) == [utterance, utterance]
    assert list(Manifest(path).durations) == [2.5, 2.5]
    assert said in path.read_text(encoding="utf-8") or "\\" in said


@given(text(), st.floats(0.01, 3600), text())
def test_any_utterance_survives_a_line(said: str, duration: float, utt_id: str) -> None:
    utterance = replace(UTTERANCE, text=said, duration=duration, utt_id=utt_id)
    line = json.dumps({column: getattr(utterance, column) for column in COLUMNS}, ensure_ascii=False).encode()
    assert parse_line(line) == utterance


def test_writes_the_same_bytes_in_field_order(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_manifest(tmp_path / name, [UTTERANCE])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_text().startswith('{"utt_id": "u0", "audio": "a.wav", "start": 0.0, "duration": 1.0, ')


def test_a_writer_that_fails_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [UTTERANCE])
    with pytest.raises(ZeroDivisionError):
        write_manifest(path, (replace(UTTERANCE, duration=1 / n) for n in (1, 0)))
    assert list(Manifest(path)) == [UTTERANCE]
    assert list(tmp_path.iterdir()) == [path]


BAD_LINES = {
    "no json": ('{"utt_id": "u0", ', "malformed JSON"),
    "empty": ("", "is an empty line"),
    "list": ("[1, 2]", "must be a JSON object with utt_id, audio"),
    "number": ("3", "must be a JSON object"),
    "latin-1": (json.dumps(record(text="Ä"), ensure_ascii=False).encode("latin-1"), "is not UTF-8"),
    "missing": (record(text=None), "text is missing"),
    "unknown": (record(lang="en"), "'lang' is unknown; the fields are utt_id, audio"),
    "text a number": (record(text=3), "text must be text; it is 3"),
    "duration text": (record(duration="1.0"), 'duration must be a number; it is "1.0"'),
    "duration true": (record(duration=True), "duration must be a number; it is true"),
    "duration null": (json.dumps(record() | {"duration": None}), "duration must be a number; it is null"),
    "rate a float": (record(sample_rate=16000.0), "sample_rate must be a whole number"),
    "rate huge": (record(sample_rate=10**400), "sample_rate is too large"),
    "surrogate": (json.dumps(record()).replace("TEXT", "\\ud83d"), "text holds half of a surrogate pair"),
    "a field twice": (json.dumps(record())[:-1] + ', "text": "OTHER"}', "is malformed JSON: text stands there twice."),
    "nested": ("[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("line", "expected"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named_with_its_fault(tmp_path: Path, line: str, expected: str) -> None:
    path = write_lines(tmp_path / "m.jsonl", [record(0), line, record(2)])
    manifest = Manifest(path)
    assert manifest[0].utt_id == "u0"
    assert manifest[2].utt_id == "u2"
    with pytest.raises(DataError) as caught:
        manifest[1]
    assert str(caught.value).startswith(f"{path}:2: ")
    assert expected in str(caught.value)


def test_durations_name_the_line_that_has_none(tmp_path: Path) -> None:
    manifest = Manifest(write_lines(tmp_path / "m.jsonl", [record(), record(duration="long")]))
    with pytest.raises(DataError, match=r"m\.jsonl:2: duration must be a number"):
        _ = manifest.durations


DURATIONS = {
    "integer": ('"duration": 2', 2.0),
    "exponent": ('"duration": 2.5e0', 2.5),
    "spaces": ('"duration"  :  2.5 ', 2.5),
    "close": ('"duration":2.5', 2.5),
    "escaped key": ('"d\\u0075ration": 2.5', 2.5),
}


@pytest.mark.parametrize(("written", "expected"), DURATIONS.values(), ids=DURATIONS)
def test_durations_in_any_spelling(tmp_path: Path, written: str, expected: float) -> None:
    line = json.dumps(record(duration=777)).replace('"duration": 777', written)
    assert list(Manifest(write_lines(tmp_path / "m.jsonl", [line])).durations) == [expected]


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", [record(0), record(1)])
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert [utterance.utt_id for utterance in Manifest(path)] == ["u0", "u1"]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r":2: is malformed JSON.*may have been cut short here"):
        Manifest(path)[1]


def test_windows_line_ends_and_byte_order_mark_are_fine(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", [record(0), record(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert [utterance.utt_id for utterance in Manifest(path)] == ["u0", "u1"]


def test_an_empty_manifest_has_no_utterances(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").touch()
    manifest = Manifest(tmp_path / "m.jsonl")
    assert len(manifest) == len(manifest.durations) == len(list(manifest)) == 0


@pytest.mark.parametrize("place", ["nowhere.jsonl", "."], ids=["missing", "folder"])
def test_what_is_no_manifest_file_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(DataError, match=r"There is no manifest|is not a file"):
        Manifest(tmp_path / place)


def test_travels_to_other_processes(manifest: Manifest) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(manifest.__getitem__, [0, 4]) == [manifest[0], manifest[4]]
    assert len(pickle.dumps(manifest)) < 1000


def test_a_manifest_that_changed_on_the_way_is_refused(manifest: Manifest) -> None:
    packed = pickle.dumps(manifest)
    write_manifest(manifest.path, [UTTERANCE])
    with pytest.raises(DataError, match="was changed while it was in use"):
        pickle.loads(packed)
    assert len(manifest[:]) == 5, "who has it open still reads the old one"


def test_lines_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("espnet3.components.data.manifest.BLOCK", 64)
    path = write_lines(tmp_path / "m.jsonl", [record(n, text="long " * n) for n in range(1, 20)])
    manifest = Manifest(path)
    assert [utterance.text for utterance in manifest] == ["long " * n for n in range(1, 20)]
    assert manifest[18].text == "long " * 19
