"""The training loop, on Lightning Fabric: devices, precision and gradient exchange are Fabric's, the order of things
is here.

`espnet3.systems.base.training` builds the parts and runs it. The loop writes a checkpoint after every epoch, and
within an epoch after so many minutes or when it is asked to stop; what it does next depends on that checkpoint and
the config alone, so an interrupted training ends with the same weights, bit by bit, as one that was not. On a GPU, too,
but for a Conformer in 32-true, whose attention to long utterances has gradients that differ in their last bits.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.wrappers import _FabricModule
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from espnet3.components.training.accumulation import Accumulation
from espnet3.components.training.checkpoint_file import Payload
from espnet3.components.training.checkpoints import Checkpoints, TopK
from espnet3.components.training.data_module import STAND_IN, TrainingData
from espnet3.components.training.ema import MovingAverage
from espnet3.components.training.optimization import restore_exactly, restore_progress
from espnet3.components.training.outputs import output_of
from espnet3.components.training.preemption import Preemption
from espnet3.components.training.ranks import any_rank, gather, this_rank, world_size
from espnet3.components.training.reports import Report, Row, summary
from espnet3.components.training.state import TrainingState
from espnet3.components.training.stopwatch import Stopwatch
from espnet3.components.training.validation import validate
from espnet3.components.training.weighted_mean import WeightedMean
from espnet3.errors import ConfigError, Stopped
from espnet3.runtime.progress import track

log = logging.getLogger(__name__)

MOST_SKIPPED = 100
"""Steps without finite gradients, in a row, that end a training."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how to train; the fields are those of `training_config` and its `trainer`."""

    seed: int
    max_epochs: int
    max_steps: int
    gradient_clip_val: float | None
    accumulate_grad_batches: int
    patience: int | None
    every_n_minutes: float
    log_every_n_steps: int
    criterion: str
    fingerprint: str


@dataclass(frozen=True)
class Parts:
    """What the loop works with; model and optimizer as Fabric has set them up."""

    fabric: Fabric
    model: _FabricModule
    optimizer: Optimizer
    schedule: LRScheduler | None
    train_data: TrainingData
    valid_data: TrainingData
    checkpoints: Checkpoints
    report: Report
    ema: MovingAverage | None = None
    """Moving average of the model's weights, where one is validated and kept instead of them."""


