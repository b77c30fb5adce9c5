"""Reading a packed model: what its folder must hold, and that nothing of it is damaged, foreign or code.

`espnet3.load`, `OnnxRecogniser` and the demo read packs; `espnet3.publishing.pack_model` writes them. Nothing of a pack
is executed: weights are safetensors or ONNX, its config may name only the classes of `packs.config`, and recipe code
counts only for who trusts it. Every file that is used has the sha256 that the pack promises.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from espnet3.errors import ConfigError, DataError
from espnet3.packs.config import OwnCode, checked_config
from espnet3.runtime.files import sha256
from espnet3.runtime.leases import is_lease_file

SCHEMA_VERSION = 1
KIND = "espnet3-model"
META, SUMS, CONFIG, WEIGHTS, CARD = "meta.json", "SHA256SUMS", "inference.yaml", "model.safetensors", "README.md"
REQUIRED = (META, CONFIG, WEIGHTS)
OWN_PACKAGE = "src/__init__.py"
"""What makes the recipe's own code a package; empty in most."""
OPTIONAL = ".onnx"
"""Files that may be left out, as a download for torch does."""
LARGEST_TEXT = 1 << 20
LARGEST_HEADER = 1 << 24
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz", ".joblib"}
_CODE = {".py", ".pyc", ".pyo", ".so", ".pyd"}
_CURE = "Download it again, or ask its author for another."


class Meta(BaseModel):
    """`meta.json`: what a pack is, and where it comes from."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    schema_version: int
    kind: str
    task: str
    system: str
    title: str
    sample_rate: int = Field(gt=0)
    """Of the audio that the model takes, in Hz; other audio is resampled."""
    espnet3: str
    """Version that wrote the pack."""
    licence: str = "other"
    language: list[str] = Field(default_factory=list)
    parameters: int = 0
    code: list[str] = Field(default_factory=list)
    """The recipe's own files that the model needs."""


