"""The checkpoint folder of a training: where it goes on, which epochs are the best, and the mean of their weights.

`last.ckpt` is where a training goes on; `epoch<n>.ckpt` are the best by the config's criterion. Each holds
everything that the loop needs. At the end, the mean of the best ones' weights becomes `averaged.safetensors`, which
is what inference loads. Reading and writing a single one is up to `checkpoint_file`.
"""

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from espnet3.components.training.checkpoint_file import (
    Payload,
    load_chosen,
    load_valid,
    passing_fault,
    write_checkpoint,
)
from espnet3.components.training.ranks import from_first, this_rank
from espnet3.errors import DataError
from espnet3.runtime.files import remove, write_bytes, write_text

log = logging.getLogger(__name__)

LAST = "last.ckpt"


@dataclass(frozen=True)
class TopK:
    """One of the best checkpoints."""

    epoch: int
    score: float


@dataclass(frozen=True)
class Average:
    """The mean of the best checkpoints."""

    weights: dict[str, Tensor]
    members: list[TopK]
    """Those that could be read, best first."""


class Checkpoints:
    """The checkpoint folder of one training.

    Args:
        folder: where they are.
        keep: how many of the best to keep.
        mode: `min` or `max`: which scores are better.
    """

    def __init__(self, folder: Path, keep: int, mode: str) -> None:
        self.folder = folder
        self.keep = keep
        self.sign = 1.0 if mode == "min" else -1.0

    def path(self, epoch: int) -> Path:
        """Where an epoch's checkpoint is, if it is one of the best."""
        return self.folder / f"epoch{epoch:04d}.ckpt"

    def best(self, scored: Sequence[TopK]) -> list[TopK]:
        """The best of `scored`, best first; of equal ones the later; what is not a number is the worst."""
        return sorted(scored, key=self._order)[: self.keep]

    def save_last(self, payload: Payload) -> None:
        """Replace `last.ckpt`."""
        write_checkpoint(self.folder / LAST, payload)

    def save_epoch(self, payload: Payload, epoch: int, top_k: Sequence[TopK]) -> None:
        """Replace `last.ckpt`, keep a copy where `epoch` is one of the best, and drop the epochs that no longer are.

        In this order, so that a process killed at any point leaves a state from which the same files come about.
        """
        if any(one.epoch == epoch for one in top_k):
            write_checkpoint(self.path(epoch), payload)
        self.save_last(payload)
        self.drop_others(top_k)

    def drop_others(self, top_k: Sequence[TopK]) -> None:
        """Remove the epochs that are not among `top_k`; what was killed before it could is made up for at the end."""
        wanted = {self.path(one.epoch) for one in top_k}
        for path in set(self.folder.glob("epoch*.ckpt")) - wanted:
            remove(path)

    def newest(self) -> Payload | None:
        """The newest checkpoint that loads; those that do not are renamed to `*.damaged`, with a warning.

        Rank 0 finds it, the other ranks load the same.

        Raises:
            TryAgain: the volume does not answer, or memory is short; no file was touched.
        """
        found = self._newest() if this_rank() == 0 else None
        path = from_first(found[0] if found else None)
        if path is None:
            return None
        log.info("Going on from %s.", path)
        return found[1] if found else load_chosen(path)

    def _newest(self) -> tuple[Path, Payload] | None:
        names = self._names()
        epochs = sorted((name for name in names if name.startswith("epoch") and name.endswith(".ckpt")), reverse=True)
        for name in [LAST, *epochs]:
            if name in names and (payload := load_valid(self.folder / name)) is not None:
                return self.folder / name, payload
        return None

    def _names(self) -> list[str]:
        """The files that there are; unlike `Path.glob` and `Path.exists`, this tells nothing from a volume's fault."""
        try:
            return os.listdir(self.folder)  # noqa: PTH208
        except FileNotFoundError:
            return []
        except OSError as error:
            raise passing_fault(self.folder, error) from error

    def _order(self, one: TopK) -> tuple[float, int]:
        score = self.sign * one.score
        return math.inf if math.isnan(score) else score, -one.epoch

    def average(self, top_k: Sequence[TopK]) -> Average:
        """The mean of the best checkpoints that load, each read once; the others are renamed to `*.damaged`.

        Raises:
            DataError: there is none.
            TryAgain: the volume does not answer, or memory is short; no file was touched.
        """
        mean, members = _MeanWeights(), []
        for one in sorted(top_k, key=lambda one: one.epoch):
            payload = load_valid(self.path(one.epoch))
            if payload is not None:
                mean.add(payload["ema"]["weights"] if payload["ema"] else payload["model"])
                members.append(one)
        if not members:
            raise DataError(f"None of the best checkpoints in {self.folder} can be read. Train again with --force.")
        if len(members) < len(top_k):
            log.warning("Only %d of the %d best checkpoints can be averaged.", len(members), len(top_k))
        return Average(mean.result(), [one for one in top_k if one in members])


class _MeanWeights:
    """The mean of the weights (or of their moving averages) of several checkpoints, summed in double."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: dict[str, Tensor] = {}
        self.last: Mapping[str, Tensor] = {}

    def add(self, weights: Mapping[str, Tensor]) -> None:
        self.count += 1
        self.last = weights
        for name, value in weights.items():
            if value.is_floating_point():
                self.sums[name] = self.sums[name] + value.double() if name in self.sums else value.double()

    def result(self) -> dict[str, Tensor]:
        """Counters and other integers are those of the last one."""
        return {
            name: (self.sums[name] / self.count).to(value.dtype) if name in self.sums else value
            for name, value in self.last.items()
        }


def write_averaged(weights: Mapping[str, Tensor], path: Path, about: Mapping[str, Any]) -> None:
    """Write weights to `path` (safetensors), then what they are to the JSON file beside it: all is done."""
    write_bytes(path, save({name: value.contiguous() for name, value in sorted(weights.items())}))
    write_text(path.with_suffix(".json"), json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
