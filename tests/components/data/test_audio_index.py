import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet3.components.data import audio_index_writer
from espnet3.components.data.audio import checksum
from espnet3.components.data.audio_index import AudioIndex, BadIndexError, Entry, ManifestState, index_path
from espnet3.components.data.audio_index_writer import EntrySorter, write_index
from tests.components.data.corpus import CHECKSUM
from tests.components.data.recordings import DAMAGES, ODD_NAMES, check, make_corpus


def write_entries(manifest: Path, entries: list[tuple[Entry, int]]) -> AudioIndex:
    manifest.touch()
    with EntrySorter(manifest) as sorter:
        for entry, utterances in entries:
            sorter.add(entry.line(), utterances)
        write_index(manifest, ManifestState.of(manifest), sorter.entries())
    return AudioIndex(manifest)


def test_says_what_was_checked(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    assert index_path(manifest) == tmp_path / ".m.jsonl.audio"
    header, *lines = index_path(manifest).read_bytes().splitlines()
    expected = []
    for kind, name in (("archive", "both.flac"), ("file", "a.wav"), ("file", "b.wav")):
        status = (tmp_path / name).stat()
        fields = (kind, f'"{name}"', str(status.st_size), str(status.st_mtime_ns), checksum(tmp_path / name))
        expected.append("\t".join(fields).encode())
    assert lines == expected == sorted(expected)
    assert b'"version": 1' in header
    index = AudioIndex(manifest)
    assert (index.header.archives, index.header.files) == (1, 2)
    assert index.header.manifest == ManifestState.of(manifest)
    assert index.is_whole()


@pytest.mark.parametrize("utterances", [1, 2], ids=["file", "archive"])
@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_finds_any_path(tmp_path: Path, name: str, utterances: int) -> None:
    names = [name, "a.wav", "z.wav", name + "x", name[:-1], "x" + name]
    entries = [(Entry(each, place + 1, place, CHECKSUM), utterances) for place, each in enumerate(names)]
    index = write_entries(tmp_path / "m.jsonl", entries)
    assert [index.find(entry.audio) for entry, _ in entries] == [entry for entry, _ in entries]
    assert index.find(name + "y") is None
    assert sorted(index.entries()) == sorted(entries)


@pytest.mark.parametrize("archives", [0, 1, 1000, 3000], ids=str)
@pytest.mark.parametrize("in_memory", [100_000, 700], ids=["in memory", "on disk"])
def test_finds_every_one_of_many(
    tmp_path: Path, archives: int, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_index_writer, "MOST_IN_MEMORY", in_memory)
    generator = random.Random(archives)
    names = [f"{'long' * generator.choice([0, 1, 900])}{number:04}" for number in range(3000)]
    entries = [(Entry(name, n + 1, n, CHECKSUM), 1 + (n < archives)) for n, name in enumerate(names)]
    index = write_entries(tmp_path / "m.jsonl", generator.sample(entries, len(entries)))
    assert (index.header.archives, index.header.files) == (archives, 3000 - archives)
    for _ in range(2):  # the second time from what was remembered
        assert all(index.find(entry.audio) == entry for entry, _ in entries)
    assert not any(index.find(f"{name}0") or index.find(f"0{name}") for name in names)
    assert index.is_whole()


def test_an_empty_index_holds_nothing(tmp_path: Path) -> None:
    index = write_entries(tmp_path / "m.jsonl", [])
    assert index.find("a.wav") is None
    assert list(index.entries()) == []


def test_what_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    path = index_path(check(make_corpus(tmp_path)))
    before = path.stat()
    check(tmp_path / "m.jsonl")
    assert path.stat().st_ino == before.st_ino
    path.write_bytes(path.read_bytes()[:-1])
    check(tmp_path / "m.jsonl")
    assert path.stat().st_size == before.st_size


def test_an_index_that_was_written_in_the_meantime_stays(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    old = AudioIndex(manifest)
    write_index(manifest, old.header.manifest, [])
    with pytest.raises(FileExistsError, match="in the meantime"):
        write_index(manifest, old.header.manifest, list(old.entries()), before=old)
    assert list(AudioIndex(manifest).entries()) == []
    assert len(list(old.entries())) == 3, "who has it open still reads the old one"


@pytest.mark.parametrize(("damage", "expected"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_index_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], expected: str) -> None:
    path = index_path(check(make_corpus(tmp_path)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadIndexError, match=expected):
        AudioIndex(tmp_path / "m.jsonl")


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path)
    index_path(manifest).mkdir()
    with pytest.raises(BadIndexError, match="cannot be read"):
        AudioIndex(manifest)


def test_a_damaged_line_is_not_found(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    path = index_path(manifest)
    path.write_bytes(path.read_bytes().replace(b"\tsha256", b"\tsha\t56"))
    index = AudioIndex(manifest)
    assert index.find("a.wav") is None
    assert not index.is_whole()


MANY = """
import re, sys
from pathlib import Path
from espnet3.components.data.audio_index import AudioIndex, Entry, ManifestState
from espnet3.components.data.audio_index_writer import EntrySorter, write_index
manifest = Path(sys.argv[1])
sorter = EntrySorter(manifest)
for number in range(300_000):
    sorter.add(Entry(f"audio/speaker{number % 999}/{number}.flac", 1, number, "sha256:" + 64 * "0").line())
write_index(manifest, ManifestState.of(manifest), sorter.entries())
index = AudioIndex(manifest)
assert all(index.find(f"audio/speaker{number % 999}/{number}.flac").mtime_ns == number for number in range(1000))
assert index.header.files == 300_000 and "numpy" not in sys.modules
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_many_lines_are_not_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").touch()
    done = subprocess.run(
        [sys.executable, "-c", MANY, tmp_path / "m.jsonl"], check=True, capture_output=True, env=os.environ
    )
    assert int(done.stdout) < 90_000, "kilobytes"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".m.jsonl.audio", "m.jsonl"]
