"""Which dataset modules a config names by `data_src`.

The checks resolve them, `recipe.files` lets their code travel, and the data loaders import them.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def dataset_module(source: str) -> str:
    """The dotted module of a `data_src`: `an4/asr` is egs3.an4.asr.dataset."""
    if "/" not in source:
        return source
    return "egs3." + ".".join(part.replace("-", "_") for part in source.split("/")) + ".dataset"


def data_sources(node: Any) -> Iterator[str]:
    """Every `data_src` in plain config values, at any depth."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "data_src" and isinstance(value, str):
                yield value
            else:
                yield from data_sources(value)
    elif isinstance(node, list):
        for value in node:
            yield from data_sources(value)
