"""Fill /opt/venv from a hash-pinned requirement file or from the project's wheel.

The Dockerfiles call it, in the builder. How this machine reaches a package index (proxy, index, certificates) arrives
as build secrets, which no layer keeps. The files it leaves are the same bytes for the same input, so that a layer
rebuilt from nothing has the digest that the registry already knows.
"""

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path

from images.inside import torch_cpu

SECRETS = Path("/run/secrets")
VENV = Path("/opt/venv")
UV_HOME = Path("/opt/uv")
SETUP = Path("requirements/setup.txt")
EPOCH = 315532800  # 1980-01-01, the earliest that a zip file can hold
CUDA = re.compile(r"^(nvidia-|cuda-|triton$)")
CUDA_RUNTIME = "nvidia-cuda-runtime"  # the one CUDA library that libtorch calls when it is loaded
HAVE_TESTS = ("numpy", "sympy", "networkx", "mpmath")
"""Packages whose wheels carry their own tests, megabytes of them."""


def environment(secrets: Path = SECRETS) -> dict[str, str]:
    """The environment that reaches the package index: this process's own, with what the build's secrets say."""
    found = dict(os.environ) | {"UV_LINK_MODE": "copy"}
    network = secrets / "network"
    if network.is_file():
        pairs = (line.partition("=") for line in network.read_text(encoding="utf-8").splitlines() if "=" in line)
        found |= {key: value for key, _, value in pairs}
    if _filled(secrets / "certificates"):
        found |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), str(secrets / "certificates"))
    if _filled(secrets / "uv"):
        found["UV_CONFIG_FILE"] = str(secrets / "uv")
    return found


def _filled(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def blocks(text: str) -> dict[str, str]:
    """A requirement file's entries by package name, each with its hashes; a name with two markers keeps both."""
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if line.strip() and not line[0].isspace() and not line.startswith("#"):
            name = re.split(r"[=<>!~;\[ ]", line, maxsplit=1)[0].lower()
        if name and not line.startswith("#"):
            entries[name] = entries.get(name, "") + line
    return entries


def wanted(name: str, device: str, torch_index: str) -> bool:
    """Whether a package of the requirement file is installed as it is for this device."""
    if device == "cuda":
        return True
    if torch_index:
        return name != "torch" and not CUDA.match(name)
    return name == CUDA_RUNTIME or not CUDA.match(name)


def run(*command: str | Path) -> None:
    """Run a command with the index's environment; its output is the build's log."""
    subprocess.run([str(word) for word in command], env=environment(), check=True)


def install_uv() -> None:
    """Make /opt/uv, with uv and what builds the one dependency that has no wheel."""
    run("python3", "-m", "venv", UV_HOME)
    pip: list[str | Path] = [UV_HOME / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--require-hashes", "-r", SETUP)


def install_requirements(args: argparse.Namespace) -> None:
    """Make /opt/venv from a requirement file: all of it, or what another file also has, or what it has not."""
    entries = blocks(args.file.read_text(encoding="utf-8"))
    if args.also_in:
        entries = {name: block for name, block in entries.items() if name in blocks(args.also_in.read_text("utf-8"))}
    if args.not_in:
        entries = {name: block for name, block in entries.items() if name not in blocks(args.not_in.read_text("utf-8"))}
    fetched = args.torch_index if "torch" in entries and args.device == "cpu" else ""
    text = "".join(block for name, block in entries.items() if wanted(name, args.device, args.torch_index))
    file = args.file.with_suffix(".chosen")
    file.write_text(text, encoding="utf-8")
    uv = UV_HOME / "bin/uv"
    run(uv, "venv", "--quiet", "--python", "python3", VENV)
    pip: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", VENV / "bin/python", "--no-deps"]
    run(*pip, "--require-hashes", "--build-constraints", SETUP, "-r", file)
    if fetched:
        version = re.search(r"^torch==(\S+)", entries["torch"])
        run(*pip, "--index-url", fetched, f"torch=={version[1] if version else ''}")
    if "torch" in entries:
        _finish_torch(args.device, slim=args.device == "cpu" and not fetched)
    settle(site_packages())


def _finish_torch(device: str, *, slim: bool) -> None:
    """Slim torch where asked, and hold that it works: a build that fails is better than a stage that does."""
    if slim:
        torch_cpu.slim(site_packages())
    run(VENV / "bin/python", "-m", "images.inside.torch_selftest", device)


def install_project(folder: Path) -> None:
    """Put the project's wheel where /opt/venv has its packages, alone, so that the layer holds nothing else."""
    (wheel,) = folder.glob("*.whl")
    target = VENV / f"lib/python3.{sys.version_info.minor}/site-packages"
    run(UV_HOME / "bin/uv", "pip", "install", "--quiet", "--no-deps", "--python", "python3", "--target", target, wheel)
    settle(target)


def site_packages() -> Path:
    """The folder of /opt/venv that holds packages."""
    (found,) = VENV.glob("lib/python3*/site-packages")
    return found


def settle(packages: Path) -> None:
    """Drop what no stage needs, compile all modules, and give every file the same date."""
    for name in HAVE_TESTS:
        for tests in sorted((packages / name).rglob("tests")):
            shutil.rmtree(tests, ignore_errors=True)
    for pattern in (
        ".lock",
        "*.dist-info/direct_url.json",
        "*.dist-info/uv_cache.json",
    ):  # say where and when it was installed
        for leftover in packages.glob(pattern):
            leftover.unlink()
    # Without a date inside, compiled modules are the same bytes each time, and no import looks at its source's date.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(str(packages), quiet=2, workers=0, force=True, invalidation_mode=mode)
    for path in (*VENV.rglob("*"), VENV):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def main() -> None:
    """Do what the Dockerfile asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("uv")
    requirements = commands.add_parser("requirements")
    requirements.add_argument("file", type=Path)
    requirements.add_argument("--also-in", type=Path)
    requirements.add_argument("--not-in", type=Path)
    requirements.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    requirements.add_argument("--torch-index", default="")
    commands.add_parser("project").add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.command == "uv":
        install_uv()
    elif args.command == "requirements":
        install_requirements(args)
    else:
        install_project(args.folder)


if __name__ == "__main__":
    main()
