"""Reading a packed model: what its folder must hold, and that nothing of it is damaged, foreign or code.

`espnet3.load`, inference with a pack and the demo read packs; pack_model writes them. Nothing of a pack is executed:
weights are safetensors or ONNX, its config may name only the classes that its task allows, and recipe code counts only
for who trusts it. Every file that is used has the sha256 that the pack promises.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from espnet3.errors import ConfigError, DataError
from espnet3.packs.config import OwnCode, Rules, checked_config
from espnet3.packs.meta import (
    CARD,
    CONFIG,
    CURE,
    META,
    OPTIONAL,
    PICKLES,
    SUMS,
    WEIGHTS,
    Meta,
    pickle_in,
    read_promises,
    read_text,
)
from espnet3.packs.tasks import packing_of
from espnet3.runtime.files import sha256
from espnet3.runtime.leases import is_lease_file

REQUIRED = (META, CONFIG, WEIGHTS)
OWN_PACKAGE = "src/__init__.py"
"""What makes the recipe's own code a package; empty in most."""
LARGEST_HEADER = 1 << 24
_CODE = {".py", ".pyc", ".pyo", ".so", ".pyd"}


class Packing(ABC):
    """A task's half of a pack, as far as reading one asks: `PACKING` of the module `packing` in the task's package.

    What making a pack asks besides is `espnet3.systems.base.packing.BasePacking`, of which a task's class is made.
    Importing the module loads nothing heavy: an image that only uploads packs reads them, too.
    """

    task: ClassVar[str]
    """What `task` of meta.json is; each installed task has another."""
    parts: ClassVar[tuple[str, ...]]
    """Sections that the config of each pack has; `model` is what the weights belong to."""
    allowed: ClassVar[frozenset[str]]
    """Dotted names of what a pack may build: classes that compute, and read no file but the one that they are given."""
    file_keys: ClassVar[frozenset[str]]
    """Arguments of these classes that name a file, which has to be the pack's own."""
    backends: ClassVar[Mapping[str, str]]
    """Ways to run a model without torch, the best first, and the file of the pack that each needs."""

    @abstractmethod
    def load(self, pack: "Pack", backend: str, device: str) -> Any:
        """What `espnet3.load` gives.

        Args:
            pack: which was found valid.
            backend: `torch` or one of `backends`.
            device: of torch; `auto` is the first GPU where there is one.

        Raises:
            ConfigError: what the backend needs is not installed.
            DataError: the model cannot be built of what the pack holds.
        """


