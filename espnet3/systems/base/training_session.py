"""One process's part of a training: builds everything that the config names, runs the loop, averages the best
checkpoints.

Called by `espnet3.systems.base.training`, once in every process of the group. Knows no task: the preprocessor turns
samples into arrays and says which sizes the model has to have; the model turns a batch into a loss.
"""

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from espnet3.components.data.batching import DurationBatches
from espnet3.components.data.dataset_reference import load_datasets
from espnet3.components.modeling.normalize import GlobalMVN
from espnet3.components.training.checkpoints import Checkpoints, write_averaged
from espnet3.components.training.data_module import LoaderSettings, TrainingData
from espnet3.components.training.ema import MovingAverage
from espnet3.components.training.loop import LoopSettings, Parts, TrainingLoop
from espnet3.components.training.optimization import build_optimizer, build_schedule
from espnet3.components.training.preemption import Preemption, preemption
from espnet3.components.training.record import AVERAGED, FOLDER
from espnet3.components.training.reports import Report
from espnet3.components.training.state import TrainingState
from espnet3.config.instantiate import build, prepare
from espnet3.errors import ConfigError, DataError, TryAgain
from espnet3.runtime.shared_memory import SHARED_MEMORY_FULL
from espnet3.systems.base.config import TrainingConfig
from espnet3.systems.base.initial_weights import freeze, load_initial

log = logging.getLogger(__name__)


class ModelPreprocessor(Protocol):
    """What training needs of a preprocessor beside that it can be called."""

    def __call__(self, sample: Any, rng: Any) -> Any:
        """A sample to arrays; with a generator, augmented."""

    def model_args(self) -> dict[str, int]:
        """The model's arguments that the data decides."""


Check = Callable[[TrainingConfig, ModelPreprocessor, Parts], None]
"""What a System looks at before the first step, on every rank; it raises a `DataError` to stop the training."""


def train_here(settings: TrainingConfig, fingerprint: str, check: Check | None = None) -> None:
    """Train to the end in this process, as one of its group."""
    fabric = make_fabric(settings)
    # cuDNN's quickest gradients of a convolution in 32 bits add up in any order: no two trainings would be the same.
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(settings.seed)
    preprocessor = build_preprocessor(settings)
    model = build_model(settings, preprocessor)
    parts = make_parts(settings, fabric, preprocessor, model)
    if check is not None:
        check(settings, preprocessor, parts)
    with preemption() as watch:
        state = run_loop(parts, loop_settings(settings, fingerprint), watch)
    if fabric.is_global_zero:
        average_checkpoints(settings, fingerprint, parts, state)
    fabric.barrier()


def run_loop(parts: Parts, settings: LoopSettings, watch: Preemption) -> TrainingState:
    """Go on from the newest checkpoint, if there is one, to the end of the training.

    Raises:
        Stopped: the process was asked to; a checkpoint is written.
        TryAgain: a process that prepares batches was killed, or the checkpoints cannot be read now.
    """
    try:
        parts.train_data.start()
        parts.valid_data.start()
        loop = TrainingLoop(parts, settings, watch)
        if (payload := parts.checkpoints.newest()) is not None:
            loop.load(payload)
        return loop.run()
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        if "Bus error" in str(error):
            raise TryAgain(f"{str(error).splitlines()[0]} {SHARED_MEMORY_FULL}.") from error
        raise TryAgain(
            f"{error} SIGKILL most often means that memory ran out. Run the stage again: it goes on from its last "
            "checkpoint; if need be with fewer dataloader.num_workers or a smaller dataloader.batch_seconds."
        ) from error
    finally:
        parts.train_data.close()
        parts.valid_data.close()
        parts.report.close()


def make_fabric(settings: TrainingConfig) -> Fabric:
    """Devices and precision.

    Raises:
        ConfigError: this machine lacks them, or there are none of that name.
    """
    trainer = settings.trainer
    several = settings.num_device > 1
    try:
        fabric = Fabric(
            accelerator=trainer.accelerator,
            devices=settings.num_device,
            strategy="ddp" if several else "auto",
            precision=choose_precision(trainer.precision, trainer.accelerator),
        )
    except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise ConfigError(
            f"training_config.trainer: accelerator {trainer.accelerator}, precision {trainer.precision} and num_device "
            f"{settings.num_device} do not go together here: {error}"
        ) from error
    fabric.launch()
    return fabric


def choose_precision(precision: str, accelerator: str) -> Any:
    """What `auto` means here: bf16-mixed on a GPU that has it, 16-mixed on an older one, 32-true elsewhere."""
    if precision != "auto":
        return precision
    if accelerator not in {"auto", "gpu", "cuda"} or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def build_preprocessor(settings: TrainingConfig) -> ModelPreprocessor:
    """The preprocessor, given the parts of the training config that its constructor names (features, tokenizer)."""
    config = settings.model_dump()
    node = settings.preprocessor
    wanted = inspect.signature(prepare(node, "training_config.preprocessor")).parameters
    parts = {
        name: build_part(config[name], f"training_config.{name}")
        for name in wanted
        if name not in node and config.get(name) is not None
    }
    preprocessor: ModelPreprocessor = build(node, "training_config.preprocessor", **parts)
    return preprocessor


