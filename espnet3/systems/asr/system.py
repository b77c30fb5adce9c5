"""ASRSystem: speech recognition, which is the base System with a tokenizer made from the training transcripts.

Recipes name it in their run.py, or subclass it in their src/system.py.
"""

from collections.abc import Mapping
from typing import ClassVar

from espnet3.systems.asr.config import ASRTrainingConfig
from espnet3.systems.asr.stage_specs import STAGE_SPECS
from espnet3.systems.base.config import Section
from espnet3.systems.base.stage import StageSpec
from espnet3.systems.base.system import BaseSystem


class ASRSystem(BaseSystem):
    """Speech recognition: the base stages and train_tokenizer, between create_dataset and collect_stats.

    A recipe whose list of stages lacks train_tokenizer has its tokenizer made by train.
    """

    stage_specs: ClassVar[Mapping[str, StageSpec]] = STAGE_SPECS
    config_models: ClassVar[Mapping[str, type[Section]]] = {
        **BaseSystem.config_models,
        "training_config": ASRTrainingConfig,
    }

    def train_tokenizer(self) -> None:
        """Make the tokenizer's file from the training transcripts."""
        config = self._need("training_config", "train_tokenizer")
        from espnet3.systems.asr.tokenizer_making import make_tokenizer

        make_tokenizer(config)

    def train(self) -> None:
        """Train the model under `exp_dir`, with a tokenizer that is made first where there is none."""
        config = self._need("training_config", "train")
        from espnet3.systems.asr.tokenizer_making import with_tokenizer
        from espnet3.systems.asr.transcript_lengths import check_transcripts
        from espnet3.systems.base.training import train

        train(with_tokenizer(config), check_transcripts)
