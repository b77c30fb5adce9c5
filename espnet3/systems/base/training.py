"""The stages collect_stats and train.

Both take the training config. This module stays light, because collect_stats runs where there is no torch; what
train needs is imported when it is called.
"""

import logging
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.parallel.threads import limit_threads, threads_each
from espnet3.pipeline.contents import named_files
from espnet3.pipeline.fingerprint import fingerprint_of, forced, stage_covered, stage_fingerprint
from espnet3.runtime.files import remove_leftovers, write_text
from espnet3.runtime.leases import lease
from espnet3.systems.base.config import TrainingConfig, read_config

log = logging.getLogger(__name__)


def collect_stats(config: DictConfig | dict[str, Any]) -> None:
    """Count, mean and variance of the features, durations and shapes, into `stats_dir`."""
    from espnet3.systems.base.collect_stats import collect_stats as collect

    collect(config)


def train(config: DictConfig | dict[str, Any]) -> None:
    """Train the model and leave the mean of its best checkpoints in `exp_dir`.

    Goes on from the newest checkpoint where the same training was interrupted; does nothing where it is finished.

    Raises:
        ConfigError: a setting is wrong, or `exp_dir` holds an unfinished training with other settings.
        DataError: an utterance cannot be read.
        TryAgain: asked to stop; a checkpoint is written.
    """
    settings = read_config(TrainingConfig, config, "training_config")
    limit_threads(threads_each(settings.num_threads, settings.num_device))
    from espnet3.components.training.record import FOLDER, TrainingRecord, open_training

    exp_dir = Path(settings.exp_dir)
    with lease(exp_dir):
        for folder in (exp_dir, exp_dir / FOLDER):
            remove_leftovers(folder, nested=False)
        covered = {**stage_covered(config), **contents(settings)}
        record = TrainingRecord(fingerprint_of({"stage": stage_fingerprint(config), **covered}), covered)
        if not open_training(exp_dir, record, settings.trainer.resume, forced()):
            log.info("The training in %s is finished.", exp_dir)
            return
        # Only now, because it takes seconds.
        from espnet3.components.training.distributed import run_ranks
        from espnet3.systems.base.training_session import train_here

        work = partial(train_here, _leave_config(config, exp_dir), record.fingerprint)
        if settings.num_device > 1:
            run_ranks(work, settings.num_device)
        else:
            work()


def _leave_config(config: DictConfig | dict[str, Any], exp_dir: Path) -> TrainingConfig:
    """Write the config that infer and pack_model read; the settings under which the training itself reads the same."""
    from espnet3.systems.base.kept_files import keep_files

    plain = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    assert isinstance(plain, dict)
    kept = keep_files({str(key): value for key, value in plain.items()}, exp_dir)
    write_text(exp_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(kept)))
    return TrainingConfig.model_validate(kept)


def contents(settings: TrainingConfig) -> dict[str, str]:
    """Hashes of the manifests, statistics and other files that a training reads.

    They belong to its record: data that were made anew under the same settings are other data.
    """
    from espnet3.components.data.stats import stats_file

    paths = {"exp_dir", "data_dir", "stats_dir", "recipe_dir", "create_dataset", "dataset"}
    data = [reference.data_src_args for reference in (*settings.dataset.train, *settings.dataset.valid)]
    files = named_files([data, settings.model_dump(exclude=paths)], Path(settings.recipe_dir))
    statistics = named_files([str(stats_file(settings.stats_dir))], Path())
    named = {**files, **dict(zip(["the statistics"], statistics.values(), strict=False))}
    return {f"file:{path}": digest for path, digest in named.items()}
