"""Images, extras, stages and Dockerfiles agree, and hadolint has nothing to say."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import stages
from images.catalog import BUDGETS, FOLDER, NAMES, ROOT, Variant, version

HELPERS = {"base", "debian", "torch"}
DOCKERFILES = sorted(FOLDER.glob("*/Dockerfile"))


def test_each_image_has_a_folder_and_an_extra_of_its_name() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {file.parent.name for file in DOCKERFILES} - HELPERS == set(NAMES)
    assert set(extras) - {"k8s", "dev"} == set(NAMES)
    assert set(BUDGETS) <= set(NAMES)


def test_each_stage_names_an_image() -> None:
    modules = [file.stem for file in (ROOT / "stages").glob("[a-z]*.py")]
    assert modules
    assert {stages.container_of(stage).image for stage in modules} <= set(NAMES)


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_hadolint_passes(file: Path) -> None:
    done = subprocess.run([Path(sys.executable).parent / "hadolint", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("image", NAMES)
def test_an_image_installs_its_own_requirements_and_comes_second_to_its_layers(image: str) -> None:
    text = (FOLDER / image / "Dockerfile").read_text("utf-8")
    final = text.rpartition("\nFROM ")[2]
    assert f"requirements/{image}.txt" in text
    assert f'title="espnet3-{image}"' in final
    assert final.index("--from=dependencies") < final.index("--from=project")
    copies = [line for line in final.splitlines() if line.startswith("COPY")]
    assert all(line.endswith(" /opt/venv /opt/venv") for line in copies)


def test_the_readme_has_a_row_for_each_image_and_its_budget() -> None:
    rows = [line for line in (FOLDER / "README.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    for image in NAMES:
        assert sum(line.startswith(f"| {image} ") for line in rows) == 2, image
    assert all(any(line.startswith(f"| {i} ") and f"| {b} |" in line for line in rows) for i, b in BUDGETS.items())


@pytest.mark.parametrize(
    ("variant", "registry", "expected"),
    [
        (Variant("1.2"), "", "localhost/espnet3-train:1.2"),
        (Variant("1.2", "cuda"), "", "localhost/espnet3-train:1.2-cuda"),
        (Variant("1.2"), "registry.example.org/speech", "registry.example.org/speech/espnet3-train:1.2"),
    ],
    ids=["local", "cuda", "registry"],
)
def test_names(variant: Variant, registry: str, expected: str) -> None:
    assert (variant.reference("train", registry) if registry else variant.reference("train")) == expected


def test_the_version_is_the_project_s() -> None:
    assert f'version = "{version()}"' in (ROOT / "pyproject.toml").read_text("utf-8")
