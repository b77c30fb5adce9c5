"""Run numbered tasks in a few processes of this machine, and notice when one of them dies.

Called by the runner. Each worker is a fresh (spawned) interpreter with a pipe to this process; there are no locks or
queues that a killed worker could leave behind. A worker whose parent is gone is ended; what it logs goes to the
parent's log; what its parent may no longer write, it may not either. What a task does, and keeping its results, is not
known here.
"""

import logging
import multiprocessing
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from espnet3.errors import Espnet3Error, TryAgain
from espnet3.runtime.leases import Leases, adopt, held_leases
from espnet3.runtime.processes import end_with_parent, ignore_requests_to_stop, interrupts_held_back

Report = Callable[[Any], None]
"""Hands a picklable sign of progress to the parent."""

Task = Callable[[int, Report], None]
"""Picklable; is given a task's number and where to report."""

Message = tuple[Literal["progress", "finished", "failed", "log"], Any]


@dataclass(frozen=True)
class _Setting:
    """What a worker has from its parent."""

    task: Task
    log_level: int
    leases: Leases


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: int | None = None


def run_tasks(task: Task, numbers: Sequence[int], workers: int) -> Iterator[Any]:
    """Run `task` for every number in at most `workers` processes, yielding what the tasks report, as it comes.

    When this generator ends, for whatever reason, so do its processes.

    Raises:
        TryAgain: a process died without a word, as the kernel does to them when memory runs out.
        Exception: whatever a task raised; an unforeseen one carries the worker's traceback as a note.
    """
    waiting = list(numbers)
    team = [_start(task) for _ in range(min(workers, len(waiting)))]
    try:
        for worker in team:
            _assign(worker, waiting)
        while busy := {worker.pipe: worker for worker in team if worker.task is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                kind, content = _receive(worker)
                if kind == "log":
                    logging.getLogger(content.name).handle(content)
                    continue
                if kind == "failed":
                    raise content
                if kind == "finished":
                    _assign(worker, waiting)
                else:
                    yield content
    finally:
        _end(team)


def _start(task: Task) -> _Worker:
    context = multiprocessing.get_context("spawn")
    pipe, far_end = context.Pipe()
    setting = _Setting(task, logging.getLogger().getEffectiveLevel(), held_leases())
    process = context.Process(target=_work, args=(setting, far_end), daemon=True)
    with interrupts_held_back():
        process.start()
    far_end.close()
    return _Worker(process, pipe)


def _assign(worker: _Worker, waiting: list[int]) -> None:
    worker.task = waiting.pop(0) if waiting else None
    if worker.task is not None:
        with suppress(BrokenPipeError):  # a worker that died already is noticed when it is listened to
            worker.pipe.send(worker.task)


def _receive(worker: _Worker) -> Message:
    try:
        message: Message = worker.pipe.recv()
    except (EOFError, OSError):  # at the end of a message, or in the middle of one
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        raise TryAgain(
            f"The worker process of shard {worker.task} {how}; SIGKILL most often means that memory ran out. "
            "What was finished is kept: run the stage again, if need be with fewer workers or smaller batches."
        ) from None
    return message


def _end(team: list[_Worker]) -> None:
    for worker in team:
        worker.pipe.close()
        worker.process.kill()
    for worker in team:
        worker.process.join()
        worker.process.close()


class _ToParent(logging.Handler):
    """Sends log lines over the pipe, which threads must not write to at the same time."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self.pipe = pipe
        self.turn = threading.RLock()

    def send(self, message: Message) -> None:
        with self.turn:
            self.pipe.send(message)

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)  # with the trace of an exception, which cannot travel itself
        record.msg, record.args, record.exc_info, record.exc_text, record.stack_info = text, None, None, None, None
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send(("log", record))


def _work(setting: _Setting, pipe: Connection) -> None:
    """The life of a worker: until its parent closes the pipe, or is gone."""
    ignore_requests_to_stop()
    end_with_parent()
    adopt(setting.leases)
    parent = _ToParent(pipe)
    logging.basicConfig(level=setting.log_level, handlers=[parent], format="%(message)s", force=True)
    logging.captureWarnings(True)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            number = pipe.recv()
            parent.send(_run(setting.task, number, lambda content: parent.send(("progress", content))))


def _run(task: Task, number: int, report: Report) -> Message:
    try:
        task(number, report)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001 (it is raised again in the parent)
        return "failed", _portable(error)
    return "finished", number


def _portable(error: Exception) -> Exception:
    """`error`, an unforeseen one with its traceback as a note, or its text where it cannot travel between processes."""
    trace = "".join(traceback.format_exception(error))
    if not isinstance(error, Espnet3Error):
        error.add_note(f"In the worker process:\n{trace}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 (any fault of a foreign exception's own pickling)
        return RuntimeError(trace)
    return error
