"""The targets of pack_model and upload_model; `BaseSystem` calls them. They live in `espnet3.publishing.model`."""

from typing import Any

from omegaconf import DictConfig


def pack_model(training_config: DictConfig, publication_config: DictConfig, system: type[Any] | None = None) -> None:
    """Make a folder of the trained model that can be published; see `publication_config.pack_model`.

    Args:
        training_config: the slot; its `exp_dir` holds the trained model.
        publication_config: the slot.
        system: the System class, which says of which task the model is; where left out, what the configs name does.

    Raises:
        ConfigError: a setting is wrong, or the pack would hold what is private or what no pack may.
        DataError: the experiment is not trained, or a file of it is damaged.
    """
    from espnet3.publishing import model

    model.pack_model(training_config, publication_config, system)


def upload_model(publication_config: DictConfig) -> None:
    """Upload what pack_model made to the model's repository on a Hub; see `publication_config.upload_model`.

    Raises:
        ConfigError: there is no token, or the Hub refuses it or the repository.
        DataError: there is no pack, or it is damaged.
        TryAgain: the Hub cannot be reached, is overloaded, or somebody else changed the repository.
    """
    from espnet3.publishing import model

    model.upload_model(publication_config)
