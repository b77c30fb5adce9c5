"""Where a config's statistics are: in a folder of `stats_dir` that is named by the contents of what they are made from.

collect_stats writes there, and train reads there, so that experiments with other features or data that share a
`stats_dir` never meet. The stages' specs say the same of the pipeline (`{@collect_stats}`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.pipeline.settings import SPECS, product_key
from espnet3.systems.base.stage_specs import STAGE_SPECS


def stats_key(config: DictConfig | Mapping[str, Any]) -> str:
    """The name of a training config's statistics: of its features, and of the manifests of train and valid."""
    slots = {"training_config": config, SPECS: STAGE_SPECS}
    return product_key(STAGE_SPECS["collect_stats"], slots)


def with_located_stats(config: DictConfig | Mapping[str, Any]) -> DictConfig:
    """A copy of a training config whose `stats_dir` is the folder of its own statistics."""
    located = OmegaConf.create(dict(config))
    located["stats_dir"] = str(Path(located["stats_dir"]) / stats_key(config))
    return located
