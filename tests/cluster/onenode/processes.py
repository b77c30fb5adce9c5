"""Starts the cluster's processes and stops them by their ids; one whose id another process got is never touched.

`cluster` is the only caller. What a process is for, and with which words it starts, is said by `components`.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.onenode.places import Places


class DidNotStart(RuntimeError):
    """Says which part of the cluster did not come up, and where its log is."""


def start(places: Places, name: str, command: list[str]) -> None:
    """Start a process of its own session, and write down who it is before anything else can fail."""
    places.logs.mkdir(parents=True, exist_ok=True)
    out = places.logs / f"{name}.log"
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=files, setsid=True)
    record(places, name).parent.mkdir(parents=True, exist_ok=True)
    record(places, name).write_text(json.dumps({"pid": pid, "born": born(pid)}), encoding="utf-8")


def stop(places: Places, name: str, seconds: float = 10) -> None:
    """End a process that `start` started, first by asking; nothing happens where it is gone."""
    pid = running(places, name)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not until(lambda: running(places, name) is None, seconds):
            os.kill(pid, signal.SIGKILL)
            until(lambda: running(places, name) is None, 5)
    record(places, name).unlink(missing_ok=True)


def running(places: Places, name: str) -> int | None:
    """The id of a started process, if it still runs."""
    try:
        known = json.loads(record(places, name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    pid = int(known["pid"])
    return pid if known["born"] is not None and born(pid) == known["born"] else None


def started(places: Places) -> list[str]:
    """The names of all processes that were started and not stopped."""
    return sorted(file.stem for file in (places.run / "pid").glob("*.json"))


def record(places: Places, name: str) -> Path:
    """The file that says who a process is."""
    return places.run / "pid" / f"{name}.json"


def born(pid: int) -> str | None:
    """When a process was born, in ticks since the machine's start; None for one that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def until(holds: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Wait until something holds; False where it does not within the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(pause)
    return False


def answers(command: list[str]) -> bool:
    """Whether a command succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=15).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def wait_for(places: Places, name: str, command: list[str], seconds: float) -> None:
    """Wait until a command succeeds.

    Raises:
        DidNotStart: It did not within the time, or the process that it asks has ended.
    """

    def settled() -> bool:
        return answers(command) or running(places, name) is None

    if not until(settled, seconds, 0.2) or not answers(command):
        file = places.logs / f"{name}.log"
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()[-5:] if file.exists() else []
        raise DidNotStart("\n".join([f"{name} did not come up within {seconds:g} s; its log {file} ends:", *lines]))
