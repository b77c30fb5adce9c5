"""The nine stages of the base System: config slots, log directories, what they depend on, what they leave behind.

`BaseSystem.stage_specs` is this table; a System with stages of its own, or whose stages read more, merges its own
entries over it. Logs of stages without a `log_dir` go to `training_config.exp_dir`, by the System's fallback.
"""

from collections.abc import Mapping
from dataclasses import replace

from espnet3.utils.stage_spec import StageSpec

TRAINING_DATA = ("training_config.dataset.train", "training_config.dataset.valid")
TRAINING_MANIFESTS = tuple(f"{{{split}.*.data_src_args.manifest}}" for split in TRAINING_DATA)

# Paths say where products are, not what they are; a tag names the experiment; test sets reach no weight.
_PATHS = ("exp_tag", "data_dir", "stats_dir", "recipe_dir")
_NOT_OF_TRAINING = (*_PATHS, "exp_dir", "create_dataset", "dataset.test")
_NOT_OF_INFERENCE = (*_PATHS, "inference_dir", "dataset.train", "dataset.valid")
_NOT_OF_METRICS = (*_NOT_OF_INFERENCE, "exp_dir", "worst_utterances")


def _in(slot: str, *keys: str) -> tuple[str, ...]:
    return tuple(f"{slot}.{key}" for key in keys)


_PUBLICATION = StageSpec(slots=("publication_config",))

STAGE_SPECS: Mapping[str, StageSpec] = {
    "create_dataset": StageSpec(
        slots=("training_config",),
        log_dir="training_config.data_dir",
        # A further test set from the same source makes no new data, and must not cost a new training.
        reads=("training_config.create_dataset", *TRAINING_DATA, "training_config.dataset.test.*.data_src"),
        outputs=(
            "{training_config.data_dir}",
            *TRAINING_MANIFESTS,
            "{training_config.dataset.test.*.data_src_args.manifest}",
        ),
    ),
    "collect_stats": StageSpec(
        slots=("training_config",),
        log_dir="training_config.stats_dir",
        reads=(*TRAINING_DATA, "training_config.features"),
        after=("create_dataset",),
        inputs=("{training_config.data_dir}", *TRAINING_MANIFESTS),
        outputs=(
            "{training_config.stats_dir}/train/feats_stats.npz",
            "{training_config.stats_dir}/train/feats_shape",
            "{training_config.stats_dir}/valid/feats_shape",
        ),
    ),
    "train": StageSpec(
        slots=("training_config",),
        log_dir="training_config.exp_dir",
        reads=("training_config",),
        ignores=_in("training_config", *_NOT_OF_TRAINING),
        after=("create_dataset", "collect_stats"),
        inputs=(*TRAINING_MANIFESTS, "{training_config.stats_dir}/train/feats_stats.npz"),
        outputs=("{training_config.exp_dir}/config.yaml", "{training_config.exp_dir}/averaged.safetensors"),
    ),
    "infer": StageSpec(
        slots=("inference_config",),
        log_dir="inference_config.inference_dir",
        reads=("inference_config",),
        ignores=_in("inference_config", *_NOT_OF_INFERENCE),
        after=("create_dataset", "train"),
        inputs=("{inference_config.exp_dir}", "{inference_config.dataset.test.*.data_src_args.manifest}"),
        outputs=("{inference_config.inference_dir}/{inference_config.dataset.test.*.name}",),
    ),
    "measure": StageSpec(
        slots=("metrics_config",),
        log_dir="metrics_config.inference_dir",
        reads=("metrics_config",),
        ignores=_in("metrics_config", *_NOT_OF_METRICS),
        after=("infer",),
        inputs=("{metrics_config.inference_dir}",),
        outputs=("{metrics_config.inference_dir}/metrics.json",),
    ),
    "pack_model": replace(
        _PUBLICATION, slots=("training_config", "publication_config"), log_dir="training_config.exp_dir"
    ),
    "upload_model": replace(_PUBLICATION, log_dir="training_config.exp_dir"),
    "pack_demo": _PUBLICATION,
    "upload_demo": _PUBLICATION,
}