@dataclass(frozen=True)
class Pack:
    """A pack that was found valid."""

    dir: Path
    meta: Meta
    sums: Mapping[str, str]
    """sha256 by file."""
    trust_code: bool = False
    builds_model: bool = True
    """Whether the torch model is wanted; its ONNX copies need none of the recipe's code for it."""

    def config(self) -> dict[str, Any]:
        """`inference.yaml`, with the pack's own files by absolute paths."""
        own_code = OwnCode(everywhere=self.trust_code, in_model=self.trust_code or not self.builds_model)
        return checked_config(self._text(CONFIG), self.dir / CONFIG, self._files, own_code)

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

    def _text(self, name: str) -> str:
        return read_text(self.file(name))


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
        builds_model: whether the torch model is wanted, and not one of its ONNX copies.

    Raises:
        DataError: the folder is not a pack, of a newer version, incomplete, damaged, or holds code that is not trusted,
            or where it is, code that nobody was shown.
    """
    meta, sums = read_promises(folder)
    _check_strangers(folder)
    for name, digest in sums.items():
        _check_file(folder, name, digest)
    if trust_code:
        _check_code(folder, meta, sums)
    if lacking := [name for name in REQUIRED if name not in sums]:
        raise DataError(f"{folder / SUMS} does not list {', '.join(lacking)}, which every pack has. {_CURE}")
    _check_header(folder / WEIGHTS)
    if meta.code and not trust_code and builds_model:
        raise DataError(
            f"{folder} needs its recipe's own code ({', '.join(meta.code)}), which would run on this machine. Read it; "
            "where you trust it, load with trust_code=True. Its ONNX models, where it has any, need no code."
        )
    pack = Pack(folder.absolute(), meta, sums, trust_code, builds_model)
    pack.config()
    return pack


def read_promises(folder: Path) -> tuple[Meta, dict[str, str]]:
    """What a pack says of itself, and the sha256 of its files by name, before these are looked at.

    Raises:
        DataError: the folder is not a pack, of a newer version, or lists what no pack has.
    """
    if not (folder / META).is_file():
        raise DataError(f"{folder} is not a packed model: it has no {META}. pack_model makes one.")
    return _read_meta(folder / META), _read_sums(folder / SUMS)


def read_text(path: Path) -> str:
    """A small UTF-8 file.

    Raises:
        DataError: it is too large or no UTF-8.
    """
    if path.stat().st_size > LARGEST_TEXT:
        raise DataError(f"{path} is larger than {LARGEST_TEXT} bytes, which no such file of a pack is. {_CURE}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: it is not UTF-8 text ({error.reason}). {_CURE}") from None


def _read_meta(path: Path) -> Meta:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: it is not valid JSON ({str(error).splitlines()[0]}). {_CURE}") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise DataError(f"{path} is not that of a packed model: its kind is not {KIND}. pack_model makes one.")
    version = content.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DataError(f"{path}: schema_version is {version!r}; a pack has a whole number from 1. {_CURE}")
    if version > SCHEMA_VERSION:
        raise DataError(
            f"{path} is of schema version {version}, written by espnet3 {content.get('espnet3', '(a later one)')}; "
            f"this espnet3 reads packs up to version {SCHEMA_VERSION}. Install a newer espnet3."
        )
    try:
        return Meta.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}. {_CURE}") from None


def _read_sums(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise DataError(f"{path} is missing: without it nothing says whether the pack is whole. {_CURE}")
    sums: dict[str, str] = {}
    text = read_text(path)
    for number, line in enumerate(text.splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if not found or found[2] in sums:
            raise DataError(f"{path}:{number} is damaged: a line is a sha256, two spaces and a new name. {_CURE}")
        name = PurePosixPath(found[2])
        if name.is_absolute() or ".." in name.parts or "\\" in found[2] or str(name) != found[2]:
            raise DataError(
                f"{path}:{number}: {found[2]!r} leads out of the pack; names are relative and plain. {_CURE}"
            )
        if name.suffix in _PICKLES:
            raise _pickle(path.parent / name)
        sums[found[2]] = found[1]
    if not text.endswith("\n"):
        raise DataError(f"{path} is cut short: its last line has no end. {_CURE}")
    return sums


def _check_file(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if not path.exists() and name.endswith(OPTIONAL):
        return
    if not path.is_file():
        raise DataError(f"{path} is missing, although {SUMS} lists it: the pack is incomplete. {_CURE}")
    if not any(path.resolve().is_relative_to(place) for place in _places(folder)):
        raise DataError(f"{path} is a link that leads out of the pack ({path.resolve()}). {_CURE}")
    if (found := sha256(path)) != digest:
        raise DataError(f"{path} is damaged: its sha256 is {found[:12]}…, but {SUMS} says {digest[:12]}…. {_CURE}")
    with path.open("rb") as handle:
        start = handle.read(4)
    if path.suffix in _PICKLES or start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] <= b"\x05"):
        raise _pickle(path)


def _places(folder: Path) -> list[Path]:
    """Where a pack's files may lie: in its folder, or in the Hub's cache, whose snapshots are links to its blobs."""
    real = folder.resolve()
    return [real, real.parent.parent / "blobs"] if real.parent.name == "snapshots" else [real]


def _check_strangers(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PICKLES and ".cache" not in path.parts and ".git" not in path.parts:
            raise _pickle(path)


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


def _pickle(path: Path) -> DataError:
    return DataError(f"{path} is or holds a pickle, which can run code when it is loaded; a pack has none. {_CURE}")


def _check_header(path: Path) -> None:
    """A safetensors file: eight bytes of its header's length, the header (JSON), the values."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise DataError(f"{path} is damaged: its header would have {length} bytes, the file has {size}. {_CURE}")
        try:
            header = json.loads(handle.read(length))
        except (ValueError, RecursionError):
            header = None
    if not isinstance(header, dict):
        raise DataError(f"{path} is damaged: its header is not valid JSON. {_CURE}")
