"""Stopping a stage at a chosen point: right before its n-th change of the file system.

Python tells an audit hook of every file that is opened for writing, renamed, linked or removed. Counting these gives
each window between two changes a number, so that a test can visit all of them instead of hoping for luck. The stage
runs as its container would, in a fork of this process, which has imported what takes seconds.
"""

import importlib
import os
import runpy
import signal
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.volume import Volume

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
HEAVY = (
    "espnet3.systems.asr.onnx_export",
    "espnet3.systems.asr.inference",
    "espnet3.systems.asr.models.bilstm",
    "espnet3.systems.asr.system",
    "espnet3.systems.base.inference",
    "espnet3.systems.base.metric",
    "espnet3.systems.base.report",
    "espnet3.systems.base.training_session",
    "torch.utils.tensorboard",
)


@dataclass
class Point:
    """Before change number `last` (from 1) of what lies in `folder`, the process sends itself `signal`."""

    folder: str
    last: int
    signal: int
    journal: int
    count: int = 0

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if event == "open":
            path, _, flags = args
            changes = bool(flags & WRITING) and str(path).startswith(self.folder)
        else:
            changes = event in CHANGES and "__pycache__" not in str(args[0])
        if changes:
            self.count += 1
            os.write(self.journal, f"{event} {args[0]}\n".encode())
            if self.count == self.last:
                os.kill(os.getpid(), self.signal)


@dataclass
class Attempt:
    """One run of a stage on a volume, which runs until it ends or comes to its point."""

    volume: Volume
    stage: str
    last: int = 0
    signal: int = signal.SIGKILL
    pid: int = field(init=False)

    def __post_init__(self) -> None:
        for name in HEAVY:
            importlib.import_module(name)
        self.pid = os.fork()
        if self.pid == 0:
            self._run()

    @property
    def changes(self) -> list[str]:
        """What it changed, in order; the last one is that before which it was killed."""
        return self._file("journal").read_text(encoding="utf-8").splitlines()

    @property
    def said(self) -> str:
        """What it printed."""
        return self._file("said").read_text(encoding="utf-8")

    def wait(self) -> int | None:
        """The exit code, minus the signal where one ended it; None where it is only stopped."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        return None if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)

    def wake(self) -> None:
        """Let one that is stopped go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _file(self, kind: str) -> Path:
        return self.volume.folder.parent / f"{self.stage}.{self.pid or os.getpid()}.{kind}"

    def _run(self) -> None:
        code = 1
        try:
            self.pid = os.getpid()
            os.chdir(self.volume.folder)
            said = os.open(self._file("said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(said, stream)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            journal = os.open(self._file("journal"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            sys.argv = [f"stages.{self.stage}", "--config", str(self.volume.config)]
            sys.addaudithook(Point(str(self.volume.folder), self.last, self.signal, journal))
            runpy.run_module(f"stages.{self.stage}", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
