"""A folder that takes the place of another: no kill at any moment loses both, on systems that exchange and others."""

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from espnet3.errors import LostLease
from espnet3.runtime.files import remove_leftovers, replacing_dir
from espnet3.runtime.leases import LEASE_FILE, lease
from tests.runtime.test_files import be_overtaken, names


class WithoutExchange:
    """A C library whose kernel or file system does not let two names change places."""

    def __init__(self, code: int) -> None:
        self.code = code

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(self.code)
        return -1


OLD_SYSTEMS = [
    pytest.param(object(), id="a C library without it"),
    *(pytest.param(WithoutExchange(code), id=errno.errorcode[code]) for code in (errno.ENOSYS, errno.EINVAL)),
]
SYSTEMS = [pytest.param(None, id="this one"), *OLD_SYSTEMS]


def use(system: object, monkeypatch: pytest.MonkeyPatch) -> None:
    if system is not None:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: system)


def replace(folder: Path, content: str) -> None:
    with replacing_dir(folder) as temporary:
        (temporary / content).touch()


def killed_before_change(number: int, write: Callable[[], None]) -> bool:
    """Whether a process that is killed right before its change of that number was: it may be done earlier."""
    child = os.fork()
    if child == 0:
        count = 0

        def count_down(event: str, _: tuple[Any, ...]) -> None:
            nonlocal count
            if event in ("os.rename", "os.rmdir", "os.remove", "os.mkdir"):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count_down)
        try:
            write()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_folder_takes_the_place_of_another_on_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: object
) -> None:
    use(system, monkeypatch)
    for content in ("old", "new"):
        replace(tmp_path / "d", content)
    (tmp_path / "file").touch()
    replace(tmp_path / "file", "new")
    assert names(tmp_path) == ["d", "file"]
    assert names(tmp_path / "d") == names(tmp_path / "file") == ["new"]


def test_a_fault_of_the_exchange_is_raised_and_the_old_folder_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(tmp_path / "d", "old")
    use(WithoutExchange(errno.EIO), monkeypatch)
    with pytest.raises(OSError, match="Input/output error"):
        replace(tmp_path / "d", "new")
    assert names(tmp_path) == ["d"]
    assert names(tmp_path / "d") == ["old"]


def test_where_two_names_change_places_there_is_a_whole_folder_at_any_moment(tmp_path: Path) -> None:
    number = 1
    while killed(tmp_path / str(number), number):
        assert names(tmp_path / str(number) / "d") in (["old"], ["new"])
        number += 1
    assert number > 3


def killed(parent: Path, number: int) -> bool:
    """Whether the replacement of the folder `d` by another came to its change of that number, where it is killed."""
    replace(parent / "d", "old")
    return killed_before_change(number, lambda: replace(parent / "d", "new"))


def claim_and_fail(folder: Path) -> None:
    with lease(folder):
        remove_leftovers(folder.parent, nested=False, name=folder.name)
        with replacing_dir(folder):
            raise TypeError


def tidy_up(folder: Path) -> None:
    remove_leftovers(folder.parent)
    raise TypeError


@pytest.mark.parametrize("next_run", [claim_and_fail, tidy_up])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_folder_survives_a_kill_at_any_moment_and_a_run_after_it_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: object, next_run: Callable[[Path], None]
) -> None:
    use(system, monkeypatch)
    number = 1
    while killed(tmp_path / str(number), number):
        with pytest.raises(TypeError):
            next_run(tmp_path / str(number) / "d")
        assert names(tmp_path / str(number)) == ["d"]
        assert names(tmp_path / str(number) / "d") in (["old"], ["new"])
        number += 1
    assert number > 3


def test_what_was_set_aside_is_only_given_back_where_its_place_is_free(tmp_path: Path) -> None:
    for name in ("d", ".d.1.0123abcd.old.tmp", ".e.1.0123abcd.old.tmp", ".e.f.1.0123abcd.old.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    remove_leftovers(tmp_path, name="d")
    assert names(tmp_path / "d") == ["d"]
    with lease(tmp_path / "e"):
        assert names(tmp_path / "e") == [".e.1.0123abcd.old.tmp", LEASE_FILE]
    assert names(tmp_path) == [".e.f.1.0123abcd.old.tmp", "d", "e"]


@pytest.mark.parametrize("system", OLD_SYSTEMS)
def test_who_is_overtaken_while_a_folder_is_set_aside_loses_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: object
) -> None:
    use(system, monkeypatch)
    replace(tmp_path / "d", "theirs")
    rename = Path.rename

    def overtaken_after(path: Path, target: Path) -> Path:
        done = rename(path, target)
        if target.name.endswith(".old.tmp"):
            be_overtaken(tmp_path / "d")
        return done

    monkeypatch.setattr(Path, "rename", overtaken_after)
    with pytest.raises(LostLease, match="host-b"), lease(tmp_path):
        replace(tmp_path / "d", "mine")
    assert names(tmp_path) == [LEASE_FILE, "d"]
    assert names(tmp_path / "d") == ["theirs"]
