import errno
import multiprocessing
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from espnet3.errors import LostLease, TryAgain
from espnet3.runtime.failures import failure_of
from espnet3.runtime.files import remove, remove_leftovers, replacing, replacing_dir, write_bytes, write_text
from espnet3.runtime.leases import LEASE_FILE, adopt, check_lease, held_leases, lease
from tests.small_disks import mounted_disk


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_over(path: Path) -> None:
    path.write_text("half")
    raise TypeError


def test_writes_whole_files_in_new_folders(tmp_path: Path) -> None:
    write_text(tmp_path / "ä/b.txt", "ü\n")
    write_bytes(tmp_path / "ä/c.bin", b"\0")
    assert (tmp_path / "ä/b.txt").read_bytes() == "ü\n".encode()
    assert names(tmp_path / "ä") == ["b.txt", "c.bin"]


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(TypeError), replacing(tmp_path / "a") as temporary:
        fail_over(temporary)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replacing_dir(tmp_path / "d") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / content).touch()
    assert names(tmp_path / "d/sub") == ["new"]
    assert names(tmp_path) == ["d"]


def test_a_folder_may_hold_links_that_lead_nowhere(tmp_path: Path) -> None:
    with replacing_dir(tmp_path / "d") as folder:
        (folder / "link").symlink_to("not-there")
    assert (tmp_path / "d/link").is_symlink()


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(TypeError), replacing_dir(tmp_path / "d") as folder:
        fail_over(folder / "half")
    assert names(tmp_path) == ["d"]
    assert names(tmp_path / "d") == []


def test_the_owner_of_a_folder_writes(tmp_path: Path) -> None:
    with lease(tmp_path / "new", tmp_path / "other"):
        write_text(tmp_path / "new/sub/a", "mine")
        check_lease(tmp_path / "other")
    assert names(tmp_path / "new") == ["sub"]


def replace_by_folder(path: Path, _: str) -> None:
    with replacing_dir(path):
        pass


