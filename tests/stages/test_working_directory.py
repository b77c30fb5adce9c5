"""A container makes its own working directory: what the runtime makes belongs to root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(workdir: Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stages.measure", "--config", "run.yaml"]
    environment = os.environ | {"ESPNET3_WORKDIR": str(workdir)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_it_is_made_writable_for_the_group(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("here: no\n", encoding="utf-8")
    done = run(tmp_path / "digits" / "asr", tmp_path)
    assert (tmp_path / "digits" / "asr").is_dir()
    assert (tmp_path / "digits").stat().st_mode & 0o777 == 0o775
    assert done.returncode == 78
    assert "run.yaml cannot be read" in done.stderr, "the config is looked for in the working directory"


@pytest.mark.parametrize("blocked", ["digits", "digits/asr"])
def test_one_that_cannot_be_made_is_told(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file", encoding="utf-8")
    done = run(tmp_path / "digits" / "asr", tmp_path)
    assert done.returncode == 78
    assert str(tmp_path / "digits" / "asr") in done.stderr
    assert "Traceback" not in done.stderr
