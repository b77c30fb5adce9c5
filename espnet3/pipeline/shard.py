"""Which part of a stage this process does, where a stage is spread over several containers.

The container entrypoints say it (`sharding`); the stages that can be divided (`infer`, `collect_stats`) ask
(`current_shard`), and so does the stage's log for its name. For dividing the work, see `espnet3.parallel`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """One of `count` parts, or what puts them together.

    `index` counts from 0; None merges what the parts have finished and does no work of theirs.
    """

    count: int
    index: int | None = None

    @property
    def is_merge(self) -> bool:
        """Whether the parts are to be put together."""
        return self.index is None


_current: ContextVar[Shard | None] = ContextVar("shard", default=None)


@contextmanager
def sharding(shard: Shard | None) -> Iterator[None]:
    """Let the stage inside the block do this part alone; with None, the whole."""
    before = _current.set(shard)
    try:
        yield
    finally:
        _current.reset(before)


def current_shard() -> Shard | None:
    """The part that the running stage is to do; None where it does the whole stage."""
    return _current.get()
