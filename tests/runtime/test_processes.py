"""Requests to stop: who takes them, who leaves them to others, and what is left when a process ends at once."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from espnet3.runtime.processes import StopAtOnce, interrupts_held_back, parents_of_all, requests_to_stop

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
ENDS_AT_ONCE = """
import os, subprocess, sys, time
from espnet3.runtime.failures import stop_at_once
from espnet3.runtime.processes import requests_to_stop
with requests_to_stop(stop_at_once()):
    ignores = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(98765)"
    child = subprocess.Popen([sys.executable, "-c", ignores])
    if not os.fork():
        time.sleep(98765)
    time.sleep(1)
    print("begun", flush=True)
    try:
        time.sleep(98765)
    except BaseException:
        print("raised", flush=True)
    finally:
        print("finally", flush=True)
"""


@BOTH
def test_a_process_ends_at_once_with_all_that_it_started(number: signal.Signals) -> None:
    process = start(ENDS_AT_ONCE)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    family = descendants(process.pid)
    assert len(family) == 2
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (75, "")
    assert err == "interrupted; the same command goes on from here\n"
    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in family):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def descendants(pid: int) -> set[int]:
    parents = parents_of_all()
    found = {pid}
    for _ in parents:
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@BOTH
def test_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    taken: list[int] = []
    with requests_to_stop(lambda number, _: taken.append(number)):
        os.kill(os.getpid(), number)
    assert taken == [number]
    assert signal.getsignal(number) is before


def test_an_interrupt_that_is_ignored_stays_so() -> None:
    """As in a job in the background, which the terminal's Ctrl-C is not meant for."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with requests_to_stop(StopAtOnce()):
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_goes_without() -> None:
    seen: list[int] = []

    def work() -> None:
        with requests_to_stop(StopAtOnce()) as before:
            seen.append(len(before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]


def test_a_process_that_starts_meanwhile_does_not_see_an_interrupt() -> None:
    """Nor is it lost for the one that holds it back."""
    taken: list[int] = []
    with requests_to_stop(lambda number, _: taken.append(number)):
        with interrupts_held_back():
            process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0.5,))
            process.start()
            assert process.pid
            os.kill(process.pid, signal.SIGINT)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # another thread may not hold it back
            assert taken == []
        assert taken == [signal.SIGINT]
    process.join()
    assert process.exitcode == 0
