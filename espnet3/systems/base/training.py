"""The stages collect_stats and train.

Both take the training config. This module stays light, because collect_stats runs where there is no torch; what
train needs is imported when it is called.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from espnet3.errors import DataError
from espnet3.parallel.threads import limit_threads, threads_each
from espnet3.pipeline.fingerprint import forced, stage_inputs
from espnet3.runtime.files import remove_leftovers, write_text
from espnet3.runtime.leases import lease
from espnet3.systems.base.config import TrainingConfig, read_config
from espnet3.systems.base.products import with_located_stats

if TYPE_CHECKING:
    from espnet3.systems.base.training_session import Check

PLACES = ("exp_dir", "data_dir", "stats_dir", "recipe_dir", "create_dataset", "dataset.test")
"""Keys of the training config on which no weight depends."""


def collect_stats(config: DictConfig | dict[str, Any]) -> None:
    """Count, mean and variance of the features, durations and shapes, into `stats_dir`."""
    from espnet3.systems.base.collect_stats import collect_stats as collect

    collect(config)


def train(config: DictConfig | dict[str, Any], check: "Check | None" = None) -> None:
    """Train the model and leave the mean of its best checkpoints in `exp_dir`.

    Goes on from the newest checkpoint where the same training was interrupted or is finished; in that case, only the
    best checkpoints are averaged again.

    Args:
        config: the training config.
        check: what a System asks of the data and the model before the first step; None for nothing.

    Raises:
        ConfigError: a setting is wrong, or `exp_dir` holds an unfinished training with other settings.
        DataError: an utterance cannot be read, the statistics are of other features or data, or `check` says so.
        TryAgain: asked to stop; a checkpoint is written.
    """
    settings = read_config(TrainingConfig, config, "training_config")
    located = with_located_stats(config)
    _check_statistics(settings, Path(located["stats_dir"]))
    limit_threads(threads_each(settings.num_threads, settings.num_device))
    from espnet3.components.training.record import FOLDER, close_training, open_training

    exp_dir = Path(settings.exp_dir)
    with lease(exp_dir):
        for folder in (exp_dir, exp_dir / FOLDER):
            remove_leftovers(folder, nested=False)
        inputs = stage_inputs(config, without=PLACES)
        open_training(exp_dir, inputs, settings.trainer.resume, forced())
        # Only now, because it takes seconds.
        from espnet3.components.training.distributed import run_ranks
        from espnet3.systems.base.training_session import train_here

        work = partial(train_here, _leave_config(located, exp_dir), inputs.fingerprint, check)
        if settings.num_device > 1:
            run_ranks(work, settings.num_device)
        else:
            work()
        close_training(exp_dir, inputs)


def _check_statistics(settings: TrainingConfig, stats_dir: Path) -> None:
    """Before anything is touched: whether the statistics, where there are any, are of these features.

    Raises:
        DataError: they are of others, or cannot be read.
    """
    from espnet3.components.data.stats import load_stats, stats_file
    from espnet3.config.instantiate import build

    if not stats_file(stats_dir).exists():
        return  # a model that wants them says so
    stats = load_stats(stats_dir, made_of=stats_dir.name)
    size = build(settings.features, "training_config.features").size
    if len(stats.mean) != size:
        raise DataError(
            f"{stats_file(stats_dir)} holds statistics of {len(stats.mean)} features, and training_config.features "
            f"makes {size}. Take the file away, and run collect_stats."
        )


def _leave_config(config: DictConfig, exp_dir: Path) -> TrainingConfig:
    """Write the config that infer and pack_model read; the settings under which the training itself reads the same."""
    from espnet3.systems.base.kept_files import keep_files

    plain = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    assert isinstance(plain, dict)
    kept = keep_files({str(key): value for key, value in plain.items()}, exp_dir)
    write_text(exp_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(kept)))
    return TrainingConfig.model_validate(kept)
