"""What a recipe writes to get its corpus: a DatasetBuilder.

A recipe's `dataset/__init__.py` exports a dataclass derived from `DatasetBuilder` under that name, and create_dataset
calls it. Its fields are the keys that the config may have under `create_dataset`. Validation, repetition and the stop
of a second process are up to create_dataset.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path


@dataclass
class DatasetBuilder(ABC):
    """Makes manifests (and audio, if need be) under `data_dir`, in two steps that are each done once.

    Write files through `espnet3.runtime.files.replacing` and folders through `replacing_dir`, the manifests last: then
    what exists is complete, and the questions of this class need only ask whether it exists.

    Tables are read with `espnet3.components.data.table.read_table`. Gather what is wrong with rows and recordings in
    `espnet3.components.data.faults.Faults`, so that it is told at once, and write what is left with
    `espnet3.components.data.manifest.write_splits`, which replaces all manifests or none.
    """

    data_dir: Path
    """Where everything goes."""

    @abstractmethod
    def is_source_prepared(self) -> bool:
        """Whether the corpus as its makers hand it out is there."""

    @abstractmethod
    def prepare_source(self) -> None:
        """Fetch and extract the corpus."""

    @abstractmethod
    def is_built(self) -> bool:
        """Whether the manifests are there."""

    @abstractmethod
    def build(self) -> None:
        """Write the manifests."""
