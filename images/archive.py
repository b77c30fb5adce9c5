"""Look into an image's archive without an engine: its layers, their compressed sizes, and single files.

The size table, the SBOM and the tests use it. It reads what `docker save` and `buildah push docker-archive:` write.
"""

import json
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import zstandard

from images.debian import cache

LEVEL = 5  # comes to the size that `images.engine` pushes


@dataclass(frozen=True)
class Layer:
    """One layer: the digest of its contents, and where it lies in the archive."""

    digest: str
    member: str


def config(archive: Path) -> dict[str, Any]:
    """The image's configuration: user, environment, labels, entrypoint."""
    with tarfile.open(archive) as tar:
        found: dict[str, Any] = json.load(_open(tar, _manifest(tar)["Config"]))
    return found


def layers(archive: Path) -> list[Layer]:
    """The image's layers, the lowest first."""
    with tarfile.open(archive) as tar:
        manifest = _manifest(tar)
        digests = json.load(_open(tar, manifest["Config"]))["rootfs"]["diff_ids"]
    return [Layer(digest, member) for digest, member in zip(digests, manifest["Layers"], strict=True)]


def files(archive: Path, pattern: str) -> dict[str, bytes]:
    """The contents of the regular files whose path (without a leading slash) matches; an upper layer wins."""
    wanted = re.compile(pattern)
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for layer in layers(archive):
            with tarfile.open(fileobj=_open(tar, layer.member)) as content:
                for entry in content:
                    path = entry.name.removeprefix("./").removeprefix("/")
                    if entry.isfile() and wanted.fullmatch(path):
                        found[path] = _open(content, entry.name).read()
    return found


def compressed_sizes(archive: Path) -> dict[str, int]:
    """Bytes of each layer as a registry holds it (zstd), by digest; remembered, since compressing takes a minute."""
    memory = cache() / "zstd.json"
    known: dict[str, int] = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else {}
    here = layers(archive)
    new = [layer for layer in here if layer.digest not in known]
    with ThreadPoolExecutor() as pool:
        known |= zip(
            (layer.digest for layer in new), pool.map(lambda layer: _compressed(archive, layer), new), strict=True
        )
    if new:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
    return {layer.digest: known[layer.digest] for layer in here}


def _compressed(archive: Path, layer: Layer) -> int:
    counter = _Counter()
    with tarfile.open(archive) as tar:
        zstandard.ZstdCompressor(LEVEL).copy_stream(_open(tar, layer.member), counter)
    return counter.size


class _Counter(BytesIO):
    """A file that only counts what is written to it."""

    size = 0

    def write(self, data: Any) -> int:
        self.size += len(data)
        return len(data)


def _manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    (image,) = json.load(_open(tar, "manifest.json"))
    return dict(image)


def _open(tar: tarfile.TarFile, member: str) -> IO[bytes]:
    entry = tar.getmember(member)
    if entry.issym() or entry.islnk():  # docker save links a layer that two images share
        entry = tar.getmember(str(Path(member).parent / entry.linkname) if entry.issym() else entry.linkname)
    stream = tar.extractfile(entry)
    assert stream is not None, member
    return stream