@pytest.mark.parametrize("write", [write_text, replace_by_folder], ids=["file", "folder"])
def test_who_lost_a_folder_stops_before_it_changes_a_byte(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    write_text(tmp_path / "a", "theirs")
    with lease(tmp_path):
        (tmp_path / LEASE_FILE).write_text("host-b pid 7 0123")
        with pytest.raises(LostLease, match="belongs to another run \\(host-b pid 7 0123\\)"):
            write(tmp_path / "a", "mine")
        assert (tmp_path / "a").read_text() == "theirs"
    assert names(tmp_path) == [LEASE_FILE, "a"], "the new owner's mark stays"


def test_the_later_claim_wins_and_is_given_back(tmp_path: Path) -> None:
    with lease(tmp_path):
        with lease(tmp_path):
            write_text(tmp_path / "a", "inner")
        with pytest.raises(LostLease, match="its lease file is gone"):
            write_text(tmp_path / "a", "outer")
    assert (tmp_path / "a").read_text() == "inner"
    write_text(tmp_path / "a", "free")


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sub/.d.12.0123abcd.tmp").mkdir(parents=True)
    kept = ["a", ".hidden", ".mine.tmp", "b.12.0123abcd.tmp", LEASE_FILE]
    for name in (*kept, ".a.jsonl.12.0123abcd.tmp", "sub/.d.12.0123abcd.tmp/half", "sub/c"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, nested=False)
    assert len(names(tmp_path / "sub")) == 2
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([*kept, "sub"])
    assert names(tmp_path / "sub") == ["c"]
    remove_leftovers(tmp_path / "nowhere")


def be_overtaken(path: Path) -> None:
    """What happens to a writer when another run held_leases the folder and tidies it up."""
    remove_leftovers(path.parent)
    (path.parent / LEASE_FILE).write_text("host-b pid 7 0123")


def test_a_fault_of_who_has_lost_a_folder_is_that(tmp_path: Path) -> None:
    with pytest.raises(LostLease, match="host-b"), lease(tmp_path):
        fail_overtaken(tmp_path / "a")


def fail_overtaken(path: Path) -> None:
    be_overtaken(path)
    raise FileNotFoundError(path)


@pytest.mark.parametrize("write", [replacing, replacing_dir], ids=["file", "folder"])
def test_who_finds_what_was_half_written_removed_by_the_new_owner_stops(
    tmp_path: Path, write: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    with lease(tmp_path), pytest.raises(LostLease, match="host-b"), write(tmp_path / "a") as temporary:
        be_overtaken(temporary)


def test_a_claim_survives_that_the_owner_until_now_tidies_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace
    tidied: list[Path] = []

    def tidy_first(path: Path, target: Path) -> Path:
        if not tidied:
            tidied.append(path)
            remove_leftovers(tmp_path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", tidy_first)
    with lease(tmp_path):
        write_text(tmp_path / "a", "mine")
    assert tidied
    assert names(tmp_path) == ["a"]


def test_a_claim_that_cannot_be_signed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"), lease(tmp_path):
        pytest.fail("the claim was given")
    assert names(tmp_path) == []


def test_who_lost_a_folder_does_not_tidy_it(tmp_path: Path) -> None:
    with lease(tmp_path):
        be_overtaken(tmp_path / "a")
        (tmp_path / ".theirs.12.0123abcd.tmp").touch()
        with pytest.raises(LostLease, match="host-b"):
            remove_leftovers(tmp_path)
    assert ".theirs.12.0123abcd.tmp" in names(tmp_path)


def test_what_is_removed_is_gone_and_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "d/sub").mkdir(parents=True)
    (tmp_path / "a").touch()
    for name in ("d", "a", "nothing"):
        remove(tmp_path / name)
    assert names(tmp_path) == []


def overtake_at(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Let another run claim `folder` right before rename number `number`, which stands for being frozen there."""
    rename, count = Path.rename, 0

    def overtaken(path: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == number:
            (folder / LEASE_FILE).write_text("host-b pid 7 0123")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", overtaken)


def test_who_removes_a_file_just_when_it_is_overtaken_puts_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, make in (("file", Path.touch), ("folder", Path.mkdir)):
        with lease(tmp_path):
            make(tmp_path / name)
            overtake_at(monkeypatch, tmp_path, 1)
            with pytest.raises(LostLease, match="host-b"):
                remove(tmp_path / name)
            monkeypatch.undo()
    assert names(tmp_path) == [LEASE_FILE, "file", "folder"]


def test_who_replaces_a_folder_just_when_it_is_overtaken_and_tidied_loses_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/theirs").touch()
    rename = Path.rename
    tidied: list[Path] = []

    def tidied_before(path: Path, target: Path) -> Path:
        if not tidied:
            tidied.append(path)
            be_overtaken(tmp_path / "d")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", tidied_before)
    with lease(tmp_path), pytest.raises(LostLease, match="host-b"), replacing_dir(tmp_path / "d") as temporary:
        (temporary / "mine").touch()
    assert names(tmp_path) == [LEASE_FILE, "d"]
    assert names(tmp_path / "d") == ["theirs"]


def test_who_releases_just_when_it_is_overtaken_gives_the_mark_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease(tmp_path):
        overtake_at(monkeypatch, tmp_path, 1)
    assert (tmp_path / LEASE_FILE).read_text() == "host-b pid 7 0123"
    assert names(tmp_path) == [LEASE_FILE]


def test_a_mark_that_comes_back_at_once_is_not_lost(tmp_path: Path) -> None:
    with lease(tmp_path):
        taken = tmp_path / "taken"
        (tmp_path / LEASE_FILE).rename(taken)
        threading.Timer(0.05, taken.rename, [tmp_path / LEASE_FILE]).start()
        write_text(tmp_path / "a", "mine")


def test_a_thread_writes_under_the_claims_of_its_process(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def write() -> None:
        try:
            write_text(tmp_path / "a", "mine")
        except LostLease as error:
            failures.append(error)

    with lease(tmp_path):
        (tmp_path / LEASE_FILE).write_text("host-b pid 7 0123")
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(failures) == 1
    assert names(tmp_path) == [LEASE_FILE]


def test_a_worker_process_obeys_the_claims_that_it_is_given(tmp_path: Path) -> None:
    with lease(tmp_path):
        given = held_leases()
        child = os.fork()
        if child == 0:
            adopt(given)
            (tmp_path / LEASE_FILE).unlink()
            code = 1
            try:
                write_text(tmp_path / "sub/a", "late")
            except LostLease:
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert names(tmp_path) == []


def test_shards_own_their_marks_side_by_side(tmp_path: Path) -> None:
    with lease(tmp_path, name=".lease.shard0"), lease(tmp_path, name=".lease.shard1"):
        write_text(tmp_path / "a", "both")
        (tmp_path / ".lease.shard0").write_text("host-b pid 7 0123")
        with pytest.raises(LostLease, match="host-b"):
            write_text(tmp_path / "a", "one")


def test_what_another_run_removed_half_written_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match="Another run removed"), replacing(tmp_path / "a") as temporary:
        clear_away(temporary)


def clear_away(temporary: Path) -> None:
    temporary.touch()
    remove_leftovers(temporary.parent)


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o002, 0o664, 0o775), (0o077, 0o600, 0o700)])
def test_modes_follow_the_umask(tmp_path: Path, umask: int, file: int, folder: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "d/a", "text")
        with replacing_dir(tmp_path / "d/e") as temporary:
            (temporary / "b").touch()
        with lease(tmp_path / "d"):
            assert stat.S_IMODE((tmp_path / "d" / LEASE_FILE).stat().st_mode) == file
    finally:
        os.umask(before)
    for path, mode in (("d", folder), ("d/a", file), ("d/e", folder), ("d/e/b", file)):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == mode, path


def write_parts(path: Path) -> None:
    with replacing_dir(path) as temporary, (temporary / "part").open("w") as file:
        for _ in range(100):
            file.write("x" * 10_000)


def write_lines(path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w") as file:
        file.writelines("x" * 100 for _ in range(10_000))


def claim(path: Path) -> None:
    with lease(path):
        write_text(path / "inner", "x" * 1_000_000)


LARGE: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "x" * 1_000_000),
    "bytes": lambda path: write_bytes(path, bytes(1_000_000)),
    "lines": write_lines,
    "folder": write_parts,
    "in a lease": claim,
}


def failure_within(limit: int, write: Callable[[Path], None], path: Path) -> str:
    """What is said where files may have `limit` bytes."""
    queue = multiprocessing.get_context("fork").SimpleQueue()

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            write(path)
        except OSError as error:
            queue.put(failure_of(error).text)
        else:
            queue.put("")

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    text: str = queue.get()
    process.join()
    return text


@pytest.mark.parametrize("what", LARGE)
@pytest.mark.parametrize("name", ["a", "deeper/b.json", "ü x"])
def test_a_file_that_may_not_be_so_large_is_named(tmp_path: Path, what: str, name: str) -> None:
    text = failure_within(100_000, LARGE[what], tmp_path / name)
    assert text.startswith("error: [Errno 27] File too large: ")
    assert str(tmp_path / name) in text


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path, "64k") as disk:
        yield disk


@pytest.mark.parametrize("what", LARGE)
def test_a_full_disk_is_named(full_disk: Path, what: str) -> None:
    with pytest.raises(OSError, match="No space left on device") as raised:
        LARGE[what](full_disk / "a")
    failure = failure_of(raised.value)
    assert failure.foreseen
    assert str(full_disk / "a") in failure.text
    assert "make room or choose another directory" in failure.text