class TrainingLoop:
    """One training, from wherever its state is to the end."""

    def __init__(self, parts: Parts, settings: LoopSettings, preemption: Preemption) -> None:
        self.parts = parts
        self.settings = settings
        self.preemption = preemption
        self.state = TrainingState()
        self.epoch_means = WeightedMean()
        self.recent_means = WeightedMean()
        self.accumulation = Accumulation(parts.model.parameters())
        self._saved_at = time.monotonic()
        self._clock = Stopwatch()

    def run(self) -> TrainingState:
        """Train to the end.

        Raises:
            Stopped: the process was asked to; a checkpoint is written.
            ConfigError: the gradients stay without finite values, or the criterion is never reported.
        """
        self._saved_at = time.monotonic()
        while not self.state.finished:
            self._train_epoch()
            self._end_epoch(self._validate())
        return self.state

    def _train_epoch(self) -> None:
        epoch, first = self.state.epoch, self.state.batch
        total = self.parts.train_data.num_batches(epoch)
        self._clock.restart()
        self.parts.model.train()
        batches = self.parts.train_data.epoch(epoch, first)
        if self.parts.fabric.is_global_zero:
            label = f"epoch {epoch + 1}/{self.settings.max_epochs}"
            batches = track(batches, total=total - first, label=label, within=self._part_of_all(first, total))
        for batch in batches:
            if self._out_of_steps():  # before the batch: a training may go on from a checkpoint of its last step
                break
            self._train_batch(batch, total)

    def _part_of_all(self, first: int, batches: int) -> tuple[int, int]:
        """How many batches were trained before this epoch's `first`, and are to be in all; epochs taken as equal."""
        limit = self.settings.max_steps * self.settings.accumulate_grad_batches
        whole = self.settings.max_epochs * batches
        return self.state.epoch * batches + first, min(limit, whole) if limit >= 0 else whole

    def _train_batch(self, batch: dict[str, Any], total: int) -> None:
        """Forward and backward; an optimizer step where the accumulated batches are complete."""
        group = self.settings.accumulate_grad_batches
        start = self.state.batch - self.state.batch % group
        size = min(group, total - start)
        steps = self.state.batch + 1 == start + size
        self._seed()
        counted = STAND_IN not in batch
        with self.parts.fabric.no_backward_sync(self.parts.model, enabled=not steps):
            loss, stats, weight = output_of(self.parts.model, self.parts.fabric.to_device(batch))
            factor = self.accumulation.factor(weight if counted else torch.zeros_like(weight))
            self.parts.fabric.backward(loss * factor)
        if counted:
            self.epoch_means.add(stats, weight)
            self.recent_means.add(stats, weight)
        self._clock.add(self.parts.train_data.seconds(self.state.epoch, self.state.batch))
        self.state.batch += 1
        if steps:
            norm = self._step()
            self._after_step(norm)

    def _seed(self) -> None:
        """Draw this batch's dropout from its place in the training, so that it can be taken again."""
        place = (self.settings.seed, self.state.epoch, self.state.batch, self.parts.fabric.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def _step(self) -> float:
        """Clip and apply the gradients, or drop them where they are not finite or of nothing; returns their norm."""
        parts = self.parts
        clip = self.settings.gradient_clip_val or float("inf")
        norm = parts.fabric.clip_gradients(parts.model, parts.optimizer, max_norm=clip, error_if_nonfinite=False)
        assert norm is not None
        finite = bool(norm.isfinite())
        scaler = getattr(parts.fabric.strategy.precision, "scaler", None)
        if self.accumulation.is_empty():  # an optimizer would still move the weights: by momentum, or by their decay
            if scaler is not None:
                scaler.update()
        elif finite or scaler is not None:
            parts.optimizer.step()
            if parts.ema is not None:
                parts.ema.update()
        if finite and parts.schedule is not None:
            parts.schedule.step()
        parts.optimizer.zero_grad()
        self.accumulation.clear()
        self.state.step += 1
        self._count_skipped(finite)
        return float(norm)

    def _count_skipped(self, finite: bool) -> None:
        self.state.skipped = 0 if finite else self.state.skipped + 1
        if not finite:
            log.warning("Step %d was skipped: its gradients are not finite.", self.state.step)
        if self.state.skipped >= MOST_SKIPPED:
            raise ConfigError(
                f"{MOST_SKIPPED} steps in a row had gradients that are not finite, so the training was stopped at step "
                f"{self.state.step}. Lower optimizer.lr, lengthen the warm-up, or set trainer.precision to 32-true."
            )

    def _after_step(self, norm: float) -> None:
        if self.state.step % self.settings.log_every_n_steps == 0:
            self._log_step(norm)
        self._stop_if_asked()
        minutes = (time.monotonic() - self._saved_at) / 60
        if self.any_rank(minutes >= self.settings.every_n_minutes):
            self._save()

    def _stop_if_asked(self) -> None:
        """All devices together, each of which may have been asked at another moment."""
        if self.any_rank(self.preemption.requested):
            self._save()
            raise Stopped(f"Asked to stop after step {self.state.step}; run the stage again to go on from there.")

    def any_rank(self, flag: bool) -> bool:
        """Whether any device wishes so: all have to do it together."""
        return any_rank(flag, self.parts.fabric.device)

    def _log_step(self, norm: float) -> None:
        row = {f"train/step_{name}": value for name, value in self.recent_means.result().items()}
        self.recent_means.clear()
        self._add_row({**row, "grad_norm": norm, "lr": self._learning_rate()})

    def _add_row(self, values: Row) -> None:
        self.state.rows += 1
        if self.parts.fabric.is_global_zero:
            self.parts.report.add({"epoch": self.state.epoch + 1, "step": self.state.step, **values})

    def _learning_rate(self) -> float:
        return float(self.parts.optimizer.param_groups[0]["lr"])

    def _validate(self) -> Row:
        parts = self.parts
        model = parts.ema.model if parts.ema else parts.model
        # A checkpoint within it is one of before the validation, which is done again.
        scores = validate(parts.fabric, model, parts.valid_data.epoch(0), self._stop_if_asked)
        return {f"valid/{name}": value for name, value in scores.items()}

    def _end_epoch(self, valid: Row) -> None:
        train = {f"train/{name}": value for name, value in self.epoch_means.result().items()}
        values = {**train, **valid, "lr": self._learning_rate()}
        self._add_row(values)
        self.state.epoch += 1
        self.state.batch = 0
        self.epoch_means.clear()
        log.info("epoch %d: %s, %.0f times real time", self.state.epoch, summary(values), self._clock.speed())
        self._rank(values)
        self.state.finished = self._is_finished()
        self._save(epoch_end=True)

    def _rank(self, values: Row) -> None:
        """Put this epoch among the best, if it is one."""
        scores = {**values, "epoch": float(self.state.epoch)}
        if self.settings.criterion not in scores:
            raise ConfigError(
                f"training_config.best_model_criterion names {self.settings.criterion!r}, which is not reported. "
                f"It reports: {', '.join(sorted(scores))}."
            )
        this = TopK(self.state.epoch, scores[self.settings.criterion])
        self.state.top_k = self.parts.checkpoints.best([*self.state.top_k, this])

    def _is_finished(self) -> bool:
        patience = self.settings.patience
        waited = self.state.epoch - self.state.top_k[0].epoch
        early = patience is not None and waited >= patience
        if early:
            log.info("Stopping early: no better %s for %d epochs.", self.settings.criterion, waited)
        return early or self.state.epoch >= self.settings.max_epochs or self._out_of_steps()

    def _out_of_steps(self) -> bool:
        return 0 <= self.settings.max_steps <= self.state.step

    def _save(self, epoch_end: bool = False) -> None:
        """Write the reports, then the checkpoint, from rank 0."""
        self._saved_at = time.monotonic()
        # Of each rank: added up now, the last bits would be others than at the end.
        means = gather([self.epoch_means.state_dict(), self.recent_means.state_dict()])
        if self.parts.fabric.is_global_zero:
            self.parts.report.write()
            if epoch_end:
                self.parts.report.draw()
                self.parts.checkpoints.save_epoch(self.payload(means), self.state.epoch, self.state.top_k)
            else:
                self.parts.checkpoints.save_last(self.payload(means))
        self.parts.fabric.barrier()

    def payload(self, means: list[Any]) -> Payload:
        """Everything that a checkpoint holds: tensors and plain values, with the means of all ranks."""
        parts = self.parts
        return {
            "model": parts.model.state_dict(),
            "ema": parts.ema.state_dict() if parts.ema else None,
            "optimizer": parts.optimizer.state_dict(),
            "schedule": parts.schedule.state_dict() if parts.schedule else None,
            "precision": parts.fabric.strategy.precision.state_dict(),
            "state": self.state.state_dict(),
            "means": means,
            "fingerprint": self.settings.fingerprint,
        }

    def load(self, payload: Payload) -> None:
        """Go on from a checkpoint; where its config was another, with the settings of this one."""
        parts = self.parts
        parts.model.load_state_dict(payload["model"])
        if parts.ema is not None and payload["ema"] is not None:
            parts.ema.load_state_dict(payload["ema"])
        restore = restore_exactly if payload["fingerprint"] == self.settings.fingerprint else restore_progress
        restore(parts.optimizer, parts.schedule, payload)
        parts.fabric.strategy.precision.load_state_dict(payload["precision"])
        self.state = TrainingState.from_state_dict(payload["state"])
        for rank in payload["means"][this_rank() :: world_size()]:  # those of further ranks, where there were more
            for mean, saved in zip((self.epoch_means, self.recent_means), rank, strict=True):
                mean.load_state_dict(saved, parts.fabric.device)
        self.state.finished = self.state.finished and self._is_finished()
        if parts.fabric.is_global_zero:
            parts.report.resume(self.state.rows)
