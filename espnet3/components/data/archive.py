"""Fetches a corpus: a checked download, and the extraction of an archive that may be hostile or broken.

Dataset builders call `download` and `extract` from their `prepare_source`. Both leave either everything or nothing.
"""

import hashlib
import http.client
import lzma
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from espnet3.errors import ConfigError, DataError, TryAgain
from espnet3.runtime import files
from espnet3.runtime.files import replacing, replacing_dir
from espnet3.runtime.progress import track

CHUNK = 1 << 20
"""Bytes moved at once."""
PATIENCE = 60.0
"""Seconds without a byte after which a server counts as gone."""

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError)
_IN_EACH_OTHERS_WAY = (FileExistsError, IsADirectoryError, NotADirectoryError)
"""Raised for members of which one is a file and another is below it."""
_GONE = (401, 403, 404, 410)


@dataclass
class Limits:
    """How much an archive may hold."""

    size: int = 1 << 40
    """Bytes, extracted."""
    members: int = 10_000_000
    """Files and folders."""


def extract(archive: Path, target: Path, limits: Limits | None = None) -> None:
    """Put the contents of a tar (also .gz, .bz2, .xz) or zip archive in the place of the folder `target`.

    Refused are absolute names, names and links that lead out of `target`, names below a link, devices and pipes, and
    more than `limits` allow.

    Raises:
        DataError: the archive is missing, damaged, of another kind, or holds what is refused; `target` is unchanged.
    """
    if not archive.is_file():
        raise DataError(f"There is no archive {archive}.")
    gate = _Gate(archive, limits or Limits())
    with replacing_dir(target) as folder:
        try:
            if _is_zip(archive):
                _extract_zip(archive, folder, gate)
            else:
                _extract_tar(archive, folder, gate)
        except (*_DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno and not isinstance(error, _IN_EACH_OTHERS_WAY):
                raise  # the volume's own; what the decompressors find has no number
            raise DataError(f"{archive} is damaged, cut short or no tar or zip archive: {error}.") from error
        gate.check_links(folder)


def download(url: str, path: Path, sha256: str, key: str) -> None:
    """Put the file at `url` in the place of `path`; an existing file with that checksum is kept.

    Args:
        url: http or https.
        path: where the file goes.
        sha256: hexadecimal digest that the file must have.
        key: the config key under which a user can give a file of their own instead, for messages.

    Raises:
        ConfigError: the address is none.
        TryAgain: the server cannot be reached, or stopped in the middle.
        DataError: the server does not have or give the file, or it has another checksum.
    """
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise ConfigError(f"{url!r} is not an http or https address. Correct it, or set {key} to a file that you have.")
    if path.is_file() and files.sha256(path) == sha256:
        return
    with replacing(path) as temporary:
        try:
            digest = _fetch(url, temporary)
        except urllib.error.HTTPError as error:
            error.close()
            kind = DataError if error.code in _GONE else TryAgain
            raise kind(f"{url} answers {error.code} {error.reason}. {_cure(key)}") from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise TryAgain(f"{url} cannot be reached: {getattr(error, 'reason', error)}. {_cure(key)}") from None
        if digest != sha256:
            raise DataError(f"{url} gave a file with the sha256 {digest}, not {sha256}. {_cure(key)}")


@dataclass
class _Gate:
    """Judges an archive's members one after the other, before they are extracted."""

    archive: Path
    limits: Limits
    size: int = 0
    members: int = 0
    links: set[PurePosixPath] = field(default_factory=set)

    def check(self, name: str, size: int) -> PurePosixPath:
        """Let a member pass.

        Raises:
            DataError: its name leads out of the folder or below a link, or the archive is too big.
        """
        path = PurePosixPath(name)
        self.size += size
        self.members += 1
        if not name or path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
            raise self.refusal(name, "its name leads out of the folder")
        if self.is_through_link(path):
            raise self.refusal(name, "it would be written through a link")
        if self.size > self.limits.size or self.members > self.limits.members:
            raise DataError(
                f"{self.archive} holds more than {self.limits.size} bytes or {self.limits.members} files. If it "
                "is meant to, extract it by hand."
            )
        return path

    def is_through_link(self, path: PurePosixPath) -> bool:
        """Whether a name is, or is below, a link that was extracted before."""
        return bool(self.links) and not self.links.isdisjoint((path, *path.parents))

    def refusal(self, name: str, reason: str) -> DataError:
        """Why a member is refused."""
        return DataError(f"{self.archive} holds {name!r}, which is refused: {reason}. Nothing was extracted.")

    def check_links(self, folder: Path) -> None:
        """Make sure that every link, followed to its end, stays in `folder`.

        Raises:
            DataError: one leads out.
        """
        inside = folder.resolve()
        for link in self.links:
            if not (folder / link).resolve().is_relative_to(inside):
                raise self.refusal(str(link), "it is a link that leads out of the folder")


class _Member(tarfile.TarInfo):
    """Makes a damaged header an error: tarfile takes it for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """The member of a header block."""
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf) == bytes(tarfile.BLOCKSIZE):
                raise
            raise tarfile.ReadError(str(error)) from None


def _is_zip(archive: Path) -> bool:
    with archive.open("rb") as file:
        return file.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def _extract_tar(archive: Path, folder: Path, gate: _Gate) -> None:
    def admit(member: tarfile.TarInfo, destination: str) -> tarfile.TarInfo:
        path = gate.check(member.name, member.size)
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise gate.refusal(member.name, "it is not a file, folder or link")
        try:
            harmless = tarfile.data_filter(member, destination)
        except tarfile.FilterError as error:
            raise gate.refusal(member.name, str(error)) from None
        if member.issym():
            gate.links.add(path)
        elif member.islnk() and gate.is_through_link(PurePosixPath(member.linkname)):
            raise gate.refusal(member.name, "it is a link to a link")
        return harmless

    with tarfile.open(archive, tarinfo=_Member) as tar:
        members = track(tar, label=f"extracting {archive.name}")
        tar.extractall(folder, members=members, filter=admit)  # noqa: S202 (`admit` judges every member)
        assert tar.fileobj is not None
        while tar.fileobj.read(CHUNK):
            pass  # a compressed file has its checksum at its end, where tarfile does not look


def _extract_zip(archive: Path, folder: Path, gate: _Gate) -> None:
    with zipfile.ZipFile(archive) as zipped:
        for member in track(zipped.infolist(), label=f"extracting {archive.name}"):
            path = gate.check(member.filename, member.file_size)
            mode = member.external_attr >> 16
            if mode & 0o170000 not in {0, 0o100000, 0o040000}:
                raise gate.refusal(member.filename, "it is not a file or folder")
            if member.flag_bits & 1:
                raise gate.refusal(member.filename, "it is encrypted")
            target = folder / path
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, CHUNK)


def _fetch(url: str, path: Path) -> str:
    """Store what `url` gives and return its sha256."""
    digest = hashlib.sha256()
    request = urllib.request.Request(url, headers={"User-Agent": "espnet3"})  # noqa: S310 (the caller checked the scheme)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer, path.open("wb") as file:  # noqa: S310
        size = int(answer.headers.get("Content-Length") or 0)
        name = PurePosixPath(urllib.parse.urlsplit(url).path).name
        for chunk in track(_chunks(answer), total=-(-size // CHUNK) or None, label=f"downloading {name} (MiB)"):
            digest.update(chunk)
            file.write(chunk)
        if size and file.tell() < size:
            raise http.client.IncompleteRead(b"", size - file.tell())
    return digest.hexdigest()


def _chunks(answer: Any) -> Iterator[bytes]:
    while chunk := answer.read(CHUNK):
        yield chunk


def _cure(key: str) -> str:
    return f"If you have the file, set {key} to its path."
