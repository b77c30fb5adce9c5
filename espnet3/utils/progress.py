"""Progress of a loop: a bar on a terminal, a log line about every ten seconds elsewhere.

Stages wrap their long loops in `track`; they know nothing of the terminal.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

LINE_EVERY = 10.0
"""Seconds between two log lines."""

T = TypeVar("T")


def track(iterable: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
    """Yield the items of `iterable` and show how far it is; `total` is their number where it is known."""
    if sys.stdout.isatty():
        return _bar(iterable, total, label)
    return _lines(iterable, total, label)


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
