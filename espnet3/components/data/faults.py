"""Collects what is wrong with a corpus while it is read, to tell all of it at once.

A dataset builder adds a fault for each row or recording that it cannot use and goes on. create_dataset puts those of a
builder, and those that it finds itself in the manifests, into a message of the first and a file of all.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from espnet3.errors import DataError

SHOWN = 50
"""Faults in a message."""
KEPT = 10_000
"""Faults of a builder or a manifest that are kept; more are counted, as a million recordings may all be missing."""


class ManyFaults(DataError):
    """A corpus is wrong in many places: the message has the first of them."""

    def __init__(self, faults: Sequence[str], total: int) -> None:
        super().__init__(problem_list(faults, SHOWN, total))
        self.faults = tuple(faults)
        self.total = total


class Faults:
    """Gathers the faults of a corpus; the end of its `with` block raises them, if there are any.

    ```
    with Faults() as faults:
        for row in read_table(table, columns, faults):
            with faults.told_at(row.place):
                yield row["split"], whole_file(...)
    ```
    """

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._total = 0

    def add(self, fault: str) -> None:
        """Put down a fault: a sentence that begins with where it is."""
        self._total += 1
        if len(self._kept) < KEPT:
            self._kept.append(fault)

    @contextmanager
    def told_at(self, place: str) -> Iterator[None]:
        """Put down the DataError that ends the block, under a `place` such as `corpus.tsv:7`, and go on after it."""
        try:
            yield
        except DataError as error:
            for line in str(error).splitlines():
                self.add(f"{place}: {line}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._total or not (error is None or isinstance(error, DataError)):
            return
        if error is not None:
            self.add(str(error))
        raise ManyFaults(self._kept, self._total) from None


def problem_list(problems: Sequence[object], limit: int, total: int | None = None) -> str:
    """The first `limit` problems, one a line, under how many there are: `total`, where not all of them are given."""
    count = len(problems) if total is None else total
    head = "The data has 1 problem:" if count == 1 else f"The data has {count} problems:"
    rest = [f"... and {count - limit} more."] if count > limit else []
    return "\n".join([head, *map(str, problems[:limit]), *rest])
