"""The READMEs' lines for a stage in a container: each names its stage's image, and they run as they stand."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from images.catalog import ROOT, Variant, version
from images.engine import Engine, works
from stages import container_of
from tests.images import docker
from tests.readmes import lines_of, type_lines

VARIANT = Variant(version())
READMES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "images/README.md")}
LINES = [line for text in READMES.values() for line in text.splitlines() if line.startswith("docker run")]


def test_both_readmes_have_lines() -> None:
    assert all("\ndocker run" in text for text in READMES.values())


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition("0.1.0 ")[2])
def test_a_line_runs_its_stage_in_its_image(line: str) -> None:
    said = docker.parser().parse_args(shlex.split(line)[2:])
    assert said.image == VARIANT.reference(container_of(said.stage).image)
    assert said.arguments == ["--config", "/workspace/run.yaml"]
    assert said.env == ["ESPNET3_WORKDIR=/workspace/digits/asr"]


@pytest.mark.slow
def test_the_first_lines_work_as_they_stand_there(tmp_path: Path) -> None:
    engine = next((name for name in ("docker", "podman", "buildah") if has_image(name)), None)
    if engine is None:
        pytest.skip("no engine here has the image of data: make images")
    for name in ("egs3", "build"):
        (tmp_path / name).symlink_to(ROOT / name)
    words = f"{sys.executable} -m tests.images.docker" if engine == "buildah" else engine
    (tmp_path / "docker").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {words} "$@"\n', encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    done = type_lines(lines_of(READMES["images/README.md"], "## Run one stage alone"), tmp_path, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DONE create_dataset" in done.stdout
    assert (tmp_path / "workspace/digits/asr/data/train.jsonl").exists()


def has_image(name: str) -> bool:
    return works(name) and Engine(name).has(VARIANT.reference("data")) and (name != "buildah" or os.geteuid() == 0)
