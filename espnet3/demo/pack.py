"""The targets of pack_demo and upload_demo, which this version does not have yet; `BaseSystem` calls them."""

from typing import NoReturn

from omegaconf import DictConfig

from espnet3.utils.publish_utils import not_built


def pack_demo(publication_config: DictConfig) -> NoReturn:
    """Refuse.

    Raises:
        ConfigError: always.
    """
    raise not_built("pack_demo")


def upload_demo(publication_config: DictConfig) -> NoReturn:
    """Refuse.

    Raises:
        ConfigError: always.
    """
    raise not_built("upload_demo")
