"""The program that builds images on this machine: docker, podman or buildah, whichever works.

`find` tries them in that order, and asks each for its storage, since a docker client without a daemon is not an engine.
Where none works and the user is root on a Debian system, buildah is installed. All three read the same Dockerfiles.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from espnet3.errors import ConfigError

NAMES = ("docker", "podman", "buildah")
PACKAGES = ("buildah", "runc")
# A sixth smaller than gzip and several times faster to unpack; containerd 1.5, CRI-O, podman and Docker 23 read it.
COMPRESSION = ("--format", "oci", "--compression-format", "zstd", "--compression-level", "9")


@dataclass(frozen=True)
class Recipe:
    """What one image is built from."""

    dockerfile: Path
    context: Path
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """One of the programs, by name."""

    name: str

    def build(self, recipe: Recipe, reference: str) -> None:
        """Build an image; layers that are known are not built again."""
        # chroot: the build shares this machine's network, and needs neither a bridge nor a cgroup of its own.
        options = ["--layers", "--isolation", "chroot"] if self.name == "buildah" else []
        options += ["--target", recipe.target] if recipe.target else []
        for key, value in recipe.arguments.items():
            options += ["--build-arg", f"{key}={value}"]
        for key, file in recipe.secrets.items():
            options += ["--secret", f"id={key},src={file}"]
        self._run("build", *options, "--file", str(recipe.dockerfile), "--tag", reference, str(recipe.context))

    def has(self, reference: str) -> bool:
        """Whether an image of this name is there."""
        command = [
            self.name,
            *(["inspect", "--type", "image"] if self.name == "buildah" else ["image", "inspect"]),
            reference,
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def pulls(self, reference: str) -> bool:
        """Whether an image can be had from its registry."""
        return subprocess.run([self.name, "pull", reference], capture_output=True, check=False).returncode == 0

    def save(self, reference: str, archive: Path) -> None:
        """Write an image as a docker archive, which docker, podman and containerd load."""
        archive.unlink(missing_ok=True)
        if self.name == "docker":
            self._run("save", "--output", str(archive), reference)
        else:
            self._run("push", reference, f"docker-archive:{archive}:{reference}")

    def push(self, reference: str, target: str) -> str:
        """Push an image under another name; returns its digest. Layers that the registry has are not sent.

        Docker compresses with gzip, the others with zstd.
        """
        if self.name == "docker":
            self._run("tag", reference, target)
            self._run("push", target)
            repository = target.rpartition(":")[0]
            digests = self._output("image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', target).split()
            return next(digest.partition("@")[2] for digest in digests if digest.startswith(f"{repository}@"))
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch, "digest")
            options = ["--tls-verify=false"] if _loopback(target) else []
            self._run("push", *options, *COMPRESSION, "--digestfile", str(file), reference, f"docker://{target}")
            return file.read_text(encoding="ascii").strip()

    def _run(self, *words: str) -> None:
        subprocess.run([self.name, *words], check=True)

    def _output(self, *words: str) -> str:
        return subprocess.run([self.name, *words], check=True, capture_output=True, text=True).stdout


def _loopback(target: str) -> bool:
    return target.split("/", maxsplit=1)[0].rsplit(":", 1)[0] in ("localhost", "127.0.0.1", "[::1]")


def find() -> Engine:
    """The engine that ENGINE names, or the first that works.

    Raises:
        ConfigError: the named one does not work, or none does and none can be installed.
    """
    named = os.environ.get("ENGINE", "")
    for name in (named,) if named else NAMES:
        if works(name):
            return Engine(name)
    if not named and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_install(*PACKAGES)
        return Engine("buildah")
    wanted = f"ENGINE={named} does not work here" if named else "neither docker, podman nor buildah works here"
    raise ConfigError(f"{wanted} ('<engine> info' fails). Install podman or buildah, or start the docker daemon.")


def works(name: str) -> bool:
    """Whether a program is there and reaches its storage or its daemon."""
    if not shutil.which(name):
        return False
    return subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0


def apt_install(*packages: str) -> None:
    """Install Debian packages, waiting for another apt to end."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*apt, "update"], check=True, env=quiet, stdout=subprocess.DEVNULL)
    subprocess.run(
        [*apt, "install", "-y", "--no-install-recommends", *packages], check=True, env=quiet, stdout=subprocess.DEVNULL
    )
