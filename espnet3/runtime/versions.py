"""Names and versions of code: of this package, of a System class, of a git checkout, of what is installed.

Fingerprints, log heads and the run config ask here; nothing in it imports what it names.
"""

import os
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

REPORTED = ("espnet3", "omegaconf", "numpy", "soundfile", "soxr", "sentencepiece", "torch", "lightning")
GIT_SECONDS = 5


@cache
def package_version() -> str:
    """Version of espnet3, installed or run from its checkout."""
    try:
        return metadata.version("espnet3")
    except metadata.PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def system_name(system: type) -> str:
    """`module.Class`, the same however it was loaded: a class of run.py itself is `run.Class`."""
    module = system.__module__
    of_run = module == "__main__" or module.startswith("_recipe_")
    return f"{'run' if of_run else module}.{system.__qualname__}"


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that can change results."""
    versions = {"python": sys.version.split()[0]}
    for package in REPORTED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_commit(folder: Path) -> str:
    """Commit of the checkout around `folder`, with ` (dirty)` where tracked files differ.

    Outside of a checkout it is the commit that ESPNET3_COMMIT names, as the images do; `unknown` where none does.
    """
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        described = os.environ.get("ESPNET3_COMMIT") or "unknown"
    commit, dash, _ = described.strip().partition("-dirty")
    return f"{commit} (dirty)" if dash else commit
