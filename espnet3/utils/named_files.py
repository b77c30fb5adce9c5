"""The files that a part of a config names, as hashes: what a result depends on beside the settings themselves.

`infer` puts them into its fingerprint, so that another model, language model or manifest under the same path counts as
another. Plain strings are looked at: a string that is the path of a file names it, one that is the path of an
experiment's folder names its config and weights.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from espnet3.utils.files import sha256

WEIGHTS = ("config.yaml", "*.safetensors", "*.onnx", "inference.yaml")
"""What counts of a folder."""


def named_files(node: Any, folder: Path) -> dict[str, str]:
    """sha256 by path of the files that the strings in `node` name, relative to the working directory or to `folder`."""
    files = {file for text in _strings(node) for path in (Path(text), folder / text) for file in _files(path)}
    return {str(file): sha256(file) for file in sorted(files)}


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _strings(child)
    elif isinstance(node, str) and node and "\0" not in node and len(node) < 4096:
        yield node


def _files(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return [file for pattern in WEIGHTS for file in path.glob(pattern)]
        return [path] if path.is_file() else []
    except OSError:  # a text that is too long for a path
        return []
