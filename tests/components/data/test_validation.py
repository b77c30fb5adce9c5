import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from espnet3.components.data.audio import checksum
from espnet3.components.data.faults import problem_list
from espnet3.components.data.validation import (
    Problem,
    check_manifest,
    check_splits,
    validate_manifest,
)
from tests.components.data.corpus import record, write_audio, write_lines

TEXT_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "empty text": ({"text": ""}, "text is empty."),
    "blank text": ({"text": " \u3000\t"}, "text is empty."),
    "two lines": ({"text": "ONE\nTWO"}, "text holds a line break"),
    "unicode line end": ({"text": "ONE\u2028TWO"}, "text holds a line break"),
    "id with a space": ({"utt_id": "u 0"}, "utt_id is 'u 0': it must not be empty or hold white space."),
    "id with a wide space": ({"utt_id": "u\u30000"}, "white space"),
    "id with a line end": ({"utt_id": "u0\n"}, "white space"),
    "empty id": ({"utt_id": ""}, "must not be empty"),
    "id with a slash": ({"utt_id": "../u0"}, "cannot name a file"),
    "no speaker": ({"speaker": ""}, "speaker is empty."),
    "no checksum": ({"checksum": "md5:0"}, "it must be sha256:"),
    "no path": ({"audio": ""}, "audio is empty or holds a NUL"),
    "a NUL in the path": ({"audio": "a\0.wav"}, "audio is empty or holds a NUL"),
}

TIME_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no duration": ({"duration": 0}, "duration is 0 s; it must be from 0.01 to 3600."),
    "negative": ({"duration": -1.0}, "duration is -1 s"),
    "milliseconds": ({"duration": 4500.0}, "duration is 4500 s"),
    "nan": ({"duration": float("nan")}, "duration is nan s"),
    "infinite": ({"duration": float("inf")}, "duration is inf s"),
    "before the file": ({"start": -0.5}, "start is -0.5 s; it must be 0 or more."),
    "never": ({"start": float("inf")}, "start is inf s"),
    "beyond the end": ({"duration": 1.1}, "start + duration is 1.100 s, but a.wav ends at 1.000 s."),
    "late": ({"start": 0.5}, "start + duration is 1.500 s, but a.wav ends at 1.000 s."),
    "other rate": ({"sample_rate": 8000}, "sample_rate is 8000, but a.wav has 16000 Hz."),
    "no rate": ({"sample_rate": 0}, "sample_rate is 0 Hz; it must be more than 0."),
}

