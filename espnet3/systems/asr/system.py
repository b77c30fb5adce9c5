"""ASRSystem: speech recognition, which is the base System with a tokenizer made from the training transcripts.

Recipes name it in their run.py, or subclass it in their src/system.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from espnet3.systems.asr.config import ASRTrainingConfig
from espnet3.systems.base.config import Section
from espnet3.systems.base.stage import StageSpec
from espnet3.systems.base.system import BaseSystem

_TOKENIZER = "{training_config.tokenizer.path}"


def _stage_specs() -> Mapping[str, StageSpec]:
    base = BaseSystem.stage_specs
    train_tokenizer = StageSpec(
        slots=("training_config",),
        log_dir="training_config.data_dir",
        reads=("training_config.dataset.train", "training_config.tokenizer"),
        after=("create_dataset",),
        inputs=("{training_config.dataset.train.*.data_src_args.manifest}",),
        outputs=(_TOKENIZER,),
    )
    train = replace(
        base["train"],
        after=("create_dataset", "train_tokenizer", "collect_stats"),
        inputs=(*base["train"].inputs, _TOKENIZER, "{training_config.auxiliary_tokenizer.path}"),
        can_make=(_TOKENIZER,),
    )
    return {**base, "train_tokenizer": train_tokenizer, "train": train}


class ASRSystem(BaseSystem):
    """Speech recognition: the base stages and train_tokenizer, between create_dataset and collect_stats.

    A recipe whose list of stages lacks train_tokenizer has its tokenizer made by train.
    """

    stage_specs: ClassVar[Mapping[str, StageSpec]] = _stage_specs()
    config_models: ClassVar[Mapping[str, type[Section]]] = {
        **BaseSystem.config_models,
        "training_config": ASRTrainingConfig,
    }

    def train_tokenizer(self) -> None:
        """Make the tokenizer's file from the training transcripts."""
        config = self._need("training_config", "train_tokenizer")
        from espnet3.components.data.tokenizer import train_tokenizer

        train_tokenizer(config)

    def train(self) -> None:
        """Train the model under `exp_dir`, with a tokenizer that is made first where there is none."""
        config = self._need("training_config", "train")
        from espnet3.systems.asr.tokenizer_making import make_missing_tokenizer

        make_missing_tokenizer(config)
        super().train()
