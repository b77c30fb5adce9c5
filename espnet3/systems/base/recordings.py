"""Whether the recordings of a config's manifests are those that create_dataset has checked: a part of the plan.

`BaseSystem.check_products` calls it. How recordings are compared is told in
`espnet3.components.data.audio_changes`; that no other recording is read, in `audio_check`.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from espnet3.components.data.audio_changes import AudioLook, find_replaced
from espnet3.pipeline.contents import must_verify
from espnet3.pipeline.paths import expand
from espnet3.pipeline.spec import ProductCheck
from espnet3.systems.base.stage_specs import STAGE_SPECS

SECONDS = 2.0
"""For loose files of all manifests together."""
MOST_NAMED = 3
"""Recordings of a manifest that are named."""


def check_recordings(config: DictConfig | Mapping[str, Any]) -> ProductCheck:
    """Look at the recordings of every manifest that create_dataset makes."""
    deadline = time.monotonic() + SECONDS
    looks: dict[Path, AudioLook] = {}
    for manifest in expand(STAGE_SPECS["create_dataset"].outputs, {"training_config": config}):
        if manifest.exists():
            left = max(0.0, deadline - time.monotonic())
            looks[manifest] = find_replaced(manifest, left, verify=must_verify())
    return ProductCheck(
        changed=tuple(_changed(manifest, look) for manifest, look in looks.items() if look.replaced),
        notes=tuple(f"{manifest} {look.note}" for manifest, look in looks.items() if look.note),
    )


def _changed(manifest: Path, look: AudioLook) -> str:
    named = "; ".join(f"{audio} ({why})" for audio, why in look.replaced[:MOST_NAMED])
    more = f" and {len(look.replaced) - MOST_NAMED} more" if len(look.replaced) > MOST_NAMED else ""
    return f"not the recordings of {manifest}: {named}{more}"
