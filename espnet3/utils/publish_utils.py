"""The targets of pack_model and upload_model; `BaseSystem` calls them. What they do is in `espnet3.publishing`."""

from omegaconf import DictConfig


def pack_model(training_config: DictConfig, publication_config: DictConfig, system: str = "") -> None:
    """Make a folder of the trained model that can be published; see `publication_config.pack_model`.

    Args:
        training_config: the slot; its `exp_dir` holds the trained model.
        publication_config: the slot.
        system: name of the System class, for `meta.json`.

    Raises:
        ConfigError: a setting is wrong, or the pack would hold what is private or what no pack may.
        DataError: the experiment is not trained, or a file of it is damaged.
    """
    from espnet3.publishing import pack_model

    pack_model.pack_model(training_config, publication_config, system)


def upload_model(publication_config: DictConfig) -> None:
    """Upload what pack_model made to the model's repository on a Hub; see `publication_config.upload_model`.

    Raises:
        ConfigError: there is no token, or the Hub refuses it or the repository.
        DataError: there is no pack, or it is damaged.
        TryAgain: the Hub cannot be reached, is overloaded, or somebody else changed the repository.
    """
    from espnet3.publishing import upload

    upload.upload_model(publication_config)
