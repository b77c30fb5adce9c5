"""BasePacking: what a task knows of packs, which each task's module `packing` fills in and makes `PACKING` of.

`espnet3.load` has a pack read with it. It imports nothing heavy, because reading a pack imports it everywhere.
"""

import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from espnet3.packs.pack import Pack, Packing


class BasePacking(Packing):
    """A task's half of a pack."""

    def load(self, pack: Pack, backend: str, device: str) -> Any:
        """See `Packing.load`; the recipe's own code in the pack can be imported meanwhile, where it is trusted."""
        with own_code(pack):
            return self.build(pack, backend, device)

    @abstractmethod
    def build(self, pack: Pack, backend: str, device: str) -> Any:
        """What `load` gives."""


@contextmanager
def own_code(pack: Pack) -> Iterator[None]:
    """While the block runs, `src` is the recipe's own code in the pack, where it has any and that is trusted."""
    if not (pack.meta.code and pack.trust_code):
        yield
        return
    from espnet3.recipe.recipe import activated

    with without_bytecode(), activated(pack.dir):
        yield


@contextmanager
def without_bytecode() -> Iterator[None]:
    """That of a pack's own code would lie beside it, in nobody's sums, and hold this machine's paths and times."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
