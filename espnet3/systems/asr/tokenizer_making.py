"""Where the tokenizer's file of a config is, and making it: what train_tokenizer does, and train where it was left out.

The file lies in a folder named by the contents of what it is made from, so it is up to date when it is there, and
experiments with other tokenizers or transcripts never meet. A file at the very path that the config says was put there
by somebody: it is taken as it is.
"""

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from espnet3.components.data.tokenizer import train_tokenizer, warn_of_missing
from espnet3.pipeline.paths import product_path
from espnet3.pipeline.settings import SPECS, product_key
from espnet3.systems.asr.stage_specs import STAGE_SPECS

log = logging.getLogger(__name__)


def make_tokenizer(config: DictConfig) -> None:
    """Make the tokenizer's file, unless one was given by hand.

    Raises:
        ConfigError: the tokenizer's options do not fit the transcripts.
        DataError: there is no text, or a manifest is missing.
    """
    given = OmegaConf.select(config, "tokenizer.path")
    if isinstance(given, str) and Path(given).is_file():
        log.info("%s was given by hand and is taken as it is; take it away to have one made.", given)
        warn_of_missing(config, ("train", "valid", "test"), why="it lacks or writes otherwise")
        return
    train_tokenizer(_located(config))


def with_tokenizer(config: DictConfig) -> DictConfig:
    """A copy of a training config whose tokenizer is where its file is, which is made first where it is missing.

    Raises:
        ConfigError: the tokenizer's options do not fit the transcripts.
        DataError: there is no text, or a manifest is missing.
    """
    located = _located(config)
    path = OmegaConf.select(located, "tokenizer.path")
    if isinstance(path, str) and path and not Path(path).exists():
        log.info("There is no tokenizer %s: making it from the training transcripts.", path)
        train_tokenizer(located)
    return located


def _located(config: DictConfig) -> DictConfig:
    given = OmegaConf.select(config, "tokenizer.path")
    if not isinstance(given, str) or not given:
        return config
    located: DictConfig = config.copy()
    name = product_key(STAGE_SPECS["train_tokenizer"], {"training_config": config, SPECS: STAGE_SPECS})
    located.tokenizer.path = product_path(given, name)
    return located
