"""Users that share a volume by a group: each goes on with what another has made; one outside is told why it cannot."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recipe.toy_recipe import ALL
from tests.stages.conftest import Place

SHARED = 12000
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root may become another user, by setpriv"
)


@pytest.fixture
def volume(place: Place) -> Iterator[Path]:
    """A folder of a shared group that other users can reach, with the run config; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        volume = Path(folder, "volume")
        volume.mkdir()
        os.chown(volume, 0, SHARED)
        volume.chmod(0o2775)
        shutil.copyfile(place.config, volume / "run.yaml")
        yield volume


def run(volume: Path, user: int, *words: str, groups: str = f"{SHARED}") -> "subprocess.CompletedProcess[str]":
    who = ["setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={groups}"]
    return subprocess.run(
        [*who, sys.executable, "-B", "-m", "stages", *words],
        cwd=volume,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"},
    )


def test_each_stage_as_another_user_of_the_group(volume: Path) -> None:
    config = ("--config", "run.yaml")
    for user, stage in enumerate(["plan", *ALL, "report"], start=12001):
        ran = run(volume, user, stage, *config)
        assert ran.returncode == 0, ran.stderr
    again = run(volume, 12050, "plan", *config)
    assert again.returncode == 0, again.stderr
    assert all(path.stat().st_gid == SHARED for path in volume.rglob("*") if path.name != "run.yaml")


@pytest.mark.parametrize("words", [("plan", "--config", "run.yaml"), ("train", "--config", "run.yaml")], ids=str)
def test_a_user_outside_the_group_is_told(volume: Path, words: tuple[str, ...]) -> None:
    ran = run(volume, 12001, *words, groups="12002")
    assert ran.returncode == 78
    assert "Permission denied: '.runs'; this process is uid 12001 and gid 12001: make it accessible" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_run_config_that_cannot_be_read_is_told(volume: Path) -> None:
    (volume / "run.yaml").chmod(0o600)
    ran = run(volume, 12001, "train", "--config", "run.yaml")
    assert ran.returncode == 78
    assert "The run config run.yaml cannot be read: Permission denied" in ran.stderr


def test_the_doctor_tells_who_may_not_write(volume: Path) -> None:
    ran = run(volume, 12001, "doctor", ".", groups="12002")
    assert ran.returncode == 78
    for words in (
        "the folder belongs to uid 0 (root) and gid 12000, mode 2775",
        "this process is uid 12001 and gid 12001, further groups 12002",
        "fsGroup or supplementalGroups in Kubernetes",
    ):
        assert words in ran.stderr
