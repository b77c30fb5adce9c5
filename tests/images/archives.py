"""Small image archives, made by hand as `docker save` makes large ones."""

import hashlib
import io
import json
import tarfile
from pathlib import Path


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def layer(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            add(tar, name, content)
    return buffer.getvalue()


def image(file: Path, *layers: dict[str, bytes]) -> Path:
    contents = [layer(files) for files in layers]
    digests = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
    members = [f"{place}.tar" for place in range(len(contents))]
    config = {"config": {"User": "10001:0"}, "rootfs": {"type": "layers", "diff_ids": digests}}
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for member, content in zip(members, contents, strict=True):
            add(tar, member, content)
        add(tar, "config.json", json.dumps(config).encode())
        add(tar, "manifest.json", json.dumps([{"Config": "config.json", "Layers": members}]).encode())
    return file
