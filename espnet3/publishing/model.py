"""pack_model and upload_model: a trained model as a folder for the Hub, and on its way there.

`espnet3.utils.publish_utils` hands both to `BaseSystem`. How a pack is made is in `espnet3.systems.base.publication`;
here it gets its card, and what is private is found.
"""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from espnet3.packs.pack import read_pack
from espnet3.publishing.difference import local_files, refuse_strays
from espnet3.publishing.privacy import refuse_private
from espnet3.publishing.upload import upload
from espnet3.systems.base.config import PublicationConfig, read_config


def pack_model(training_config: DictConfig, publication_config: DictConfig, system: type[Any] | None = None) -> None:
    """See `espnet3.utils.publish_utils.pack_model`."""
    # The image that uploads has none of what these need.
    from espnet3.publishing.card import write_card
    from espnet3.systems.base.publication import new_pack

    with new_pack(training_config, publication_config, system) as pack:
        write_card(pack)
        refuse_private(pack.dir)


def upload_model(publication_config: DictConfig) -> None:
    """See `espnet3.utils.publish_utils.upload_model`."""
    settings = read_config(PublicationConfig, publication_config, "publication_config")
    pack = read_pack(Path(settings.pack_model.pack_dir), trust_code=True)
    refuse_strays(local_files(pack.dir), pack.members, str(pack.dir), "pack_model")
    if settings.upload_model.repo is not None:
        refuse_private(pack.dir, members=pack.members)  # again: the card may have been edited since
    upload(pack.dir, settings.upload_model, "model", "publication_config.upload_model", pack.members)
