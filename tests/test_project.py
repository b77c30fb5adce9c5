"""The project's own files agree with each other: extras, requirement files, commands, and the README with the code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OLDEST = PROJECT["project"]["requires-python"].removeprefix(">=")
EXTRAS = PROJECT["project"]["optional-dependencies"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PIN = re.compile(r"^[A-Za-z0-9._-]+==\S+( ; .+)? \\$")


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / path for path in listing.split("\0") if path and (ROOT / path).is_file()]


def test_each_extra_has_a_requirement_file_and_the_other_way_round() -> None:
    files = {file.stem for file in (ROOT / "requirements").glob("*.txt")} - {"setup"}
    assert files == set(EXTRAS)


@pytest.mark.parametrize("file", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda file: file.stem)
def test_requirements_are_pinned_by_version_and_hash_without_addresses(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "://" not in text
    lines = text.splitlines()
    for here, line in enumerate(lines):
        if line and not line.startswith((" ", "#")):
            assert PIN.match(line), f"{file.name}:{here + 1}: {line}"
            assert lines[here + 1].strip().startswith("--hash=sha256:"), f"{file.name}:{here + 1} has no hash"


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_each_direct_dependency_is_in_the_requirement_file(extra: str) -> None:
    lines = (ROOT / "requirements" / f"{extra}.txt").read_text(encoding="utf-8").splitlines()
    wanted = {re.split(r"[<>=\[]", need)[0] for need in [*PROJECT["project"]["dependencies"], *EXTRAS[extra]]}
    assert wanted - {"espnet3"} <= {line.split("==")[0] for line in lines if "==" in line}


def test_the_same_package_has_the_same_version_everywhere() -> None:
    versions: dict[str, set[str]] = {}
    for file in (ROOT / "requirements").glob("*.txt"):
        for line in file.read_text("utf-8").splitlines():
            if PIN.match(line):
                pin, _, marker = line.rstrip(" \\").partition(" ; ")
                versions.setdefault(f"{pin.split('==')[0]} ; {marker}", set()).add(pin)
    assert {key: pins for key, pins in versions.items() if len(pins) > 1} == {}


def test_the_readme_names_every_command_that_a_user_types() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", README, re.MULTILINE))
    assert {target for pair in named for target in pair if target} <= targets
    assert {"demo", "test", "check", "bench"} <= {target for pair in named for target in pair}


def links() -> list[tuple[str, str]]:
    documents = [file for file in tracked() if file.suffix == ".md"]
    return [
        (str(file.relative_to(ROOT)), target)
        for file in documents
        for target in re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8"))
        if "://" not in target
    ]


@pytest.mark.parametrize(("document", "target"), links())
def test_relative_links_lead_somewhere(document: str, target: str) -> None:
    assert ((ROOT / document).parent / target).exists()


def test_the_paths_that_the_readme_tells_to_touch_exist() -> None:
    paths = re.findall(r"`((?:espnet3|egs3|tests|stages|images|k8s|charts)/[^`<>*]*)`", README)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_makefile_and_readme_name_the_oldest_python() -> None:
    assert re.findall(r"--python-version (\S+)", MAKEFILE) == [OLDEST] * 2
    assert f"Python {OLDEST} or newer" in README


@pytest.mark.parametrize("version", ["3.11.2", "3.9.18", "2.7.18"])
def test_setup_refuses_an_older_python_before_anything_is_installed(tmp_path: Path, version: str) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(ROOT / name)
    python = tmp_path / "python-old"
    old = f"import sys; sys.version, sys.version_info = '{version} (main)', {tuple(map(int, version.split('.')))}; "
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "{old} exec(sys.argv[1])" "$@"\n')
    python.chmod(0o755)
    made = subprocess.run(
        ["make", "setup", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made.returncode != 0
    assert f"needs Python {OLDEST} or newer, and {python} is {version}. Install a newer one" in made.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_changelog_knows_the_version() -> None:
    assert PROJECT["project"]["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
