"""No recording is read that is not the one in the manifest, and whatever is the same is read."""

import logging
import multiprocessing
import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet3.components.data.audio_index import index_path
from espnet3.components.data.dataset import CombinedDataset, ManifestDataset, TransformedDataset
from espnet3.errors import DataError
from tests.components.data.corpus import write_audio
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

Change = Callable[[Path], object]
DAY = 86_400 * 10**9


def read_all(manifest: Path) -> list[int]:
    """Samples of each utterance."""
    return [len(sample["audio"]) for sample in CombinedDataset([ManifestDataset(str(manifest))])]


def age(manifest: Path, nanoseconds: int) -> None:
    """Let a manifest be older than it is; a negative age is one of the future."""
    written = time.time_ns() - nanoseconds
    os.utime(manifest, ns=(written, written))


def swap(path: Path) -> None:
    """Let another recording, which is older and was not written now, have its name."""
    other = write_audio(path.with_name("other.wav"), 1.5)
    os.utime(other, (1, 1))
    other.rename(path)


REPLACED: dict[str, Change] = {
    "other content": replace_content,
    "longer": lengthen,
    "another file, which is older": swap,
}
SAME: dict[str, Change] = {
    "nothing": lambda _: None,
    "touched": touch,
    "written again": lambda path: path.write_bytes(path.read_bytes()),
    "copied without times": lambda path: copy_anew(path.parent),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", REPLACED.values(), ids=REPLACED)
@pytest.mark.parametrize("indexed", [True, False], ids=["index", "by hand"])
def test_a_replaced_recording_is_never_read(tmp_path: Path, change: Change, name: str, indexed: bool) -> None:
    manifest = make_corpus(tmp_path / "corpus")
    if indexed:
        check(manifest)
    change(manifest.with_name(name))
    age(manifest, DAY)
    with pytest.raises(DataError) as caught:
        read_all(manifest)
    message = str(caught.value)
    assert f"{manifest.with_name(name)} is not the recording that {manifest} names for u" in message
    assert "run create_dataset again" in message


def test_the_message_tells_both_contents(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    dataset = ManifestDataset(str(manifest))
    named = dataset.utterance(0).checksum.removeprefix("sha256:")[:8]
    replace_content(tmp_path / "a.wav")
    with pytest.raises(DataError, match=rf"its sha256 is [0-9a-f]{{8}}…, the manifest says {named}…"):
        dataset[0]
    assert len(dataset[1]["audio"]) == 16000, "the others are read"


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
@pytest.mark.parametrize("indexed", [True, False], ids=["index", "by hand"])
def test_what_is_the_same_is_read(tmp_path: Path, change: Change, indexed: bool) -> None:
    manifest = make_corpus(tmp_path / "corpus")
    if indexed:
        check(manifest)
    change(manifest.with_name("a.wav"))
    age(manifest, DAY)
    assert read_all(manifest) == [16000, 16000, 16000, 8000]


def test_a_moved_folder_is_read(tmp_path: Path) -> None:
    check(make_corpus(tmp_path / "one"))
    (tmp_path / "one").rename(tmp_path / "two")
    assert len(read_all(tmp_path / "two/m.jsonl")) == 4


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_any_path_is_looked_up(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = [str(tmp_path / "absolute/c.wav"), name]
    manifest = check(make_corpus(tmp_path / "corpus", names))
    assert len(read_all(manifest)) == 3
    assert caplog.messages == [], "nothing was hashed"
    for each in names:
        replace_content(manifest.parent / each)
        with pytest.raises(DataError, match="is not the recording"):
            read_all(manifest)
        shutil.rmtree(manifest.parent)
        check(make_corpus(tmp_path / "corpus", names))


def test_a_recording_is_hashed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    manifest = check(make_corpus(tmp_path))
    touch(tmp_path / "both.flac")
    for _ in range(3):
        read_all(manifest)
    expected = f"{tmp_path}/both.flac has another size or time than when {manifest} was checked, but the same content."
    assert caplog.messages == [expected]
    replace_content(tmp_path / "both.flac")
    with pytest.raises(DataError, match="is not the recording"):
        read_all(manifest)


def test_the_log_names_some_of_many(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    manifest = check(make_corpus(tmp_path, [f"{number}.wav" for number in range(15)]))
    for number in range(15):
        touch(tmp_path / f"{number}.wav")
    read_all(manifest)
    assert len(caplog.messages) == 11
    assert caplog.messages[-1] == f"More recordings of {manifest} are like that; they are not listed."


def test_a_manifest_by_hand_vouches_for_what_is_older(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    manifest = make_corpus(tmp_path)
    age(manifest, -DAY)
    replace_content(tmp_path / "a.wav")
    assert len(read_all(manifest)) == 4, "it was written after this recording, as far as anyone can know"
    assert caplog.messages == []


@pytest.mark.parametrize("checksum", ["", "sha256:", "md5:0", "sha256:" + 64 * "G"], ids=str)
def test_without_a_checksum_a_newer_recording_is_read_with_a_warning(
    tmp_path: Path, checksum: str, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = make_corpus(tmp_path)
    known = ManifestDataset(str(manifest)).utterance(0).checksum
    manifest.write_text(manifest.read_text().replace(known, checksum))
    age(manifest, DAY)
    assert len(read_all(manifest)) == 4
    assert caplog.messages == [
        f"{tmp_path}/a.wav may have been replaced since {manifest} was made, which has no sha256 of it."
    ]


@pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGES.values()], ids=DAMAGES)
def test_a_damaged_index_lets_nothing_pass(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    manifest = check(make_corpus(tmp_path))
    index_path(manifest).write_bytes(damage(index_path(manifest).read_bytes()))
    age(manifest, -DAY)
    assert len(read_all(manifest)) == 4
    assert f"The index of the recordings of {manifest} " in caplog.messages[0]
    replace_content(tmp_path / "b.wav", keep_times=True)
    with pytest.raises(DataError, match=r"b\.wav is not the recording"):
        read_all(manifest)


@pytest.mark.parametrize("place", range(0, 3000, 97))
def test_a_flipped_byte_lets_nothing_pass(tmp_path: Path, place: int) -> None:
    manifest = check(make_corpus(tmp_path))
    content = bytearray(index_path(manifest).read_bytes())
    content[place % len(content)] ^= 1
    index_path(manifest).write_bytes(content)
    assert len(read_all(manifest)) == 4
    replace_content(tmp_path / "both.flac")
    with pytest.raises(DataError, match=r"both\.flac is not the recording"):
        read_all(manifest)


def test_an_index_that_is_cut_while_it_is_in_use_lets_nothing_pass(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    dataset = ManifestDataset(str(manifest))
    assert len(dataset[0]["audio"]) == 16000
    os.truncate(index_path(manifest), 0)
    assert len(dataset[1]["audio"]) == 16000
    replace_content(tmp_path / "both.flac", keep_times=True)
    with pytest.raises(DataError, match=r"both\.flac is not the recording"):
        dataset[2]


def test_the_index_of_an_earlier_manifest_vouches_for_what_it_knows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    manifest = check(make_corpus(tmp_path, ["a.wav", "b.wav"]))
    index = index_path(manifest).read_bytes()
    make_corpus(tmp_path, ["b.wav", "a.wav", "new.wav"])
    index_path(manifest).write_bytes(index)
    assert len(read_all(manifest)) == 4
    assert [message.split()[0] for message in caplog.messages] == [f"{tmp_path}/{n}.wav" for n in ("b", "a", "new")]
    replace_content(tmp_path / "new.wav", keep_times=True)
    with pytest.raises(DataError, match=r"new\.wav is not the recording"):
        read_all(manifest)


def test_a_recording_may_be_put_back(tmp_path: Path) -> None:
    manifest = check(make_corpus(tmp_path))
    content = (tmp_path / "a.wav").read_bytes()
    replace_content(tmp_path / "a.wav")
    dataset = ManifestDataset(str(manifest))
    with pytest.raises(DataError, match="is not the recording"):
        dataset[0]
    (tmp_path / "a.wav").write_bytes(content)
    assert len(dataset[0]["audio"]) == 16000


def lower(sample: dict[str, object]) -> dict[str, object]:
    return sample | {"text": "lower"}


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("asked_before", [True, False], ids=["opened before", "opened there"])
def test_worker_processes_look_too(tmp_path: Path, method: str, asked_before: bool) -> None:
    manifest = check(make_corpus(tmp_path))
    dataset = TransformedDataset(CombinedDataset([ManifestDataset(str(manifest))]), lower)
    if asked_before:
        assert dataset[0]["text"] == "lower"
    assert len(pickle.dumps(dataset)) < 2000
    replace_content(tmp_path / "b.wav")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert len(pool.apply(dataset.__getitem__, (0,))["audio"]) == 16000
        with pytest.raises(DataError, match=r"b\.wav is not the recording"):
            pool.apply(dataset.__getitem__, (1,))
