"""Arrays of different lengths as one array, for a batch.

The data module of training, `Recogniser` and its twin for ONNX call `pad`. Which utterances form a batch is decided by
`batching`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PADDING = -1
"""Of integer arrays; float arrays are padded with zeros."""


def pad(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, NDArray[np.int64]]:
    """Arrays (n, ...) of different n, at least one, as (B, longest, ...), and their lengths (B,)."""
    first = arrays[0]
    lengths = np.array([len(array) for array in arrays], np.int64)
    fill = 0 if np.issubdtype(first.dtype, np.floating) else PADDING
    padded = np.full((len(arrays), lengths.max(), *first.shape[1:]), fill, dtype=first.dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded, lengths