def build_part(node: Any, key: str) -> Any:
    """The object of a `_target_` node, or the list of objects of a list of nodes."""
    if isinstance(node, list):
        return [build(entry, f"{key}.{index}") for index, entry in enumerate(node)]
    return build(node, key)


def build_model(settings: TrainingConfig, preprocessor: ModelPreprocessor) -> nn.Module:
    """The model, with the statistics of the training data in its normalisation unless it begins with other weights."""
    model = build(settings.model, "training_config.model", **preprocessor.model_args())
    assert isinstance(model, nn.Module)
    normalize = getattr(model, "normalize", None)
    if isinstance(normalize, GlobalMVN):
        from espnet3.components.data.stats import load_stats

        stats = load_stats(Path(settings.stats_dir))
        try:
            normalize.set_statistics(stats.mean, stats.std)
        except ValueError as error:
            raise DataError(f"{settings.stats_dir}: {error}") from error
    if settings.init_param is not None:
        load_initial(model, settings.init_param)
    freeze(model, settings.freeze_param)
    log.info("%s has %.2f million parameters.", type(model).__name__, sum(p.numel() for p in model.parameters()) / 1e6)
    return model


def make_data(settings: TrainingConfig, split: str, preprocessor: ModelPreprocessor, fabric: Fabric) -> TrainingData:
    """The batches of `train` or `valid` on this device."""
    training = split == "train"
    references = settings.dataset.train if training else settings.dataset.valid
    samples = load_datasets(references, Path(settings.recipe_dir), f"training_config.dataset.{split}")
    limits, place = settings.dataloader, (fabric.global_rank, fabric.world_size)
    batches = DurationBatches(samples.durations, limits, settings.seed, *place, shuffle=training, split=training)
    loader = LoaderSettings(
        seed=settings.seed,
        augment=training,
        num_workers=settings.dataloader.num_workers,
    )
    log.info("%s: %d utterances, %.2f hours.", split, len(samples), samples.durations.sum() / 3600)
    return TrainingData(samples, preprocessor, batches, loader)


def make_parts(settings: TrainingConfig, fabric: Fabric, preprocessor: ModelPreprocessor, model: nn.Module) -> Parts:
    """Everything that the loop works with."""
    train_data = make_data(settings, "train", preprocessor, fabric)
    optimizer = build_optimizer(settings.optimizer, model)
    schedule = build_schedule(settings.scheduler, optimizer, total_steps(settings, train_data))
    on_device, fabric_optimizer = fabric.setup(model, optimizer)
    decay = settings.trainer.ema_decay
    exp_dir = Path(settings.exp_dir)
    return Parts(
        fabric=fabric,
        model=on_device,
        optimizer=fabric_optimizer,
        schedule=schedule,
        train_data=train_data,
        valid_data=make_data(settings, "valid", preprocessor, fabric),
        checkpoints=Checkpoints(exp_dir / FOLDER, settings.trainer.keep_checkpoints, settings.best_model_criterion[1]),
        report=Report(exp_dir),
        ema=MovingAverage(on_device.module, decay) if decay else None,
    )


def total_steps(settings: TrainingConfig, data: TrainingData) -> int:
    """Optimizer steps of the whole training, for the schedule; epochs are taken to be as long as the first."""
    if settings.trainer.max_steps >= 0:
        return settings.trainer.max_steps
    return settings.trainer.max_epochs * -(-data.num_batches(0) // settings.trainer.accumulate_grad_batches)


def loop_settings(settings: TrainingConfig, fingerprint: str) -> LoopSettings:
    """The loop's part of the training config."""
    trainer = settings.trainer
    return LoopSettings(
        seed=settings.seed,
        max_epochs=trainer.max_epochs,
        max_steps=trainer.max_steps,
        gradient_clip_val=trainer.gradient_clip_val,
        accumulate_grad_batches=trainer.accumulate_grad_batches,
        patience=trainer.early_stopping_patience,
        every_n_minutes=trainer.every_n_minutes,
        log_every_n_steps=trainer.log_every_n_steps,
        criterion=settings.best_model_criterion[0],
        fingerprint=fingerprint,
    )


def average_checkpoints(settings: TrainingConfig, fingerprint: str, parts: Parts, state: TrainingState) -> None:
    """Write the mean of the best checkpoints, and what it is.

    Raises:
        ConfigError: it is not a model, because weights are not finite.
    """
    criterion, mode = settings.best_model_criterion
    parts.checkpoints.drop_others(state.top_k)
    average = parts.checkpoints.average(state.top_k)
    members = [{"epoch": one.epoch, "score": one.score} for one in average.members]
    about = {"fingerprint": fingerprint, "criterion": criterion, "mode": mode, "members": members, "step": state.step}
    path = Path(settings.exp_dir) / AVERAGED
    if not all(bool(value.isfinite().all()) for value in average.weights.values()):
        raise ConfigError(
            "The training ended with weights that are not finite, which is not a model. Lower optimizer.lr, lengthen "
            "the warm-up, or set trainer.precision to 32-true, and start over with --force."
        )
    write_averaged(average.weights, path, about)
    log.info("%s is the mean of the epochs %s.", path, ", ".join(str(one.epoch) for one in average.members))
