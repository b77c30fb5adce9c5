"""BasePacking: what a task knows of packs, which each task's module `packing` fills in and makes `PACKING` of.

The first half, `espnet3.packs.pack.Packing`, is for who reads a pack; `systems.base.publication` asks the rest of it as
it makes one, `espnet3.publishing.card` what the card says. It imports nothing heavy, because reading a pack imports it
everywhere; what is heavy is imported by the methods.
"""

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from espnet3.packs.pack import Pack, Packing
from espnet3.systems.base.publication_config import PackModel, PublicationConfig

About = Mapping[str, Any]
"""What meta.json says."""


@dataclass(frozen=True)
class Experiment:
    """What is packed."""

    settings: PublicationConfig
    training: Mapping[str, Any]
    """The config that train left."""
    exp_dir: Path


@dataclass(frozen=True)
class Rate:
    """An error rate in per cent, which the Hub knows as the type of a metric."""

    method: str
    """What it is called, such as `word error rate (WER)`."""
    unit: str
    """What it counts, such as `words`: a metric that writes `<name>_reference_<unit>` is one."""


@dataclass(frozen=True)
class CardText:
    """A task's part of the model card."""

    task: str
    """What it is called, such as `Speech recognition`."""
    tags: tuple[str, ...]
    usage: Callable[[About, str, str], str]
    """The section on how to use the model, by what meta.json says, where the pack is, and a note on its own code."""
    conditions: Callable[[About], str]
    """A sentence on how the scores came about."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By what the Hub calls them, the first first; other metrics keep the names that they have."""


class BasePacking(Packing):
    """A task's half of a pack."""

    origins: ClassVar[Mapping[str, str]] = {}
    """Where those parts of the config come from that are not the training config's of the same name."""

    def load(self, pack: Pack, backend: str, device: str) -> Any:
        """See `Packing.load`; the recipe's own code in the pack can be imported meanwhile, where it is trusted."""
        with own_code(pack):
            return self.build(pack, backend, device)

    @abstractmethod
    def build(self, pack: Pack, backend: str, device: str) -> Any:
        """What `load` gives."""

    @abstractmethod
    def config(self, experiment: Experiment, pack: Path) -> dict[str, Any]:
        """The config of the pack, `parts` and what they need, with the files that they name copied into its folder.

        `pack_files.with_own_files` copies them.

        Raises:
            ConfigError: the experiment lacks a part.
        """

    @abstractmethod
    def try_pack(self, experiment: Experiment, pack: Path) -> dict[str, Any]:
        """Use a pack as a stranger would, and write what it is to have for other backends.

        Returns:
            What meta.json says of it, beside the rest.

        Raises:
            ConfigError: what is asked for cannot be made here.
            DataError: the pack does something else than the experiment did.
        """

    @abstractmethod
    def card(self) -> CardText:
        """What the card says of a model of this task."""

    def about(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What meta.json says of the pack's config, beside the rest."""
        return {}

    def scored_weights(self, experiment: Experiment) -> Path:
        """What infer ran, and the scores are of: `publication_config.model` is the inference config's."""
        model = experiment.settings.model or {}
        default: str = PackModel.model_fields["checkpoint"].default
        return Path(model.get("exp_dir") or experiment.exp_dir) / (model.get("checkpoint") or default)


@contextmanager
def own_code(pack: Pack) -> Iterator[None]:
    """While the block runs, `src` is the recipe's own code in the pack, where it has any and that is trusted."""
    if not (pack.meta.code and pack.trust_code):
        yield
        return
    from espnet3.recipe.recipe import activated

    with without_bytecode(), activated(pack.dir):
        yield


@contextmanager
def without_bytecode() -> Iterator[None]:
    """That of a pack's own code would lie beside it, in nobody's sums, and hold this machine's paths and times."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
