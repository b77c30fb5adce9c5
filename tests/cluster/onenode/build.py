"""Gets the cluster's programs: Debian's packages, the pinned modules of `places.MODULES`, a pod's sandbox image.

`cluster.up` calls `everything`. The first call takes about ten minutes on two cores, any other a moment.
"""

import hashlib
import io
import json
import logging
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.cluster.onenode.places import MODULES, Places

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
PACKAGES = [
    *("containerd", "runc", "containernetworking-plugins", "iptables", "ipset", "iproute2", "conntrack", "openssl"),
    *("gcc", "libc6-dev"),  # for the sandbox image's one program
]
PAUSE = "localhost/espnet3-pause:1"
PAUSE_SOURCE = """
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGINT, stop); signal(SIGTERM, stop); signal(SIGCHLD, reap); for (;;) pause(); }
"""


class CannotBuild(RuntimeError):
    """Says which program is missing and how to get it."""


def everything(places: Places) -> None:
    """Install and build what is missing.

    Raises:
        CannotBuild: Go is missing, or the packages are and apt is not there to install them.
    """
    debian_packages()
    if (places.programs / "pause.tar").exists():
        return
    log.info("Building Kubernetes, CoreDNS and kube-router; this takes about ten minutes, once")
    places.programs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.programs.parent) as folder:
        for module in MODULES:
            go_build(HERE / module, Path(folder))
        shutil.move(Path(folder) / "server", Path(folder) / "etcd")
        (Path(folder) / "pause.tar").write_bytes(pause_image())
        shutil.copytree(folder, places.programs, dirs_exist_ok=True)


def debian_packages() -> None:
    """Install those of `PACKAGES` that are missing."""
    if shutil.which("apt-get") is None:
        needed = ("containerd", "runc", "iptables", "ipset", "ip", "conntrack", "openssl", "gcc")
        if missing := [name for name in needed if shutil.which(name) is None]:
            raise CannotBuild(
                f"The cluster needs {', '.join(missing)}: install them with your system's package manager."
            )
        return
    if subprocess.run(["dpkg", "-s", *PACKAGES], capture_output=True, check=False).returncode == 0:
        return
    log.info("Installing %s", " ".join(PACKAGES))
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=True, stdout=subprocess.DEVNULL)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    subprocess.run(install, env=quiet, check=True, stdout=subprocess.DEVNULL)


def go_build(module: Path, out: Path) -> None:
    """Build the programs that a module names as its tools."""
    if shutil.which("go") is None:
        raise CannotBuild(
            "The cluster is built by Go 1.26 or newer, and `go` is not on PATH: install it from go.dev/dl."
        )
    flags = "-s -w"
    if found := re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)", (module / "go.mod").read_text(encoding="utf-8")):
        major, minor, patch = found.groups()
        base = "-X k8s.io/component-base/version"
        flags += f" {base}.gitVersion=v{major}.{minor}.{patch} {base}.gitMajor={major} {base}.gitMinor={minor}"
    command = ["go", "build", "-mod=readonly", "-trimpath", f"-ldflags={flags}", "-o", f"{out}/", "tool"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    subprocess.run(command, cwd=module, env=environment, check=True)


def pause_image() -> bytes:
    """The image that holds a pod's namespaces, as a docker-archive: one static program that sleeps and reaps."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "pause.c", Path(folder) / "pause"
        source.write_text(PAUSE_SOURCE, encoding="ascii")
        subprocess.run(["gcc", "-static", "-Os", "-o", program, source], check=True)
        return archive(PAUSE, {"pause": program.read_bytes()}, ["/pause"])


def archive(name: str, programs: dict[str, bytes], entrypoint: list[str]) -> bytes:
    """A docker-archive of an image that holds nothing but some programs; its user is 10001."""
    layer = tar(programs, mode=0o755)
    identity = "sha256:" + hashlib.sha256(layer).hexdigest()
    settings = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": "10001"},
        "rootfs": {"type": "layers", "diff_ids": [identity]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    parts = {"manifest.json": json.dumps(manifest).encode(), "config.json": json.dumps(settings).encode()}
    return tar({**parts, "layer.tar": layer}, mode=0o644)


def tar(files: dict[str, bytes], mode: int) -> bytes:
    """A tar of files, the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            out.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
