"""The nine stages of the base System: config slots, log directories, what they depend on, what they leave behind.

`BaseSystem.stage_specs` is this table; a System with stages of its own, or whose stages read more, merges its own
entries over it. Logs of stages without a `log_dir` go to `training_config.exp_dir`, by the System's fallback.
"""

from collections.abc import Mapping

from espnet3.pipeline.spec import StageSpec

TRAINING_DATA = ("training_config.dataset.train", "training_config.dataset.valid")
TRAINING_MANIFESTS = tuple(f"{{{split}.*.data_src_args.manifest}}" for split in TRAINING_DATA)

# Paths say where products are, not what they are; a tag names the experiment; test sets reach no weight.
_PATHS = ("exp_tag", "data_dir", "stats_dir", "recipe_dir")
_NOT_OF_TRAINING = (*_PATHS, "exp_dir", "create_dataset", "dataset.test", "language")
_NOT_OF_INFERENCE = (*_PATHS, "inference_dir", "dataset.train", "dataset.valid")
_NOT_OF_METRICS = (*_NOT_OF_INFERENCE, "exp_dir", "worst_utterances")


def _in(slot: str, *keys: str) -> tuple[str, ...]:
    return tuple(f"{slot}.{key}" for key in keys)


STATS = "{training_config.stats_dir}/{@collect_stats}"
_STATISTICS = f"{STATS}/train/feats_stats.npz"
INFERRED = "{inference_config.inference_dir}/{inference_config.dataset.test.*.name}"
_SCORED = "{metrics_config.inference_dir}/{metrics_config.dataset.test.*.name}"
_EXPERIMENT = "{training_config.exp_dir}"
_TRAINED = (f"{_EXPERIMENT}/config.yaml", f"{_EXPERIMENT}/averaged.safetensors", f"{_EXPERIMENT}/files/*/*")
_PACKED_MODEL = "{publication_config.pack_model.pack_dir}/meta.json"
_PACKED_DEMO = "{publication_config.pack_demo.pack_dir}/app.py"

STAGE_SPECS: Mapping[str, StageSpec] = {
    "create_dataset": StageSpec(
        slots=("training_config",),
        log_dir="training_config.data_dir",
        # A further test set from the same source makes no new data.
        reads=("training_config.create_dataset", *TRAINING_DATA, "training_config.dataset.test.*.data_src"),
        exports=("DatasetBuilder",),
        folders=("{training_config.data_dir}",),
        outputs=(*TRAINING_MANIFESTS, "{training_config.dataset.test.*.data_src_args.manifest}"),
    ),
    "collect_stats": StageSpec(
        slots=("training_config",),
        log_dir="training_config.stats_dir",
        reads=(*TRAINING_DATA, "training_config.features"),
        named_by=(*TRAINING_DATA, "training_config.features"),
        after=("create_dataset",),
        inputs=("{training_config.data_dir}", *TRAINING_MANIFESTS),
        outputs=(_STATISTICS, f"{STATS}/train/feats_shape", f"{STATS}/valid/feats_shape"),
        partial_outputs=(f"{STATS}/.unfinished/shards.json",),
    ),
    "train": StageSpec(
        slots=("training_config",),
        log_dir="training_config.exp_dir",
        reads=("training_config",),
        ignores=_in("training_config", *_NOT_OF_TRAINING),
        after=("create_dataset", "collect_stats"),
        inputs=(
            *TRAINING_MANIFESTS,
            _STATISTICS,
            "{training_config.augment.*.files.*}",
            "{training_config.init_param.file}",
        ),
        outputs=_TRAINED,
    ),
    "infer": StageSpec(
        slots=("inference_config",),
        log_dir="inference_config.inference_dir",
        reads=("inference_config",),
        ignores=_in("inference_config", *_NOT_OF_INFERENCE),
        after=("create_dataset", "train"),
        inputs=("{inference_config.exp_dir}", "{inference_config.dataset.test.*.data_src_args.manifest}"),
        folders=(INFERRED,),
        outputs=(f"{INFERRED}/*.scp", f"{INFERRED}/*/"),
        partial_outputs=("{inference_config.inference_dir}/.unfinished/shards.json",),
    ),
    "measure": StageSpec(
        slots=("metrics_config",),
        log_dir="metrics_config.inference_dir",
        reads=("metrics_config",),
        ignores=_in("metrics_config", *_NOT_OF_METRICS),
        after=("infer",),
        inputs=(
            "{metrics_config.inference_dir}",
            "{metrics_config.dataset.test.*.data_src_args.manifest}",
            f"{_SCORED}/*.scp",
            f"{_SCORED}/*/",
        ),
        outputs=("{metrics_config.inference_dir}/metrics.json",),
    ),
    "pack_model": StageSpec(
        slots=("training_config", "publication_config"),
        log_dir="training_config.exp_dir",
        reads=_in("publication_config", "exp_tag", "pack_model", "model", "upload_model.repo"),
        ignores=_in("publication_config", "pack_model.pack_dir", "model.exp_dir"),
        after=("train", "measure"),
        inputs=(*_TRAINED, "{publication_config.inference_dir}/metrics*.json"),
        folders=(_PACKED_MODEL,),
        outputs=("{publication_config.pack_model.pack_dir}",),
    ),
    "upload_model": StageSpec(
        slots=("publication_config",),
        log_dir="training_config.exp_dir",
        reads=_in("publication_config", "upload_model"),
        after=("pack_model",),
        inputs=(_PACKED_MODEL, "{publication_config.pack_model.pack_dir}/SHA256SUM*"),
    ),
    "pack_demo": StageSpec(
        slots=("publication_config",),
        log_dir="training_config.exp_dir",
        reads=_in("publication_config", "pack_demo", "upload_model.repo"),
        ignores=_in("publication_config", "pack_demo.pack_dir"),
        after=("pack_model",),
        inputs=(_PACKED_MODEL, "{publication_config.pack_model.pack_dir}/SHA256SUM*"),
        folders=(_PACKED_DEMO,),
        outputs=("{publication_config.pack_demo.pack_dir}",),
    ),
    "upload_demo": StageSpec(
        slots=("publication_config",),
        log_dir="training_config.exp_dir",
        reads=_in("publication_config", "upload_demo"),
        after=("pack_demo",),
        inputs=(_PACKED_DEMO, "{publication_config.pack_demo.pack_dir}/*"),
    ),
}
