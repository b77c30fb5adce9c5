"""The writers that `output_artifacts` names by a short `type`, by the dotted name that stands behind it.

`targets` checks their arguments before a run, `espnet3.components.data.artifacts` builds them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

WRITERS = {
    "npy": "espnet3.components.data.artifacts.NpyWriter",
    "wav": "espnet3.components.data.artifacts.WavWriter",
    "json": "espnet3.components.data.artifacts.JsonWriter",
}


def as_targets(artifacts: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of `output_artifacts` that have a known type, with a `_target_` in its place."""
    for key, node in artifacts.items() if isinstance(artifacts, Mapping) else ():
        kind = node.get("type") if isinstance(node, Mapping) and "_target_" not in node else None
        if isinstance(kind, str) and kind in WRITERS:
            arguments = {name: value for name, value in node.items() if name != "type"}
            yield str(key), {"_target_": WRITERS[kind], **arguments}
