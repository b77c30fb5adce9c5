"""What is in files and folders, and what is remembered of it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet3.pipeline import contents
from espnet3.pipeline.contents import REMEMBERED_FROM, Content, content_of, content_of_tree, is_model, model_files
from espnet3.runtime.files import sha256


@pytest.fixture(autouse=True)
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read as a whole."""
    seen: list[str] = []

    def watched(path: Path) -> str:
        seen.append(Path(path).name)
        return sha256(path)

    monkeypatch.setattr(contents, "sha256", watched)
    return seen


def large(name: str = "large.bin", byte: bytes = b"x") -> Path:
    path = Path(name)
    path.write_bytes(byte * REMEMBERED_FROM)
    return path


def touch(path: Path) -> Path:
    os.utime(path, ns=(1, 1))
    return path


def moved(path: Path) -> Path:
    return path.rename("elsewhere.bin")


def copied(path: Path) -> Path:
    return Path(shutil.copyfile(path, "copy.bin"))


@pytest.mark.parametrize("change", [touch, moved, copied])
@pytest.mark.parametrize("size", [3, REMEMBERED_FROM])
def test_a_file_is_what_is_in_it(change: Callable[[Path], Path], size: int) -> None:
    path = Path("a.bin")
    path.write_bytes(b"x" * size)
    before = content_of(path)
    assert before == content_of(change(path))
    assert before is not None
    assert before.size == size


@pytest.mark.parametrize("size", [3, REMEMBERED_FROM])
def test_another_content_is_seen_even_of_the_same_size_and_time(size: int) -> None:
    path = Path("a.bin")
    path.write_bytes(b"x" * size)
    before, times = content_of(path), path.stat()
    path.write_bytes(b"y" * size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert content_of(path) != before


def test_the_digest_of_a_large_file_is_remembered(read: list[str]) -> None:
    path = large()
    for _ in range(3):
        content_of(path)
    assert read == ["large.bin"]


def test_it_is_remembered_under_another_mount_and_in_another_process(
    read: list[str], volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_of(large())
    (volume.parent / "mount").symlink_to(volume)
    monkeypatch.chdir(volume.parent / "mount")
    content_of(Path("large.bin"))
    content_of(Path.cwd() / "large.bin")
    assert read == ["large.bin"]


def test_everything_is_read_anew_where_that_is_asked_for(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    content_of(large())
    monkeypatch.setenv("ESPNET3_VERIFY", "1")
    content_of(Path("large.bin"))
    monkeypatch.setenv("ESPNET3_VERIFY", "0")
    content_of(Path("large.bin"))
    assert read == ["large.bin"] * 2


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"path": "large.bin"}', "other"])
def test_a_damaged_note_is_none(read: list[str], damage: str) -> None:
    content_of(large())
    (note,) = Path(".digests").iterdir()
    if damage == "other":
        other = json.loads(note.read_text()) | {"path": "another.bin", "sha256": "0" * 64}
        damage = json.dumps(other)
    note.write_text(damage)
    content = content_of(Path("large.bin"))
    assert read == ["large.bin"] * 2
    assert content is not None
    assert content.digest != "0" * 64


def test_a_volume_that_takes_no_note_is_read_each_time(read: list[str]) -> None:
    Path(".digests").write_text("in the way")
    for _ in range(2):
        assert isinstance(content_of(large()), Content)
    assert read == ["large.bin"] * 2


@pytest.mark.parametrize("name", ["gone", "x" * 5000, "a\0b", "fifo", "folder"])
def test_what_is_no_file_holds_nothing(name: str) -> None:
    if name == "fifo":
        os.mkfifo(name)
    if name == "folder":
        tree(a="1").rename(name)
    assert content_of(Path(name)) is None


def tree(**files: str) -> Path:
    for name, text in files.items():
        path = Path("tree", name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Path("tree")


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        pytest.param({"b": "new"}, True, id="a further file"),
        pytest.param({"a": "other"}, True, id="another content"),
        pytest.param({"deep__a": "other"}, True, id="below"),
        pytest.param({".lease": "host"}, False, id="a lease"),
        pytest.param({".a.12.0123abcd.tmp": "half"}, False, id="a temporary file"),
    ],
)
def test_a_tree_is_all_that_is_in_it(change: dict[str, str], differs: bool) -> None:
    before = content_of_tree(tree(a="1", deep__a="2"))
    assert (content_of_tree(tree(**change)) != before) == differs


def test_a_renamed_file_makes_another_tree_and_a_moved_tree_the_same() -> None:
    before = content_of_tree(tree(a="1"))
    assert content_of_tree(Path("tree").rename("moved")) == before
    Path("moved/a").rename("moved/b")
    assert content_of_tree(Path("moved")) != before


def test_of_a_trained_model_only_the_model_counts() -> None:
    folder = tree(**{"config.yaml": "a", "averaged.safetensors": "b", "train.log": "c", "files__lexicon__l.txt": "d"})
    assert is_model(folder)
    assert [path.name for path in model_files(folder)] == ["averaged.safetensors", "config.yaml", "l.txt"]
    (folder / "averaged.safetensors").unlink()
    assert not is_model(folder)
