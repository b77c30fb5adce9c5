"""Keys of upstream ESPnet3's own recipes that are called otherwise here, or are not there: what to write instead.

`known_keys` looks here for a key that no model of the slot has. A key that comes to this project leaves this table,
which a test sees to. Upstream's names are those of its release 202611 and of the recipes since.
"""

from collections.abc import Mapping

from espnet3.config.findings import Key

_LIGHTNING = "The training loop here is not Lightning's Trainer"
_BATCHES = "Set dataloader.batch_seconds (seconds of audio in a batch, over all devices) and dataloader.max_batch_size"
_ONE_OPTIMIZER = "There is one optimizer: optimizer: {_target_: torch.optim.AdamW, lr: 0.001}, and one scheduler"
_PACK = "A pack holds what a model needs to run, and nothing else"
_MODEL = "model: {_target_: ...}, such as espnet3.systems.asr.models.conformer_ctc.ConformerCTC"
_HANDED_OVER = "The model is given the whole samples"
_DATASET = "dataset has train, valid and test alone"
_DATASET_KEYS = {
    "dataset._target_": f"{_DATASET}; leave it out.",
    "dataset._recursive_": f"{_DATASET}; leave it out.",
    "dataset._convert_": f"{_DATASET}; leave it out.",
    "dataset.recipe_dir": "Set recipe_dir at the top.",
    "dataset.preprocessor": "Set preprocessor at the top of the training config.",
}
_PARALLEL_KEYS = {
    "parallel.env": "Shards run in processes of this machine, or as pods of a workflow; leave it out.",
    "parallel.n_workers": "Set parallel.workers, and parallel.shards to at least as many.",
    "parallel.options": "A cluster is described by its profile, k8s/profiles/<cluster>.yaml; leave it out.",
    "parallel.allow_overwrite_lock": "No lock is left behind; leave it out.",
}