@dataclass(frozen=True)
class Pack:
    """A pack that was found valid."""

    dir: Path
    meta: Meta
    sums: Mapping[str, str]
    """sha256 by file."""
    packing: Packing
    """Of its task."""
    trust_code: bool = False
    builds_model: bool = True
    """Whether the torch model is wanted; its ONNX copies need none of the recipe's code for it."""

    def config(self) -> dict[str, Any]:
        """`inference.yaml`, with the pack's own files by absolute paths."""
        own_code = OwnCode(everywhere=self.trust_code, in_model=self.trust_code or not self.builds_model)
        task = self.packing
        rules = Rules(task.parts, task.allowed, task.file_keys, own_code, self._files)
        return checked_config(read_text(self.file(CONFIG)), self.dir / CONFIG, rules)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all that belongs to it; what else lies in its folder does not."""
        card = (CARD,) if (self.dir / CARD).is_file() else ()
        return tuple(sorted({*self._files, SUMS, *card}))

    def file(self, name: str) -> Path:
        """The path of one of its files.

        Raises:
            DataError: it has no such file.
        """
        if name not in self._files:
            raise DataError(f"{self.dir} has no {name}. It has: {', '.join(sorted(self._files))}.")
        return self._files[name]

    @cached_property
    def _files(self) -> dict[str, Path]:
        return {name: self.dir / name for name in self.sums if (self.dir / name).is_file()}


def refuse_foreign(folder: Path, proof: str, kind: str, key: str) -> None:
    """A folder of something else than a `kind`, which has the file `proof`, is not ours to replace.

    Raises:
        ConfigError: it is one; names `key`.
    """
    if folder.exists() and not (folder / proof).is_file() and not all(map(is_lease_file, folder.iterdir())):
        raise ConfigError(
            f"{key}: {folder} holds files that are no {kind}; they would be replaced. Choose another folder, or move "
            "them away."
        )


def read_pack(folder: Path, trust_code: bool = False, *, builds_model: bool = True) -> Pack:
    """Check a pack, all but what is behind its weights.

    Args:
        folder: of the pack.
        trust_code: whether the recipe's own code in it may run.
        builds_model: whether the torch model is wanted, and not one of its copies that run without torch.

    Raises:
        DataError: the folder is not a pack, of a newer version or a task that is not installed, incomplete, damaged, or
            holds code that is not trusted, or where it is, code that nobody was shown.
    """
    meta, sums = read_promises(folder)
    _check_strangers(folder)
    for name, digest in sums.items():
        _check_file(folder, name, digest)
    if trust_code:
        _check_code(folder, meta, sums)
    if lacking := [name for name in REQUIRED if name not in sums]:
        raise DataError(f"{folder / SUMS} does not list {', '.join(lacking)}, which every pack has. {CURE}")
    _check_header(folder / WEIGHTS)
    if meta.code and not trust_code and builds_model:
        raise DataError(
            f"{folder} needs its recipe's own code ({', '.join(meta.code)}), which would run on this machine. Read it; "
            "where you trust it, load with trust_code=True. Its ONNX models, where it has any, need no code."
        )
    pack = Pack(folder.absolute(), meta, sums, packing_of(meta.task, folder / META), trust_code, builds_model)
    pack.config()
    return pack


def _check_file(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if not path.exists() and name.endswith(OPTIONAL):
        return
    if not path.is_file():
        raise DataError(f"{path} is missing, although {SUMS} lists it: the pack is incomplete. {CURE}")
    if not any(path.resolve().is_relative_to(place) for place in _places(folder)):
        raise DataError(f"{path} is a link that leads out of the pack ({path.resolve()}). {CURE}")
    if (found := sha256(path)) != digest:
        raise DataError(f"{path} is damaged: its sha256 is {found[:12]}…, but {SUMS} says {digest[:12]}…. {CURE}")
    with path.open("rb") as handle:
        start = handle.read(4)
    if path.suffix in PICKLES or start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] <= b"\x05"):
        raise pickle_in(path)


def _places(folder: Path) -> list[Path]:
    """Where a pack's files may lie: in its folder, or in the Hub's cache, whose snapshots are links to its blobs."""
    real = folder.resolve()
    return [real, real.parent.parent / "blobs"] if real.parent.name == "snapshots" else [real]


def _check_strangers(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix in PICKLES and ".cache" not in path.parts and ".git" not in path.parts:
            raise pickle_in(path)


def _check_code(folder: Path, meta: Meta, sums: Mapping[str, str]) -> None:
    """Code is trusted by its names in `meta.json`: what else could be imported from the folder would run unseen."""
    shown = {name for name in meta.code if name.startswith("src/")} | {OWN_PACKAGE}
    for path in _importable(folder):
        name = path.relative_to(folder).as_posix()
        if name not in shown or name not in sums:
            raise DataError(
                f"{path} could run where the pack's code is trusted, but it is none of the src/*.py that {META} and "
                f"{SUMS} name ({', '.join(meta.code) or 'none'}). Remove it; the packed model does not need it."
            )


def _importable(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in _CODE or path.name == "__pycache__" or (path.is_symlink() and path.is_dir()):
            yield path


def _check_header(path: Path) -> None:
    """A safetensors file: eight bytes of its header's length, the header (JSON), the values."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise DataError(f"{path} is damaged: its header would have {length} bytes, the file has {size}. {CURE}")
        try:
            header = json.loads(handle.read(length))
        except (ValueError, RecursionError):
            header = None
    if not isinstance(header, dict):
        raise DataError(f"{path} is damaged: its header is not valid JSON. {CURE}")
