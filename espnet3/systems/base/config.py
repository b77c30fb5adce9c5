"""The config slots of the base System: which keys there are, what they mean, in which unit, and what they default to.

`espnet3.config.checks` reads these models to find missing keys, near misses and wrong types before the first
stage starts; the stage functions read their settings through `read_config`. Keys that are not listed here are the
recipe's own and are left alone. What stands behind a `_target_` is described by the class that it names.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from espnet3.config.sections import DataConfig, Dataset, DatasetReference, Folder, Section, Target, read_config
from espnet3.systems.base.publication_config import PublicationConfig

__all__ = [
    "Dataloader",
    "Dataset",
    "DatasetReference",
    "InferenceConfig",
    "MetricReference",
    "MetricsConfig",
    "Parallel",
    "PublicationConfig",
    "Section",
    "Target",
    "Trainer",
    "TrainingConfig",
    "read_config",
]


Languages = Annotated[str | list[str], AfterValidator(lambda given: [given] if isinstance(given, str) else given)]
"""One code, or a list of them; a list in any case once it is read."""


class Dataloader(Section):
    """How utterances become batches."""

    batch_seconds: PositiveFloat = 60.0
    """Most seconds of (padded) audio in a batch, over all devices together; in a validation, on each of them."""
    max_batch_size: PositiveInt = 64
    """Most utterances in a batch, over all devices together; in a validation, on each of them."""
    num_buckets: PositiveInt = 6
    """Duration buckets; more pad less and mix less."""
    jitter: float = Field(default=0.1, ge=0)
    """Random factor on durations before they are sorted into buckets: 0.1 is ±10 %."""
    num_workers: NonNegativeInt = 1
    """Processes that prepare batches; 0 prepares them in the training process."""


class Trainer(Section):
    """How long and how to train."""

    max_epochs: PositiveInt = 50
    max_steps: int = -1
    """Stop after so many optimizer steps; -1 for no such limit."""
    accelerator: str = "auto"
    precision: str = "auto"
    """A Lightning precision; `auto` is bf16-mixed on a GPU that has it, 16-mixed on an older one, 32-true on a CPU."""
    gradient_clip_val: float | None = 5.0
    accumulate_grad_batches: PositiveInt = 1
    """Batches of one optimizer step, whose gradients are as those of one batch of all their utterances."""
    early_stopping_patience: PositiveInt | None = None
    """Stop after so many epochs without a better validation score."""
    keep_checkpoints: PositiveInt = 5
    """How many of the best checkpoints to keep; their weights are averaged at the end."""
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Validate and keep an exponential moving average of the weights that forgets by this factor each step; needs
    weights in 32 bits."""
    every_n_minutes: PositiveFloat = 10.0
    """Time between checkpoints inside an epoch: what a vanished node can cost."""
    log_every_n_steps: PositiveInt = 10
    resume: Literal["same", "continue"] = "same"
    """`same` resumes only a training of the same config; `continue` goes on from its checkpoint under another."""

    @field_validator("ema_decay")
    @classmethod
    def _averaged_in_32_bits(cls, decay: float | None, info: ValidationInfo) -> float | None:
        """In 16 bits, what a step adds to an average is less than its last digit: the average would stand still."""
        precision = info.data.get("precision", "auto")
        if decay is not None and precision.endswith("-true") and precision != "32-true":
            raise PydanticCustomError(
                "ema_decay",
                "goes with weights in 32 bits, not with trainer.precision {precision}. Set that to auto, 32-true, "
                "bf16-mixed or 16-mixed, or leave ema_decay out",
                {"precision": precision},
            )
        return decay


class InitParam(Section):
    """Weights to begin with, for fine-tuning."""

    file: str
    """A safetensors file: another experiment's `averaged.safetensors`, or a pack's `model.safetensors`."""
    exclude: list[str] = Field(default_factory=list)
    """Patterns of parameters that begin at random all the same, such as `ctc.*` for other tokens."""


