"""BaseSystem: binds the config slots to the nine stage methods.

A recipe's run.py and the container entrypoints build one System and hand it to
`espnet3.utils.stages_utils.run_stages`. A stage is a method without arguments: it takes its settings from the configs
alone and imports what it needs when it is called, so that importing a System costs next to nothing. What a stage does
is in the module that its method names. Subclasses override stages and add their own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from espnet3.config.slot_names import SLOTS
from espnet3.errors import ConfigError
from espnet3.pipeline.spec import ProductCheck
from espnet3.systems.base.config import InferenceConfig, MetricsConfig, PublicationConfig, Section, TrainingConfig
from espnet3.systems.base.stage import StageSpec
from espnet3.systems.base.stage_specs import STAGE_SPECS

ALIASES = ("train_config", "infer_config")
"""Other names of `training_config` and `inference_config`."""
Config = DictConfig | dict[str, Any] | None


class BaseSystem:
    """The common stage wrapper.

    Args:
        training_config: read by create_dataset, collect_stats, train, pack_model.
        inference_config: read by infer.
        metrics_config: read by measure.
        publication_config: read by pack_model, upload_model, pack_demo, upload_demo.
        stage_log_mapping: log directories by stage, as references such as `training_config.exp_dir`, where the table of
            `stage_specs` is not wanted.

    Raises:
        ConfigError: `stage_log_mapping` names an unknown stage, or something that is not a reference into a slot.
    """

    stage_specs: ClassVar[Mapping[str, StageSpec]] = STAGE_SPECS
    config_models: ClassVar[Mapping[str, type[Section]]] = {
        "training_config": TrainingConfig,
        "inference_config": InferenceConfig,
        "metrics_config": MetricsConfig,
        "publication_config": PublicationConfig,
    }

    # DictConfig, or None where not given; Any, so that a recipe's stages read their keys without asking each time.
    training_config: Any
    inference_config: Any
    metrics_config: Any
    publication_config: Any

    def __init__(
        self,
        training_config: Config = None,
        inference_config: Config = None,
        metrics_config: Config = None,
        publication_config: Config = None,
        stage_log_mapping: Mapping[str, str] | None = None,
    ) -> None:
        self.training_config = _as_config(training_config, "training_config")
        self.inference_config = _as_config(inference_config, "inference_config")
        self.metrics_config = _as_config(metrics_config, "metrics_config")
        self.publication_config = _as_config(publication_config, "publication_config")
        self.stage_log_mapping = dict(stage_log_mapping or {})
        for stage, reference in self.stage_log_mapping.items():
            self._check_log_reference(stage, reference)

    @property
    def train_config(self) -> Any:
        """Another name of `training_config`."""
        return self.training_config

    @train_config.setter
    def train_config(self, config: Config) -> None:
        self.training_config = _as_config(config, "training_config")

    @property
    def infer_config(self) -> Any:
        """Another name of `inference_config`."""
        return self.inference_config

    @infer_config.setter
    def infer_config(self, config: Config) -> None:
        self.inference_config = _as_config(config, "inference_config")

    @property
    def exp_dir(self) -> Path:
        """The experiment's directory, `training_config.exp_dir`.

        Raises:
            ConfigError: there is none.
        """
        directory = self._lookup("training_config.exp_dir")
        if directory is None:
            raise ConfigError("This System has no exp_dir: give it a training_config with the key exp_dir.")
        return Path(directory)

    def create_dataset(self) -> None:
        """Make the manifests of the recipe's datasets under `data_dir`."""
        config = self._need("training_config", "create_dataset")
        from espnet3.systems.base.create_dataset import create_dataset

        create_dataset(config)

    def collect_stats(self) -> None:
        """Collect feature statistics and shapes under `stats_dir`."""
        config = self._need("training_config", "collect_stats")
        from espnet3.systems.base.training import collect_stats

        collect_stats(config)

    def train(self) -> None:
        """Train the model under `exp_dir`."""
        config = self._need("training_config", "train")
        from espnet3.systems.base.training import train

        train(config)

    def infer(self) -> None:
        """Decode the test sets under `inference_dir`."""
        config = self._need("inference_config", "infer")
        from espnet3.systems.base.inference import infer

        infer(config)

    def measure(self) -> None:
        """Score what infer wrote, and write metrics.json and the report beside it."""
        config = self._need("metrics_config", "measure")
        from espnet3.systems.base.metric import measure

        measure(config)

    def pack_model(self) -> None:
        """Make a folder of the trained model that can be published."""
        training_config = self._need("training_config", "pack_model")
        publication_config = self._need("publication_config", "pack_model")
        from espnet3.utils.publish_utils import pack_model

        pack_model(training_config, publication_config, type(self))

    def upload_model(self) -> None:
        """Publish what pack_model made."""
        config = self._need("publication_config", "upload_model")
        from espnet3.utils.publish_utils import upload_model

        upload_model(config)

    def pack_demo(self) -> None:
        """Make a folder of the demo that can be published."""
        config = self._need("publication_config", "pack_demo")
        from espnet3.demo.pack import pack_demo

        pack_demo(config)

    def upload_demo(self) -> None:
        """Publish what pack_demo made."""
        config = self._need("publication_config", "upload_demo")
        from espnet3.demo.pack import upload_demo

        upload_demo(config)

    def log_directory(self, stage: str) -> Path:
        """Where the log of `stage` goes: as `stage_log_mapping` says, or else its spec.

        Where that has no value, it is `training_config.exp_dir`, and where there is none either, `logs` in the working
        directory.

        Raises:
            ConfigError: the reference leads to an interpolation that cannot be resolved.
        """
        reference = self.stage_log_mapping.get(stage) or self.stage_specs.get(stage, StageSpec()).log_dir
        directory = (reference and self._lookup(reference)) or self._lookup("training_config.exp_dir")
        return Path(directory) if directory else Path.cwd() / "logs"

    def next_backup(self, stage: str) -> Path | None:
        """Where what `stage` has made goes when it starts anew under other settings; None where it is replaced."""
        resume = self._lookup("training_config.trainer.resume")
        directory = self._lookup("training_config.exp_dir")
        if stage != "train" or directory is None or resume == "continue":
            return None
        from espnet3.components.training.record import next_backup

        return next_backup(Path(directory))

    def check_products(self, stage: str) -> ProductCheck:
        """Whether the recordings are those that create_dataset has checked."""
        if stage != "create_dataset" or self.training_config is None:
            return ProductCheck()
        from espnet3.systems.base.recordings import check_recordings

        return check_recordings(self.training_config)

    def backups(self, stage: str) -> list[Path]:
        """What `stage` has put away so far, oldest first."""
        directory = self._lookup("training_config.exp_dir")
        if stage != "train" or directory is None:
            return []
        from espnet3.components.training.record import backups_in

        return backups_in(Path(directory))

    def _lookup(self, reference: str) -> str | None:
        slot, _, key = reference.partition(".")
        config = getattr(self, slot)
        if config is None:
            return None
        try:
            value = OmegaConf.select(config, key)
        except OmegaConfBaseException as error:
            raise ConfigError(f"{reference} does not resolve: {error}") from error
        return None if value is None else str(value)

    def _need(self, slot: str, stage: str) -> DictConfig:
        config: DictConfig | None = getattr(self, slot)
        if config is None:
            raise ConfigError(f"{stage} needs {slot}: pass it to {type(self).__name__}, or --{slot} FILE to run.py.")
        return config

    def _check_log_reference(self, stage: str, reference: str) -> None:
        if not callable(getattr(type(self), stage, None)):
            stages = ", ".join(self.stage_specs)
            raise ConfigError(f"stage_log_mapping: {type(self).__name__} has no stage {stage!r}; its stages: {stages}.")
        slot, _, key = str(reference).partition(".")
        if slot not in (*SLOTS, *ALIASES) or not key:
            raise ConfigError(
                f"stage_log_mapping.{stage}: {reference!r} is not a reference into a config slot; write SLOT.KEY, such "
                f"as training_config.exp_dir, with one of the slots {', '.join((*SLOTS, *ALIASES))}."
            )


def _as_config(config: Config, slot: str) -> DictConfig | None:
    if config is None or isinstance(config, DictConfig):
        return config
    if not isinstance(config, Mapping):
        raise ConfigError(
            f"{slot} must be a mapping or an OmegaConf DictConfig, not {type(config).__name__} ({config!r})."
        )
    return OmegaConf.create(dict(config))
