"""Killing a stage at a chosen point: right before its n-th change of the file system.

Python tells an audit hook of every file that is opened for writing, renamed, linked or removed. Counting these gives
each window between two changes a number, so that a test can visit all of them instead of hoping for luck. The stage
runs in a fork of this process, which has imported what takes seconds.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class _Point:
    """Counts the changes that this process makes under `folder`, and ends it before number `last` (from 1)."""

    folder: str
    last: int
    journal: int
    count: int = 0

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            changes = bool(flags & WRITING) and str(path).startswith(self.folder)
        else:
            changes = event in CHANGES and "__pycache__" not in str(args[0])
        if not changes:
            return
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(self.journal, f"{event} {args[0]}\n".encode())


def run_until(folder: Path, command: Sequence[str], last: int = 0) -> tuple[int, list[str]]:
    """Run `command` (a script and its flags) in `folder` up to its change number `last`; 0: to the end.

    Returns:
        The exit code (-9 where it was killed) and the changes that it made.
    """
    journal = folder.parent / f"{folder.name}.journal"
    process = multiprocessing.get_context("fork").Process(target=_run, args=(folder, command, last, journal))
    process.start()
    process.join(120)
    assert process.exitcode is not None, f"{command} did not end"
    return process.exitcode, journal.read_text(encoding="utf-8").splitlines()


def _run(folder: Path, command: Sequence[str], last: int, journal: Path) -> None:
    os.chdir(folder)
    said = os.open(folder.parent / f"{folder.name}.said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = list(command)
    handle = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    sys.addaudithook(_Point(str(folder), last, handle))
    code = 1
    try:
        runpy.run_path(command[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
