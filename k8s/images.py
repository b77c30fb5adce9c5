"""Which image a stage's container takes: by digest where `make push` recorded one, else by version.

`containers` calls it. The names are those under which `images/` builds; how an image comes to its nodes is up to the
profile (`images` in the chart's values).
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

from espnet3.config.findings import nearest
from espnet3.errors import ConfigError
from espnet3.runtime.versions import package_version
from k8s.profile import Profile
from k8s.values import ROOT

log = logging.getLogger(__name__)

DIGESTS = ROOT / "images" / "digests.json"
NAMES = ("data", "train", "infer", "measure", "publish", "demo")
WITH_TORCH = ("train", "infer")
"""Images with a variant for each device."""


@dataclass(frozen=True)
class Digests:
    """What `make push` recorded: {image: reference by digest} of one registry and version."""

    registry: str = ""
    version: str = ""
    images: dict[str, str] = field(default_factory=dict)


def read_digests(path: Path = DIGESTS) -> Digests:
    """The file of `make push`; empty where there is none.

    Raises:
        ConfigError: the file is damaged.
    """
    if not path.is_file():
        return Digests()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Digests(str(content["registry"]), str(content["version"]), dict(content["images"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged ({error!r}). Write it again with make push, or delete it.") from None


def image_reference(image: str, profile: Profile, digests: Digests) -> str:
    """The reference of one of the project's images; what has a slash or a colon is one of the user's own and stays.

    Raises:
        ConfigError: there is no such image.
    """
    if "/" in image or ":" in image:
        return image
    if image not in NAMES:
        near = nearest(image, NAMES, likeness=0.5)
        hint = f"Did you mean {near}? " if near else ""
        raise ConfigError(f"There is no image {image}. {hint}Images: {', '.join(NAMES)}, or a reference with its tag.")
    variant = f"{image}-cuda" if profile.device == "cuda" and image in WITH_TORCH else image
    tag = profile.images.tag or package_version()
    if digests.images and (digests.registry, digests.version) == (profile.images.registry, tag):
        if variant in digests.images:
            return digests.images[variant]
        log.warning("images/digests.json has no %s; it is named by its version. Push it to name it by digest.", variant)
    suffix = "-cuda" if variant != image else ""
    return f"{profile.images.registry or 'localhost'}/espnet3-{image}:{tag}{suffix}"
