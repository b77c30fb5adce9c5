"""What a pack says of itself: `meta.json`, and `SHA256SUMS` with every file that belongs to it.

`espnet3.packs.pack` reads both before it looks at anything else, a download before it loads anything else; pack_model
writes them. Nothing here knows what the files hold.
"""

import json
import re
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from espnet3.errors import DataError
from espnet3.runtime.files import sha256

SCHEMA_VERSION = 1
KIND = "espnet3-model"
META, SUMS, CONFIG, WEIGHTS, CARD = "meta.json", "SHA256SUMS", "inference.yaml", "model.safetensors", "README.md"
OPTIONAL = ".onnx"
"""Files that may be left out, as a download for torch does."""
PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz", ".joblib"}
LARGEST_TEXT = 1 << 20
CURE = "Download it again, or ask its author for another."
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class Meta(BaseModel):
    """`meta.json`: what a pack is, and where it comes from."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    schema_version: int
    kind: str
    task: str
    """What the model is for, by the name that one of the installed tasks has; `espnet3.packs.tasks` finds it."""
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
        raise DataError(f"{path} is larger than {LARGEST_TEXT} bytes, which no such file of a pack is. {CURE}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: it is not UTF-8 text ({error.reason}). {CURE}") from None


def write_sums(folder: Path) -> None:
    """Write the sha256 of every file but the card, in the format of sha256sum."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names if name not in (CARD, SUMS)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def pickle_in(path: Path) -> DataError:
    """What to say of a file that is a pickle."""
    return DataError(f"{path} is or holds a pickle, which can run code when it is loaded; a pack has none. {CURE}")


def _read_meta(path: Path) -> Meta:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: it is not valid JSON ({str(error).splitlines()[0]}). {CURE}") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise DataError(f"{path} is not that of a packed model: its kind is not {KIND}. pack_model makes one.")
    version = content.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DataError(f"{path}: schema_version is {version!r}; a pack has a whole number from 1. {CURE}")
    if version > SCHEMA_VERSION:
        raise DataError(
            f"{path} is of schema version {version}, written by espnet3 {content.get('espnet3', '(a later one)')}; "
            f"this espnet3 reads packs up to version {SCHEMA_VERSION}. Install a newer espnet3."
        )
    try:
        return Meta.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}. {CURE}") from None


def _read_sums(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise DataError(f"{path} is missing: without it nothing says whether the pack is whole. {CURE}")
    sums: dict[str, str] = {}
    text = read_text(path)
    for number, line in enumerate(text.splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if not found or found[2] in sums:
            raise DataError(f"{path}:{number} is damaged: a line is a sha256, two spaces and a new name. {CURE}")
        name = PurePosixPath(found[2])
        if name.is_absolute() or ".." in name.parts or "\\" in found[2] or str(name) != found[2]:
            raise DataError(
                f"{path}:{number}: {found[2]!r} leads out of the pack; names are relative and plain. {CURE}"
            )
        if name.suffix in PICKLES:
            raise pickle_in(path.parent / name)
        sums[found[2]] = found[1]
    if not text.endswith("\n"):
        raise DataError(f"{path} is cut short: its last line has no end. {CURE}")
    return sums
