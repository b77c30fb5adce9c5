"""Push the images to a registry and write their digests where the generator reads them.

`python -m images push` calls it; layers that the registry has are not sent again.
"""

import json
import logging
from collections.abc import Collection
from pathlib import Path

from espnet3.errors import ConfigError
from images.catalog import DIGESTS, Variant
from images.engine import Engine

log = logging.getLogger(__name__)


def push(engine: Engine, variant: Variant, registry: str, images: Collection[str]) -> dict[str, str]:
    """Push the named images; returns image -> reference by digest.

    Raises:
        ConfigError: no registry is named, or an image is not built; nothing was pushed.
    """
    if not registry:
        raise ConfigError("no registry is named: `make push REGISTRY=registry.example.org/speech` pushes there.")
    for image in images:
        if not engine.has(variant.reference(image)):
            raise ConfigError(f"{engine.name} has no image {variant.reference(image)}: run `make images` first.")
    pushed = {}
    for image in images:
        digest = engine.push(variant.reference(image), variant.reference(image, registry))
        pushed[image] = f"{registry}/espnet3-{image}@{digest}"
        log.info("%s", pushed[image])
    return pushed


def write_digests(variant: Variant, registry: str, pushed: dict[str, str], file: Path = DIGESTS) -> None:
    """Write what was pushed; images pushed earlier to the same place under the same version stay listed."""
    place = {"registry": registry, "version": variant.tag}
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept = before.get("images", {}) if {key: before.get(key) for key in place} == place else {}
    file.write_text(json.dumps(place | {"images": kept | pushed}, indent=2) + "\n", encoding="utf-8")
