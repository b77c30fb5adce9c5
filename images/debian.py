"""A base image from Debian's own packages, for machines that reach no image registry.

The build calls `bases`. mmdebstrap makes two root file systems, one to run on and one to build in; they are cached as
archives under the user's cache, since the project's changes do not touch them.
"""

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from espnet3.errors import ConfigError
from images.engine import apt_install

SUITE = "trixie"  # has Python 3.13, as the default base image does
RUNTIME = ("usr-is-merged", "python3", "libstdc++6", "ca-certificates", "tini")
BUILDER = ("usr-is-merged", "python3", "python3-venv", "ca-certificates", "gcc", "libc6-dev", "binutils")
LEFT_OUT = ("man/*", "doc/*", "info/*", "locale/*", "lintian/*")
EPOCH = "1700000000"  # the date of every file, so that the same packages make the same bytes


def cache() -> Path:
    """Where what is slow to make and independent of the project is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "espnet3/images"


def bases() -> dict[str, Path]:
    """The two archives, `runtime` and `builder`, made where they are not cached.

    Raises:
        ConfigError: mmdebstrap is missing and cannot be installed.
    """
    if not shutil.which("mmdebstrap"):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise ConfigError(
                "no image registry is reachable and mmdebstrap is missing: install it, or name a BASE image."
            )
        apt_install("mmdebstrap")
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(_make, (RUNTIME, BUILDER))
    return dict(zip(("runtime", "builder"), made, strict=True))


def command(packages: tuple[str, ...], archive: Path) -> list[str]:
    """How mmdebstrap is called for a set of packages."""
    # A machine that trusts an archive of another day says so in its apt configuration.
    options = [f"--aptopt={line}" for line in _validity()]
    options += [f"--dpkgopt=path-exclude=/usr/share/{left_out}" for left_out in LEFT_OUT]
    options += [
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    ]
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=essential",
        *options,
        f"--include={','.join(packages)}",
        SUITE,
        str(archive),
    ]


def _validity() -> list[str]:
    listing = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return [line for line in listing.splitlines() if line.startswith(("Acquire::Check-Valid", "Acquire::Check-Date"))]


def _make(packages: tuple[str, ...]) -> Path:
    archive = cache() / f"debian-{key(packages)}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_name(f".{archive.stem}.{os.getpid()}.tar")
        subprocess.run(command(packages, unfinished), check=True, env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH})
        unfinished.replace(archive)
    return archive


def key(packages: tuple[str, ...]) -> str:
    """What the archive depends on, as a digest; Debian's own updates come with a new cache or a `make clean`."""
    return hashlib.sha256(repr((SUITE, packages, LEFT_OUT, EPOCH)).encode()).hexdigest()[:12]
