"""The stages of the ASR System: those of the base System, and train_tokenizer between create_dataset and collect_stats.

The tokenizer's file lies in a folder named by the contents of what it is made from, beside the path that the config
says, unless somebody has put a file at that path.
"""

from collections.abc import Mapping
from dataclasses import replace

from espnet3.systems.base.stage import StageSpec
from espnet3.systems.base.stage_specs import STAGE_SPECS as BASE_SPECS

_TOKENIZER = "{training_config.tokenizer.path@train_tokenizer}"
_PATH = "training_config.tokenizer.path"
_MADE_FROM = ("training_config.dataset.train", "training_config.tokenizer")
_TRAIN = BASE_SPECS["train"]

STAGE_SPECS: Mapping[str, StageSpec] = {
    **BASE_SPECS,
    "train_tokenizer": StageSpec(
        slots=("training_config",),
        log_dir="training_config.data_dir",
        reads=_MADE_FROM,
        ignores=(_PATH,),
        named_by=_MADE_FROM,
        after=("create_dataset",),
        inputs=("{training_config.dataset.train.*.data_src_args.manifest}",),
        outputs=(_TOKENIZER,),
    ),
    "train": replace(
        _TRAIN,
        ignores=(*_TRAIN.ignores, _PATH),
        after=("create_dataset", "train_tokenizer", "collect_stats"),
        inputs=(*_TRAIN.inputs, _TOKENIZER, "{training_config.auxiliary_tokenizer.path}"),
        can_make=(_TOKENIZER,),
    ),
}
