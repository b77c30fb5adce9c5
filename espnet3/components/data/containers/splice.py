"""A file that is put together from bytes and from parts of an open file, without copying them.

libsndfile reads it in the place of a file whose header is wrong, or that holds several recordings end to end: a right
header comes first, and the sound of the real file follows. `decoder` opens it; which pieces it takes is up to the
module of each container.
"""

import io
import os
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

Piece = bytes | range
"""Bytes as they are, or the bytes of the open file at these places."""


class Splice:
    """A read-only binary file, as `soundfile.SoundFile` takes one.

    Args:
        handle: the open file; it is read with pread, so that its own position stays.
        pieces: what follows what.
    """

    def __init__(self, handle: int, pieces: Iterable[Piece]) -> None:
        self._handle = handle
        self._pieces = [piece for piece in pieces if len(piece)]
        self._ends = list(accumulate(map(len, self._pieces)))
        self._place = 0
        self.error: OSError | None = None
        """What the operating system said, which libsndfile takes for the end of the file."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; returns it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """The current place."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; returns the number of bytes, which is smaller at the end of the file alone."""
        view, done = memoryview(buffer).cast("B"), 0
        try:
            while done < len(view) and self._place < self._size:
                done += self._fill(view[done:])
        except OSError as error:
            self.error = error
        return done

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        rest = max(0, self._size - self._place)
        found = bytearray(rest if size < 0 else min(size, rest))
        return bytes(found[: self.readinto(found)])

    @property
    def _size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _fill(self, view: memoryview) -> int:
        number = bisect_right(self._ends, self._place)
        piece = self._pieces[number]
        inside = self._place - (self._ends[number] - len(piece))
        size = min(len(view), len(piece) - inside)
        if isinstance(piece, bytes):
            view[:size] = piece[inside : inside + size]
        else:
            size = os.preadv(self._handle, [view[:size]], piece.start + inside)
            if not size:
                raise OSError("the file became shorter while it was read")
        self._place += size
        return size
