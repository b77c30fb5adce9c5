"""Progress of a loop: a bar on a terminal, a log line about every ten seconds elsewhere.

Stages wrap their long loops in `track`; they know nothing of the terminal, nor of the workflow that shows how far a
stage is (`ARGO_PROGRESS_FILE`).
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from espnet3.runtime.temporaries import temporary_path

log = logging.getLogger(__name__)

LINE_EVERY = 10.0
"""Seconds between two log lines."""
REPORT_EVERY = 3.0
"""Seconds between two changes of the progress file: Argo looks at it as often."""
_reported_at = float("-inf")

T = TypeVar("T")


def track(
    iterable: Iterable[T],
    total: int | None = None,
    label: str = "",
    within: tuple[int, int] | None = None,
    weight: Callable[[T], int] = lambda _: 1,
) -> Iterator[T]:
    """Yield the items of `iterable` and show how far it is.

    Args:
        iterable: what to go through.
        total: number of items, where it is known.
        label: what it is.
        within: (done before, in all) of the whole work, where this loop is a part of it.
        weight: for how much of `within` an item stands.
    """
    shown = _bar if sys.stdout.isatty() else _lines
    whole = within or ((0, total) if total else None)
    return shown(_reported(iterable, whole, weight) if whole else iterable, total, label)


def _reported(iterable: Iterable[T], within: tuple[int, int], weight: Callable[[T], int]) -> Iterator[T]:
    done, total = within
    for item in iterable:
        yield item
        done += weight(item)
        _report(done, total)


def _report(done: int, total: int) -> None:
    """Write `done/total` to the file that the environment names, if it names one, every few seconds and at the end."""
    global _reported_at  # noqa: PLW0603
    name = os.environ.get("ARGO_PROGRESS_FILE")
    now = time.monotonic()
    if not name or total < 1 or (now - _reported_at < REPORT_EVERY and done < total):
        return
    _reported_at = now
    file = Path(name)
    temporary = temporary_path(file)
    try:  # not by `files.replacing`, which waits for the disk and looks at the lease
        temporary.write_text(f"{min(done, total)}/{total}", encoding="ascii")
        temporary.replace(file)
    except OSError as error:  # what only watches must not stop the work
        log.debug("Progress cannot be written to %s: %s", file, error)


def _bar(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    from rich.progress import track as rich_track

    return iter(rich_track(iterable, description=label, total=total, transient=True))


def _lines(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    start = last = time.monotonic()
    for count, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_EVERY:
            last = now
            log.info("%s: %s", label, _describe(count, total, now - start))


def _describe(count: int, total: int | None, seconds: float) -> str:
    rate = f"{count / seconds:.3g}/s"
    if not total:
        return f"{count}, {rate}"
    left = max(total - count, 0) * seconds / count
    return f"{count}/{total} ({count / total:.0%}), {rate}, {left:.0f} s left"