AUDIO_FAULTS = {
    "missing": ("gone.wav", "gone.wav does not exist."),
    "empty": ("empty.wav", "empty.wav is empty."),
    "no samples": ("silent.wav", "silent.wav holds no samples."),
    "no audio": ("page.flac", "page.flac is not readable audio"),
    "cut wav": ("cut.wav", "cut.wav is cut short"),
    "cut flac": ("cut.flac", "cut.flac is cut short: its header promises 3.000 s"),
    "cut ogg": ("cut.ogg", "cut.ogg is cut short"),
    "cut mp3": ("cut.mp3", "cut.mp3 is cut short"),
    "cut sph": ("cut.sph", "cut.sph is cut short"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "データ"
    write_audio(folder / "a.wav")
    (folder / "empty.wav").touch()
    write_audio(folder / "silent.wav", 0.0)
    (folder / "page.flac").write_text("<html>Not found</html>")
    for kind in ("wav", "flac", "ogg", "mp3", "sph"):
        content = write_audio(folder / f"cut.{kind}", 3.0).read_bytes()
        (folder / f"cut.{kind}").write_bytes(content[: len(content) * 2 // 3])
    return folder


def problems(folder: Path, *lines: Any, **options: Any) -> list[Problem]:
    return validate_manifest(write_lines(folder / "m.jsonl", lines), **options)


@pytest.mark.parametrize(("changes", "expected"), (TEXT_FAULTS | TIME_FAULTS).values(), ids=TEXT_FAULTS | TIME_FAULTS)
def test_names_every_fault_of_a_line(folder: Path, changes: dict[str, Any], expected: str) -> None:
    found = problems(folder, record(1), record(2, **changes))
    assert {problem.line for problem in found} == {2}
    assert any(expected in problem.message for problem in found)
    assert str(found[0]).startswith(f"{folder}/m.jsonl:2: ")


@pytest.mark.parametrize(("audio", "expected"), AUDIO_FAULTS.values(), ids=AUDIO_FAULTS)
def test_names_every_fault_of_audio(folder: Path, audio: str, expected: str) -> None:
    [problem] = problems(folder, record(1), record(2, audio=audio))
    assert problem.line == 2
    assert expected in problem.message


def test_all_faults_come_at_once_and_in_order(folder: Path) -> None:
    found = problems(
        folder,
        "{",
        record(1),
        record(1, text="", duration=0),
        record(4, text=None, lang="en"),
        record(5, audio="gone.wav"),
    )
    assert [(problem.line, problem.message.split()[0]) for problem in found] == [
        (1, "is"),
        (3, "duration"),
        (3, "text"),
        (3, "utt_id"),
        (4, "'lang'"),
        (4, "text"),
        (5, str(folder / "gone.wav")),
    ]


def test_sound_data_has_no_problems(folder: Path) -> None:
    for kind in ("wav", "flac", "ogg", "mp3", "sph"):
        write_audio(folder / f"音.{kind}", 2.0, 44100, 2)
    lines = [
        record(n, audio=f"音.{kind}", sample_rate=44100, start=0.5, duration=1.5, text=text, speaker="話者")
        for n, (kind, text) in enumerate(
            {"wav": "こんにちは", "flac": "السلام", "ogg": "e\u0301", "mp3": "ΑΒΓ", "sph": "नमस्ते"}.items()
        )
    ]
    assert problems(folder, *lines) == []


@pytest.mark.parametrize("content", [b"", b"\n"], ids=["nothing", "a line end"])
def test_an_empty_manifest_is_a_problem(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.jsonl").write_bytes(content)
    [problem] = validate_manifest(tmp_path / "m.jsonl")
    assert "holds no utterance" in problem.message or "is an empty line" in problem.message


def test_a_missing_manifest_is_a_problem(tmp_path: Path) -> None:
    [problem] = validate_manifest(tmp_path / "m.jsonl")
    assert "There is no manifest" in problem.message


def test_duplicate_ids_name_the_first_line(folder: Path) -> None:
    found = problems(folder, record(7), record(8), record(7), record(7))
    assert [(problem.line, problem.message) for problem in found] == [
        (3, "utt_id 'u7' is on line 1 too."),
        (4, "utt_id 'u7' is on line 1 too."),
    ]


def test_names_characters_that_the_tokenizer_lacks(folder: Path) -> None:
    [problem] = problems(folder, record(1), record(2, text="TÉXT e\u0301"), missing=set("TEX 12e"))
    assert problem.line == 2
    assert problem.message == (
        "text holds 'É' (U+00C9 LATIN CAPITAL LETTER E WITH ACUTE), '\u0301' (U+0301 COMBINING ACUTE ACCENT), which "
        "the tokenizer lacks."
    )
    assert problems(folder, record(1), missing=lambda text: set(text) - set("TEXT 1")) == []


def test_compares_checksums_when_asked(folder: Path) -> None:
    lines = [record(1, checksum=checksum(folder / "a.wav")), record(2)]
    assert problems(folder, *lines) == []
    [problem] = problems(folder, *lines, with_checksums=True)
    assert problem.line == 2
    assert "a.wav has another checksum than the manifest says" in problem.message


def test_reports_what_a_manifest_holds(folder: Path) -> None:
    path = write_lines(folder / "m.jsonl", [record(1), record(2, speaker="s1"), record(3), "{"])
    report = check_manifest(path)
    assert (report.utterances, report.seconds, report.speakers) == (3, 3.0, {"s1", "s3"})


def reports(folder: Path, **splits: list[dict[str, Any]]) -> list[Problem]:
    return check_splits(
        {
            name.replace("_", " "): [check_manifest(write_lines(folder / f"{name}.jsonl", lines))]
            for name, lines in splits.items()
        }
    )


def test_splits_that_share_speakers_texts_or_ids_are_warned_of(folder: Path) -> None:
    train = [record(n, speaker=f"s{n % 3}") for n in range(10)]
    test = [record(20, speaker="s1"), record(21, text="TEXT 3"), record(22, text="TEXT 3"), record(4, text="NEW")]
    found = reports(folder, train=train, test_set_one=test)
    assert all(problem.is_warning for problem in found)
    assert [problem.message for problem in found] == [
        "train and test set one share 1 speaker.",
        "train and test set one share 1 text (2 of 4 utterances).",
        "train and test set one share 1 utt_id (1 of 4 utterances).",
    ]


def test_splits_that_share_nothing_are_fine(folder: Path) -> None:
    assert (
        reports(folder, train=[record(1)], valid=[record(2)], test_set_one=[record(3)], test_set_two=[record(3)]) == []
    )


def test_a_manifest_in_two_splits_is_warned_of(folder: Path) -> None:
    report = check_manifest(write_lines(folder / "m.jsonl", [record(1)]))
    [problem] = check_splits({"train": [report], "valid": [report]})
    assert problem.is_warning
    assert problem.message == "train and valid share a manifest."


def test_an_id_in_two_manifests_of_a_split_is_an_error(folder: Path) -> None:
    one = check_manifest(write_lines(folder / "one.jsonl", [record(1), record(2)]))
    two = check_manifest(write_lines(folder / "two.jsonl", [record(2), record(3)]))
    [problem] = check_splits({"train": [one, two]})
    assert not problem.is_warning
    assert "1 utt_id are in" in problem.message
    assert "one.jsonl too" in problem.message


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    found = [Problem(tmp_path / "m.jsonl", n, "is wrong.") for n in range(1, 8)]
    assert problem_list(found, 3).splitlines() == [
        "The data has 7 problems:",
        f"{tmp_path}/m.jsonl:1: is wrong.",
        f"{tmp_path}/m.jsonl:2: is wrong.",
        f"{tmp_path}/m.jsonl:3: is wrong.",
        "... and 4 more.",
    ]


GROWTH = """
import re, sys
from pathlib import Path
from espnet3.components.data.manifest import Manifest
from espnet3.components.data.validation import check_manifest
path = Path(sys.argv[1])
assert not check_manifest(path).problems
manifest = Manifest.read(path)
assert len(manifest.durations) == len(manifest) == 100_000
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_hundred_thousand_lines_are_not_kept_in_memory(tmp_path: Path) -> None:
    line = record(audio="a.wav", duration=0.5, utt_id="@", text="WORDS @", speaker="s")
    path = write_lines(tmp_path / "m.jsonl", [line])
    template = path.read_text()
    path.write_text("".join(template.replace("@", str(n)) for n in range(100_000)))
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, path], check=True, capture_output=True, env=os.environ, cwd=Path.cwd()
    )
    assert int(done.stdout) < 250_000, "kilobytes"
    shutil.rmtree(tmp_path)
