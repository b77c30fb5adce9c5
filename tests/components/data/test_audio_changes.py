"""The plan learns which recordings were replaced, and hashes what was merely copied once."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from espnet3.components.data.audio_changes import AudioLook, find_replaced
from espnet3.components.data.audio_index import AudioIndex, index_path
from espnet3.components.data.dataset import ManifestDataset
from espnet3.errors import DataError
from tests.components.data.recordings import (
    DAMAGES,
    NAMES,
    ODD_NAMES,
    check,
    copy_anew,
    lengthen,
    make_corpus,
    replace_content,
    touch,
)

SHA256 = r"sha256 [0-9a-f]{8}… → [0-9a-f]{8}…"


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "nothing": (lambda _: None, "", ""),
    "other content": (replace_content, SHA256, SHA256),
    "other content, times restored": (lambda path: replace_content(path, keep_times=True), "", SHA256),
    "longer": (lengthen, r"[\d,]+ → [\d,]+ bytes", SHA256),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]), r"[\d,]+ → 5,000 bytes", SHA256),
    "empty": (lambda path: path.write_bytes(b""), r"[\d,]+ → 0 bytes", SHA256),
    "missing": (Path.unlink, "is missing", "is missing"),
    "a folder": (make_folder, "is not a file", "is not a file"),
    "a pipe": (make_pipe, "is not a file", "is not a file"),
    "a link to itself": (make_loop, "cannot be read: .+", "cannot be read: .+"),
    "touched": (touch, "", ""),
    "written again": (lambda path: path.write_bytes(path.read_bytes()), "", ""),
    "copied without times": (lambda path: copy_anew(path.parent), "", ""),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("change", "seen", "verified"), CHANGES.values(), ids=CHANGES)
def test_what_was_replaced_is_found(
    tmp_path: Path, change: Callable[[Path], object], seen: str, verified: str, name: str
) -> None:
    manifest = check(make_corpus(tmp_path / "corpus"))
    change(manifest.with_name(name))
    for verify, expected in ((False, seen), (True, verified), (False, verified), (True, verified)):
        look = find_replaced(manifest, verify=verify)
        assert (look.looked, look.not_looked, look.unknown, look.note) == (3, 0, "", "")
        assert [path for path, _ in look.replaced] == ([name] if expected else [])
        assert all(re.fullmatch(expected, why) for _, why in look.replaced), look.replaced


def test_sizes_and_digests_are_told_as_they_were_and_are(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    lengthen(tmp_path / "b.wav")
    assert find_replaced(manifest).replaced == (("b.wav", "35,244 → 35,344 bytes"),)
    check(make_corpus(tmp_path))
    before = ManifestDataset(str(manifest)).utterance(1).checksum[7:15]
    replace_content(tmp_path / "b.wav")
    [(path, why)] = find_replaced(manifest).replaced
    assert path == "b.wav"
    assert why.startswith(f"sha256 {before}… → ")
    assert before not in why.partition("→")[2]


def test_what_verification_found_is_known_to_all_afterwards(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    replace_content(tmp_path / "a.wav", keep_times=True)
    assert len(ManifestDataset(str(manifest))[0]["audio"]) == 16000, "of the same size and time: nobody can know"
    assert len(find_replaced(manifest, verify=True).replaced) == 1
    with pytest.raises(DataError, match=r"a\.wav is not the recording"):
        ManifestDataset(str(manifest))[0]
    lengthen(tmp_path / "a.wav")
    assert [path for path, _ in find_replaced(manifest).replaced] == ["a.wav"]
    make_corpus(tmp_path / "again")
    shutil.copyfile(tmp_path / "again/a.wav", tmp_path / "a.wav")
    assert find_replaced(manifest).replaced == ()


@pytest.mark.parametrize("verify", [False, True], ids=["looked at", "verified"])
def test_what_was_touched_is_hashed_once(tmp_path: Path, verify: bool) -> None:
    manifest = check(make_corpus(tmp_path / "corpus"))
    copy_anew(manifest.parent)
    assert find_replaced(manifest, verify=verify).replaced == ()
    assert all(entry.fits((manifest.parent / entry.audio).stat()) for entry, _ in AudioIndex(manifest).entries())
    assert AudioIndex(manifest).header.manifest.mtime_ns == manifest.stat().st_mtime_ns
    renewed = index_path(manifest).stat()
    assert find_replaced(manifest).replaced == ()
    assert index_path(manifest).stat().st_ino == renewed.st_ino
    replace_content(manifest.with_name("a.wav"))
    assert len(find_replaced(manifest).replaced) == 1


def test_a_moved_folder_has_the_same_recordings(tmp_path: Path) -> None:
    check(make_corpus(tmp_path / "one"))
    (tmp_path / "one").rename(tmp_path / "two")
    assert find_replaced(tmp_path / "two/m.jsonl") == AudioLook(looked=3)


@pytest.mark.parametrize("verify", [False, True], ids=["looked at", "verified"])
@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_any_path_is_looked_at(tmp_path: Path, name: str, verify: bool) -> None:
    names = [str(tmp_path / "absolute/c.wav"), name]
    manifest = check(make_corpus(tmp_path / "corpus", names))
    assert find_replaced(manifest, verify=verify) == AudioLook(looked=2)
    for each in names:
        replace_content(manifest.parent / each)
    assert sorted(path for path, _ in find_replaced(manifest, verify=verify).replaced) == sorted(names)


def test_loose_files_are_looked_at_while_there_is_time(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    for name in NAMES:
        lengthen(tmp_path / name)
    look = find_replaced(manifest, seconds=-1)
    assert [path for path, _ in look.replaced] == ["both.flac"], "archives always are"
    assert (look.looked, look.not_looked) == (1, 2)
    assert look.note == "has 2 of 3 recordings not looked at; ESPNET3_VERIFY=1 hashes them all."
    assert find_replaced(manifest, seconds=-1, verify=True).looked == 3


def remove_both(manifest: Path) -> None:
    index_path(manifest).unlink()
    manifest.unlink()


UNKNOWN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda manifest: index_path(manifest).unlink(), "has no audio index"),
    "no manifest": (Path.unlink, "is missing"),
    "neither": (remove_both, "is missing"),
    "another manifest": (lambda manifest: manifest.write_text("{}\n"), "was changed since create_dataset checked it"),
}


@pytest.mark.parametrize(("change", "unknown"), UNKNOWN.values(), ids=UNKNOWN)
def test_without_a_valid_index_nothing_is_claimed(
    tmp_path: Path, change: Callable[[Path], object], unknown: str
) -> None:
    manifest = check(make_corpus(tmp_path))
    change(manifest)
    look = find_replaced(manifest)
    assert (look.replaced, look.looked, look.not_looked) == ((), 0, None)
    assert re.fullmatch(unknown, look.unknown)
    assert look.note == f"{look.unknown}, so its recordings were not looked at; ESPNET3_VERIFY=1 hashes them."


@pytest.mark.parametrize(("damage", "expected"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_index_is_told_and_mended(tmp_path: Path, damage: Callable[[bytes], bytes], expected: str) -> None:
    manifest = check(make_corpus(tmp_path))
    index_path(manifest).write_bytes(damage(index_path(manifest).read_bytes()))
    look = find_replaced(manifest)
    assert re.match(f"has an audio index that {expected}", look.unknown)
    assert (look.replaced, look.not_looked) == ((), None)
    assert find_replaced(manifest, verify=True) == find_replaced(manifest) == AudioLook(looked=3)


@pytest.mark.parametrize("place", range(0, 3000, 97))
def test_a_flipped_byte_claims_nothing_false(tmp_path: Path, place: int) -> None:
    manifest = check(make_corpus(tmp_path))
    content = bytearray(index_path(manifest).read_bytes())
    content[place % len(content)] ^= 1
    index_path(manifest).write_bytes(content)
    assert find_replaced(manifest).replaced == ()


def test_a_manifest_by_hand_can_be_verified(tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path)
    known = ManifestDataset(str(manifest)).utterance(1).checksum
    manifest.write_text(manifest.read_text().replace(known, "") + "{\n[]\n" + '{"audio": 1, "checksum": ""}\n')
    replace_content(tmp_path / "a.wav")
    look = find_replaced(manifest, verify=True)
    assert [path for path, _ in look.replaced] == ["a.wav"]
    assert (look.looked, look.not_looked) == (2, 1), "one has no sha256"


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """A folder that can be made read-only, also for root."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(options, check=False, capture_output=True).returncode != 0:
        pytest.skip("a read-only volume takes root and the right to mount a tmpfs")

    def freeze() -> Path:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        return place

    yield freeze
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("verify", [False, True], ids=["looked at", "verified"])
def test_a_read_only_volume_is_looked_at_too(tmp_path: Path, frozen: Callable[[], Path], verify: bool) -> None:
    manifest = check(make_corpus(tmp_path / "disk"))
    touch(manifest.with_name("a.wav"))
    replace_content(manifest.with_name("b.wav"))
    frozen()
    before = index_path(manifest).read_bytes()
    for _ in range(2):
        assert [path for path, _ in find_replaced(manifest, verify=verify).replaced] == ["b.wav"]
    assert index_path(manifest).read_bytes() == before


def test_loads_nothing_heavy(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    code = (
        "import sys; from pathlib import Path\n"
        "from espnet3.components.data.audio_changes import find_replaced\n"
        "assert find_replaced(Path(sys.argv[1])).looked == find_replaced(Path(sys.argv[1]), verify=True).looked == 3\n"
        "print({'numpy', 'soundfile', 'torch', 'omegaconf', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, manifest], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
