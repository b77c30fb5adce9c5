"""The files that a part of a config names, as hashes: what a result depends on beside the settings themselves.

`infer` puts them into its fingerprint, so that another model, language model or manifest under the same path counts as
another; `done` does so for what create_dataset reads. Plain strings are looked at: a string that is the path of a file
names it; to `infer`, one that is the path of an experiment's folder names its config and weights.
"""

import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from espnet3.runtime.files import sha256

WEIGHTS = ("config.yaml", "*.safetensors", "*.onnx", "inference.yaml")
"""What counts of a folder."""
LARGEST_HASHED = 64 * 2**20


def named_files(node: Any, folder: Path) -> dict[str, str]:
    """sha256 by path of the files that the strings in `node` name, relative to the working directory or to `folder`."""
    files = {file for text in strings(node) for path in (Path(text), folder / text) for file in _files(path)}
    return {str(file): sha256(file) for file in sorted(files)}


def named_contents(node: Any) -> dict[str, str]:
    """What is in the regular files that strings in `node` name, by the string; folders are not looked into.

    A plan asks for it, which should take no second: of a file of more than `LARGEST_HASHED` bytes, its size and the
    time of its last change stand for what is in it.
    """
    found = {text: _content(Path(text)) for text in strings(node)}
    return {text: content for text, content in found.items() if content is not None}


def _content(path: Path) -> str | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > LARGEST_HASHED:
            return f"{status.st_size} bytes of {status.st_mtime_ns}"
        return _hash(path.absolute(), status.st_size, status.st_mtime_ns)
    except OSError:  # it is not there, may not be read, or the text is too long for a path
        return None


@lru_cache(maxsize=1000)
def _hash(path: Path, _size: int, _changed: int) -> str:
    return sha256(path)


def strings(node: Any) -> Iterator[str]:
    """Those of plain config values that could be a path."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from strings(child)
    elif isinstance(node, str) and node and "\0" not in node and len(node) < 4096:
        yield node


def _files(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return [file for pattern in WEIGHTS for file in path.glob(pattern)]
        return [path] if path.is_file() else []
    except OSError:  # a text that is too long for a path
        return []
