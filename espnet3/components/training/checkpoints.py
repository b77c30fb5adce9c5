"""Checkpoints of a training: written whole or not at all, read only where they are valid, the best of them kept
and averaged.

`last.ckpt` is where a training goes on; `epoch<n>.ckpt` are the best by the config's criterion. Each holds
everything that the loop needs. At the end, the mean of the best ones' weights becomes `averaged.safetensors`, which
is what inference loads.
"""

import json
import logging
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from espnet3.errors import DataError
from espnet3.runtime.files import remove, replacing, write_bytes, write_text
from espnet3.runtime.leases import check_lease

log = logging.getLogger(__name__)

LAST = "last.ckpt"
VERSION = 3
Payload = dict[str, Any]


@dataclass(frozen=True)
class TopK:
    """One of the best checkpoints."""

    epoch: int
    score: float


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
        return sorted(scored, key=self._rank)[: self.keep]

    def save_last(self, payload: Payload) -> None:
        """Replace `last.ckpt`."""
        write_checkpoint(self.folder / LAST, payload)

    def save_epoch(self, payload: Payload, epoch: int, kept: Sequence[TopK]) -> None:
        """Replace `last.ckpt`, keep a copy where `epoch` is one of the best, and drop the epochs that no longer are.

        In this order, so that a process killed at any point leaves a state from which the same files come about.
        """
        if any(one.epoch == epoch for one in kept):
            write_checkpoint(self.path(epoch), payload)
        self.save_last(payload)
        self.drop_others(kept)

    def drop_others(self, kept: Sequence[TopK]) -> None:
        """Remove the epochs that are not among `kept`; what was killed before it could is made up for at the end."""
        wanted = {self.path(one.epoch) for one in kept}
        for path in set(self.folder.glob("epoch*.ckpt")) - wanted:
            remove(path)

    def newest(self) -> Payload | None:
        """The newest checkpoint that loads; those that do not are renamed to `*.damaged`, with a warning."""
        epochs = sorted(self.folder.glob("epoch*.ckpt"), reverse=True)
        for path in [self.folder / LAST, *epochs]:
            if path.exists() and (payload := load_valid(path)) is not None:
                log.info("Going on from %s.", path)
                return payload
        return None

    def _rank(self, kept: TopK) -> tuple[float, int]:
        score = self.sign * kept.score
        return math.inf if math.isnan(score) else score, -kept.epoch

    def valid(self, kept: Sequence[TopK]) -> list[TopK]:
        """Those of `kept` whose checkpoints load; damaged ones are renamed to `*.damaged`, with a warning.

        Raises:
            DataError: there is none.
        """
        paths = {one: self.path(one.epoch) for one in kept}
        valid = [one for one, path in paths.items() if path.exists() and load_valid(path) is not None]
        if not valid:
            raise DataError(f"None of the best checkpoints in {self.folder} can be read. Train again with --force.")
        if len(valid) < len(kept):
            log.warning("Only %d of the %d best checkpoints can be averaged.", len(valid), len(kept))
        return valid

    def average(self, kept: Sequence[TopK]) -> dict[str, Tensor]:
        """Mean weights of the kept checkpoints."""
        paths = [self.path(one.epoch) for one in sorted(kept, key=lambda one: one.epoch)]
        return mean_weights(paths)


def write_checkpoint(path: Path, payload: Payload) -> None:
    """Replace `path` by a checkpoint.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    with replacing(path) as beside:
        try:
            with beside.open("wb") as file:
                torch.save({"version": VERSION, **payload}, file)
        except RuntimeError as error:
            # torch hides the reason behind an error of its own.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_valid(path: Path) -> Payload | None:
    """Load a checkpoint; set it aside and return None where it cannot be read."""
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(payload, dict) and payload.get("version") == VERSION:
            return payload
        reason = "it is not a checkpoint of this version"
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
    check_lease(path)
    path.replace(path.with_name(f"{path.name}.damaged"))
    log.warning("%s cannot be read (%s) and was set aside as %s.damaged.", path, reason, path.name)
    return None


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Mean of the weights (or of their moving averages) of several checkpoints, summed in double.

    Counters and other integers are those of the last one.
    """
    sums: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for path in paths:
        payload = torch.load(path, map_location="cpu", weights_only=True)
        weights = payload["ema"]["weights"] if payload["ema"] else payload["model"]
        for name, value in weights.items():
            if value.is_floating_point():
                sums[name] = sums[name] + value.double() if name in sums else value.double()
    return {
        name: (sums[name] / len(paths)).to(value.dtype) if name in sums else value for name, value in weights.items()
    }


def write_averaged(weights: Mapping[str, Tensor], path: Path, about: Mapping[str, Any]) -> None:
    """Write weights to `path` (safetensors), then what they are to the JSON file beside it: all is done."""
    write_bytes(path, save({name: value.contiguous() for name, value in sorted(weights.items())}))
    write_text(path.with_suffix(".json"), json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
