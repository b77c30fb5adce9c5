"""What is in files and folders, as sha256 digests that are remembered, so that a plan seldom reads a file anew.

`fingerprint` asks for the contents of what a stage reads, `done` for those of what it wrote. The digest of a large file
is remembered by its path within the volume, inode, size, and times in ns, never by device number, which differs from
mount to mount: whoever wrote a file, in whatever pod, leaves its digest for all others. Small files are simply read.
Which files count is said elsewhere.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from espnet3.runtime.files import sha256
from espnet3.runtime.leases import is_lease_file
from espnet3.runtime.temporaries import TEMPORARY, temporary_path

REMEMBERED_FROM = 2**20
"""Bytes from which on reading a file takes longer than looking its digest up."""
FOLDER = ".digests"
"""In the working directory, which is the recipe's folder on the workspace volume."""
VERIFY = "ESPNET3_VERIFY"
"""Environment variable: where it is set to 1, nothing that is remembered counts."""
MODEL_CONFIG = "config.yaml"
MODEL_FILES = (MODEL_CONFIG, "inference.yaml", "*.safetensors", "*.onnx", "files/**/*")
"""What counts of a folder that holds a trained model."""


@dataclass(frozen=True)
class Content:
    """What is in a file or a folder."""

    digest: str
    """sha256, in hexadecimal."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class _Signature:
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def content_of(path: Path) -> Content | None:
    """What is in the file at `path`; None where there is none, or it cannot be read."""
    try:
        status = path.stat()
        return _content_of_file(path, status) if stat.S_ISREG(status.st_mode) else None
    except (OSError, ValueError):  # too long for a path, a null byte
        return None


def content_of_tree(path: Path) -> Content | None:
    """What is in all files below a folder, or in a file, whatever its size; None where there is none."""
    if not path.is_dir():
        return content_of(path)
    return _combined(path, sorted(files_below(path)))


def is_model(folder: Path) -> bool:
    """Whether a folder holds a trained model: of such a one, only the model counts."""
    try:
        return (folder / MODEL_CONFIG).is_file() and next(folder.glob("*.safetensors"), None) is not None
    except OSError:  # too long for a path
        return False


def model_files(folder: Path) -> list[Path]:
    """The files of a trained model, sorted."""
    return sorted({file for pattern in MODEL_FILES for file in folder.glob(pattern) if file.is_file()})


def must_verify() -> bool:
    """Whether everything is to be read anew."""
    return os.environ.get(VERIFY, "") not in ("", "0")


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder, without leases, temporary files and what Python compiled."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not TEMPORARY.fullmatch(name)]
        for name in names:
            path = Path(place, name)
            if not is_lease_file(path) and not TEMPORARY.fullmatch(name):
                yield path


def _content_of_file(path: Path, status: os.stat_result) -> Content:
    if status.st_size < REMEMBERED_FROM:
        return Content(sha256(path), status.st_size)
    signature = _Signature(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    digest = None if must_verify() else _remembered(path, signature)
    if digest is None:
        digest = sha256(path)
        _remember(path, signature, digest)
    return Content(digest, status.st_size)


def _combined(folder: Path, files: list[Path]) -> Content | None:
    contents = {file.relative_to(folder).as_posix(): content_of(file) for file in files if file.is_file()}
    found = {name: content for name, content in contents.items() if content is not None}
    if not found:
        return None
    digests = {name: content.digest for name, content in found.items()}
    return Content(_hash(json.dumps(digests, sort_keys=True)), sum(content.size for content in found.values()))


def _remembered(path: Path, signature: _Signature) -> str | None:
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        same = note["path"] == _within(path) and _Signature(**note["signature"]) == signature
        return str(note["sha256"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(path: Path, signature: _Signature, digest: str) -> None:
    """Leave the digest for others; where that cannot be done, they read the file themselves."""
    note = _note(path)
    temporary = temporary_path(note)
    try:
        note.parent.mkdir(exist_ok=True)
        content = {"path": _within(path), "signature": asdict(signature), "sha256": digest}
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
        temporary.replace(note)
    except OSError:
        with suppress(OSError):
            temporary.unlink()


def _note(path: Path) -> Path:
    return Path(FOLDER, f"{_hash(_within(path))[:32]}.json")


def _within(path: Path) -> str:
    """The path within the volume: relative to the working directory where it lies below."""
    absolute = path.absolute()
    return (absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute).as_posix()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
