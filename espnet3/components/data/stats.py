"""Count, sum and sum of squares of features: gathered by collect_stats, read by train for the model's normalisation.

The file is `<stats_dir>/train/feats_stats.npz` with the arrays `count`, `sum` and `sum_square`, all float64, and
`made_of`, a text that names the features and data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from espnet3.errors import DataError
from espnet3.runtime.files import write_bytes

LEAST_STD = 1e-3
"""Standard deviation given to a value that hardly changes: dividing by less would blow up rounding errors."""


@dataclass(frozen=True)
class FeatureStats:
    """Mean and standard deviation of each feature, float32 (D,)."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


class Moments:
    """Sums of features over frames, float64; the order in which they are added decides the last bits."""

    def __init__(self, size: int) -> None:
        self.count = np.zeros((), np.float64)
        self.sum = np.zeros(size, np.float64)
        self.sum_square = np.zeros(size, np.float64)

    def add(self, features: NDArray[np.float32]) -> None:
        """Take in the frames of an utterance (T, D)."""
        self.count += len(features)
        self.sum += features.sum(axis=0, dtype=np.float64)
        self.sum_square += np.square(features, dtype=np.float64).sum(axis=0)

    def merge(self, other: Self) -> None:
        """Take in what another has gathered."""
        self.count += other.count
        self.sum += other.sum
        self.sum_square += other.sum_square

    def as_numbers(self) -> dict[str, Any]:
        """Plain numbers, from which `from_numbers` makes the same sums to the last bit."""
        return {"count": self.count.item(), "sum": self.sum.tolist(), "sum_square": self.sum_square.tolist()}

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, Any]) -> Self:
        """Back from `as_numbers`."""
        moments = cls(len(numbers["sum"]))
        moments.count += numbers["count"]
        moments.sum += numbers["sum"]
        moments.sum_square += numbers["sum_square"]
        return moments

    def write(self, path: Path, made_of: str = "") -> None:
        """Replace the file at `path`; `made_of` names the features and data, where these are known."""
        arrays: dict[str, NDArray[Any]] = {"count": self.count, "sum": self.sum, "sum_square": self.sum_square}
        write_bytes(path, _npz({**arrays, "made_of": np.array(made_of)} if made_of else arrays))


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The arrays as `np.savez` writes them, but the same bytes on every patch release of Python."""
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            member = BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            archive.writestr(ZipInfo(f"{name}.npy"), member.getvalue())
    return content.getvalue()


def stats_file(stats_dir: Path | str) -> Path:
    """Where the statistics of the training features are."""
    return Path(stats_dir) / "train" / "feats_stats.npz"


def load_stats(stats_dir: Path | str, made_of: str = "") -> FeatureStats:
    """Mean and standard deviation of the training features.

    Args:
        stats_dir: the folder.
        made_of: name of the features and data that they must be of; a file that does not say so is taken as it is.

    Raises:
        DataError: the file is missing, unreadable, holds no frames, or is of other features or data.
    """
    path = stats_file(stats_dir)
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            found = str(arrays["made_of"]) if "made_of" in arrays else made_of
            count, total, squares = (arrays[name].astype(np.float64) for name in ("count", "sum", "sum_square"))
    except FileNotFoundError:
        raise DataError(f"The statistics {path} are missing. Make them: run collect_stats.") from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"The statistics {path} cannot be read ({error}). Make them anew: run collect_stats.") from None
    if count.shape or not count > 0 or total.shape != squares.shape or not np.isfinite([total, squares]).all():
        raise DataError(f"The statistics {path} are not sums over frames. Make them anew: run collect_stats.")
    if made_of and found != made_of:
        raise DataError(
            f"The statistics {path} were made with other features or data ({found}, not {made_of}). Take the file "
            "away, and run collect_stats."
        )
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    return FeatureStats(mean.astype(np.float32), np.maximum(std, LEAST_STD).astype(np.float32))