class TrainingConfig(DataConfig):
    """`training_config`: create_dataset, collect_stats, train and pack_model read it, other slots inherit its paths."""

    exp_tag: str = "default"
    """Name of the experiment."""
    exp_dir: Folder
    """Where train writes."""
    stats_dir: Folder
    """Where collect_stats writes."""
    seed: NonNegativeInt = 0
    language: Languages = Field(default_factory=list)
    """ISO 639 code of the corpus's language, such as tr, or a list of them; metrics fold case by it."""
    num_threads: PositiveInt | None = None
    """Threads of numpy and torch in a stage; every processor where left out. A fixed number gives bit-exact results."""
    num_device: PositiveInt = 1
    """Devices that train together in one process group."""
    num_workers: PositiveInt = 1
    """Processes of collect_stats."""
    stage_log_mode: Literal["rank0", "per_rank"] = "rank0"
    features: Target
    """Audio to frames, e.g. espnet3.components.data.features.LogMel."""
    augment: list[Target] = Field(default_factory=list)
    """On the waveform of a training utterance, in this order, e.g. SpeedPerturb, Gain, AddNoise."""
    feature_augment: list[Target] = Field(default_factory=list)
    """On the frames of a training utterance, in this order, e.g. SpecAugment."""
    preprocessor: Target
    """A sample to the arrays that the model takes; is given `features`, the augmentations and what its System adds."""
    model: Target
    init_param: InitParam | None = None
    freeze_param: list[str] = Field(default_factory=list)
    """Patterns of parameters that are not trained, such as `subsampling.*`."""
    optimizer: Target
    scheduler: Target | None = None
    dataloader: Dataloader = Field(default_factory=Dataloader)
    trainer: Trainer = Field(default_factory=Trainer)
    best_model_criterion: tuple[str, Literal["min", "max"]] = ("valid/loss", "min")
    """Which logged value says how good a checkpoint is, and which way."""


class Parallel(Section):
    """How a stage's items are spread over processes."""

    shards: PositiveInt = 1
    """Pieces that are run, and can be repeated, on their own. The merged files do not depend on it."""
    workers: PositiveInt = 1
    """Processes that run shards at a time."""


class InferenceConfig(Section):
    """`inference_config`: infer reads it."""

    exp_tag: str = "default"
    exp_dir: Folder
    """The training's directory: its config, weights and statistics."""
    inference_dir: Folder
    """Where infer writes: a folder for each test set."""
    recipe_dir: str = "."
    """Where the recipe's code is."""
    dataset: Dataset
    """Its `test` list is decoded; that of the training config where left out."""
    model: Target
    """What turns samples into named outputs, e.g. espnet3.systems.asr.inference.Recogniser."""
    output_keys: list[str] = Field(default_factory=lambda: ["hyp"])
    """Outputs that become `<key>.scp`."""
    output_artifacts: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Outputs written as files of their own: {key: {type: npy | wav | json, ...}}; the SCP holds the path."""
    batch_seconds: PositiveFloat = 60.0
    """Most seconds of audio decoded at once."""
    num_threads: PositiveInt | None = None
    parallel: Parallel = Field(default_factory=Parallel)


class MetricReference(Section):
    """One metric and where its inputs come from."""

    metric: Target
    inputs: dict[str, str] = Field(default_factory=lambda: {"ref": "dataset:text", "hyp": "hyp"})
    """`dataset:<column>` takes a manifest's column, any other value `<value>.scp` of the inference."""


class MetricsConfig(Section):
    """`metrics_config`: measure reads it."""

    exp_tag: str = "default"
    exp_dir: Folder | None = None
    """The training's directory, for the loss curve of the report."""
    inference_dir: Folder
    """Where infer wrote, and measure writes."""
    recipe_dir: str = "."
    """Where the recipe's code is."""
    dataset: Dataset
    """Its `test` list is measured; that of the training config where left out."""
    metrics: list[MetricReference]
    language: Languages = Field(default_factory=list)
    """ISO 639 code of the references' language, or a list of them; that of the training config where left out."""
    seed: NonNegativeInt = 0
    """Of the bootstrap."""
    worst_utterances: NonNegativeInt = 10
    """How many the report lists with their audio."""
