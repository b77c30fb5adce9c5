"""The examples of the interface's documentation, word for word."""

import subprocess
import sys
from pathlib import Path

import pytest

from espnet3.systems.base.system import BaseSystem
from espnet3.utils.stages_utils import run_stages
from tests.spec_texts import RECIPE_SYSTEM, RUN

ROOT = Path(__file__).parents[3]

MY_SYSTEM = """\
from espnet3.systems.base.system import BaseSystem

class MySystem(BaseSystem):
    def train(self):
        (self.exp_dir / "trained").touch()

    def pack_model(self):
        (self.exp_dir / "packed").touch()
"""


def run_recipe(recipe: Path, *flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(recipe / "run.py"), *flags]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}
    )


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "recipe/src").mkdir(parents=True)
    (tmp_path / "recipe/src/system.py").write_text(RECIPE_SYSTEM)
    (tmp_path / "recipe/run.py").write_text(RUN)
    return tmp_path / "recipe"


def test_recipe_system_with_a_stage_of_its_own(recipe: Path, tmp_path: Path) -> None:
    (recipe / "conf").mkdir()
    training = "exp_dir: exp/a\n"
    (recipe / "conf/training.yaml").write_text(training)
    done = run_recipe(recipe, "--stages", "export_debug", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (recipe / "exp/a/debug_export").is_dir()
    assert "DONE export_debug" in (recipe / "exp/a/export_debug.log").read_text()


def test_base_system_with_a_stage_log_mapping(tmp_path: Path) -> None:
    train_cfg = {"exp_dir": str(tmp_path / "exp")}
    infer_cfg = {"inference_dir": str(tmp_path / "inference")}
    system = BaseSystem(
        training_config=train_cfg,
        inference_config=infer_cfg,
        metrics_config=infer_cfg,
        stage_log_mapping={
            "infer": "training_config.exp_dir",
            "measure": "training_config.exp_dir",
        },
    )
    assert system.log_directory("infer") == system.log_directory("measure") == tmp_path / "exp"


def test_run_stages_of_a_system_built_by_hand(tmp_path: Path) -> None:
    ran = []

    class RecordingSystem(BaseSystem):
        def train(self) -> None:
            ran.append("train")

        def infer(self) -> None:
            ran.append("infer")

        def measure(self) -> None:
            ran.append("measure")

    training_config = {"exp_dir": str(tmp_path)}
    inference_config = metrics_config = publication_config = None
    system_cls = RecordingSystem
    system = system_cls(
        training_config=training_config,
        inference_config=inference_config,
        metrics_config=metrics_config,
        publication_config=publication_config,
    )
    run_stages(system=system, stages_to_run=["train", "infer", "measure"])
    assert ran == ["train", "infer", "measure"]


def test_new_system_in_a_package_of_its_own(tmp_path: Path) -> None:
    package = tmp_path / "espnet3/systems/my_task"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "system.py").write_text(MY_SYSTEM)
    script = """
import sys, espnet3.systems
espnet3.systems.__path__.append(sys.argv[1] + "/espnet3/systems")
from espnet3.systems.my_task.system import MySystem
from espnet3.utils.stages_utils import run_stages
run_stages(system=MySystem(training_config={"exp_dir": sys.argv[1]}), stages_to_run=["train", "pack_model"])
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT, capture_output=True)
    assert (tmp_path / "trained").exists()
    assert (tmp_path / "packed").exists()