UPSTREAM: Mapping[str, Mapping[str, str]] = {
    "training_config": {
        "task": f"ESPnet2's tasks are not built here. Name the model: {_MODEL}.",
        "fit": "Set trainer.resume to go on from a checkpoint, init_param.file for weights to begin with.",
        "init": "Parameters begin as their module makes them; set init_param.file for other weights.",
        "num_nodes": "A training runs on one node; set num_device for its devices.",
        "dataset_dir": "Give it to the builder: create_dataset: {<argument>: <folder>}; manifests are below data_dir.",
        "scheduler_interval": "A schedule goes by optimizer steps; leave it out.",
        "scheduler_monitor": "A schedule sees no score; choose one that goes by optimizer steps.",
        "optimizers": f"{_ONE_OPTIMIZER}.",
        "schedulers": f"{_ONE_OPTIMIZER}.",
        "parallel": "collect_stats takes num_workers: <processes>; a workflow spreads its shards.",
        "collect_stats_batch_size": "It does not change the statistics here; leave it out.",
        "collect_stats_train_mode": "Statistics are those of the features, without a model; leave it out.",
        "callbacks": "Set trainer.keep_checkpoints, trainer.early_stopping_patience, trainer.ema_decay.",
        **_DATASET_KEYS,
        "dataloader.train": f"{_BATCHES}, for training and validation.",
        "dataloader.valid": f"{_BATCHES}, for training and validation.",
        "dataloader.train.iter_factory": f"Batches are made by duration. {_BATCHES}.",
        "dataloader.valid.iter_factory": f"Batches are made by duration. {_BATCHES}.",
        "dataloader.collate_fn": "Batches are padded here; leave it out.",
        "dataloader.iter_factory": f"Batches are made by duration. {_BATCHES}.",
        "dataloader.batch_bins": f"{_BATCHES}.",
        "dataloader.batch_size": f"{_BATCHES}.",
        "dataloader.batch_type": f"Batches are made by duration. {_BATCHES}.",
        "dataloader.batch_distribution": f"{_BATCHES}.",
        "dataloader.shuffle": "Training batches come in a new order in each epoch; leave it out.",
        "dataloader.prefetch_factor": "Set dataloader.num_workers.",
        "dataloader.pin_memory": "Set dataloader.num_workers.",
        "trainer.devices": "Set num_device at the top.",
        "trainer.num_nodes": "A training runs on one node; set num_device for its devices.",
        "trainer.strategy": f"{_LIGHTNING}: with num_device above 1 it is data parallel. Leave it out.",
        "trainer.callbacks": "Set trainer.keep_checkpoints, trainer.early_stopping_patience, trainer.ema_decay.",
        "trainer.logger": "Losses go to the log and to TensorBoard files in exp_dir; leave it out.",
        "trainer.profiler": f"{_LIGHTNING}; leave it out.",
        "trainer.plugins": f"{_LIGHTNING}; leave it out.",
        "trainer.init": "Parameters begin as their module makes them; set init_param.file for other weights.",
        "trainer.gan": "There is one optimizer and one loss; models with a discriminator are not trained here.",
        "trainer.check_val_every_n_epoch": "Every epoch is validated; leave it out.",
        "trainer.val_check_interval": "Every epoch is validated; leave it out.",
        "trainer.num_sanity_val_steps": "There is no validation before the first epoch; leave it out.",
        "trainer.limit_train_batches": "Set trainer.max_steps, or train on a smaller manifest.",
        "trainer.limit_val_batches": "Validate on a smaller manifest.",
        "trainer.overfit_batches": "Train on a smaller manifest.",
        "trainer.fast_dev_run": "Set trainer.max_steps.",
        "trainer.min_epochs": "Set trainer.max_epochs.",
        "trainer.max_time": "Set trainer.max_epochs or trainer.max_steps.",
        "trainer.gradient_clip_algorithm": "Gradients are clipped by their norm: trainer.gradient_clip_val.",
        "trainer.deterministic": "Set num_threads: a training of the same seed then repeats bit by bit.",
        "trainer.benchmark": f"{_LIGHTNING}; leave it out.",
        "trainer.detect_anomaly": "A step whose gradients are not finite is left out and logged; leave it out.",
        "trainer.sync_batchnorm": f"{_LIGHTNING}; leave it out.",
        "trainer.default_root_dir": "Set exp_dir at the top.",
        "trainer.enable_checkpointing": "Set trainer.keep_checkpoints.",
        "trainer.enable_progress_bar": "Set trainer.log_every_n_steps.",
        "trainer.enable_model_summary": f"{_LIGHTNING}; leave it out.",
        "trainer.use_distributed_sampler": "Batches are dealt out to the devices here; leave it out.",
        "trainer.reload_dataloaders_every_n_epochs": "Batches are made anew in each epoch; leave it out.",
    },
    "inference_config": {
        **_DATASET_KEYS,
        **_PARALLEL_KEYS,
        "input_key": f"{_HANDED_OVER}; leave it out.",
        "idx_key": "Outputs are named by the utterance's id; leave it out.",
        "batch_size": "Set batch_seconds: most seconds of audio decoded at once.",
        "contract": f"{_HANDED_OVER} and returns named outputs; list those in output_keys.",
        "output_fn": "The model returns named outputs itself; list those in output_keys.",
        "provider": "Set parallel: {shards: ..., workers: ...}; leave provider out.",
        "runner": "Set parallel: {shards: ..., workers: ...}; leave runner out.",
        "dataset_dir": "Give it to the dataset: data_src_args: {manifest: ...}.",
    },
    "metrics_config": {
        **_DATASET_KEYS,
        "dataset_artifacts": "Metrics are given columns of the manifest: inputs: {ref: dataset:text}; leave it out.",
        "dataset_dir": "Give it to the dataset: data_src_args: {manifest: ...}.",
    },
    "publication_config": {
        "pack_model.out_dir": "Write pack_dir.",
        "pack_model.allow_overwrite": "A pack is replaced as a whole where it changed; leave it out.",
        "pack_model.include": f"{_PACK}; name modules of the recipe that it needs in code.",
        "pack_model.exclude": f"{_PACK}; leave it out.",
        "pack_model.files": f"{_PACK}; name its weights in checkpoint, modules of the recipe in code.",
        "pack_model.yaml_files": f"{_PACK}; leave it out.",
        "pack_model.inference_dir": "Set inference_dir at the top.",
        "pack_model.readme": "The card is written from description, data, limits, language and licence.",
        "pack_model.readme_context": "The card is written from description, data, limits, language and licence.",
        "pack_model.include_model_detail": "The card tells the size; leave it out.",
        "pack_demo.out_dir": "Write pack_dir.",
        "pack_demo.include": "Name audio files in examples.",
        "pack_demo.exclude": "A demo holds what it needs alone; leave it out.",
        "pack_demo.requirements": "A demo pins what it needs; leave it out.",
        "upload_model.hf_repo": "Write repo: owner/name.",
        "upload_model.update": "A repository that is there is updated; leave it out.",
        "upload_model.create": "A repository that is not there is made; leave it out.",
        "upload_demo.hf_repo": "Write repo: owner/name.",
        "upload_demo.organization": "Write repo: owner/name.",
        "upload_demo.repo_type": "A demo is a Space; leave it out.",
        "upload_demo.update": "A repository that is there is updated; leave it out.",
        "upload_demo.create": "A repository that is not there is made; leave it out.",
    },
}
"""{slot: {dotted key: what to write instead}}."""


def advice_for(slot: str, key: Key) -> str | None:
    """What to write instead of a key of upstream's; None for any other key."""
    return UPSTREAM.get(slot, {}).get(".".join(key))
