"""A registry on loopback: Debian's docker-registry, taken out of its package where it is not installed.

Tests that push call `serving`. Nothing is installed: the package would start a service of its own.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images.debian import cache

NAME = "docker-registry"


def program() -> Path | None:
    """The registry's program; None where it is neither installed nor to be had."""
    if installed := shutil.which(NAME):
        return Path(installed)
    kept = cache() / NAME
    if not kept.exists() and shutil.which("apt-get"):
        with tempfile.TemporaryDirectory() as scratch:
            _take_out_of_package(Path(scratch), kept)
    return kept if kept.exists() else None


def _take_out_of_package(scratch: Path, target: Path) -> None:
    scratch.chmod(0o755)  # for apt's own user
    got = subprocess.run(["apt-get", "-qq", "download", NAME], cwd=scratch, capture_output=True, check=False)
    if got.returncode:
        return
    (package,) = scratch.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, scratch / "root"], check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(scratch / "root/usr/bin" / NAME, target)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A registry that keeps what it is given in `folder`; its address."""
    found = program()
    assert found
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "registry.yml").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([found, "serve", str(folder / "registry.yml")], stdout=log, stderr=log)
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "the registry does not answer"
        time.sleep(0.1)
