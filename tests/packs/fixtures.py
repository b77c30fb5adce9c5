"""One experiment and its pack for the tests of packs, wherever they stand; a conftest.py imports what it needs.

A test that changes them works on a copy.
"""

import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from espnet3.systems.asr.system import ASRSystem
from tests.packs.experiment import make_experiment, with_pack

__all__ = ["experiment", "pack", "trained"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ASRSystem]:
    """The folder of an experiment that is measured and packed with its ONNX models, and its System."""
    folder = tmp_path_factory.mktemp("experiment")
    system = make_experiment(folder, auxiliary=True)
    packing = with_pack(system, onnx={"export": True, "int8": True})
    with chdir(folder):
        packing.pack_model()
    return folder, system


@pytest.fixture
def experiment(
    trained: tuple[Path, ASRSystem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, ASRSystem]:
    """A copy of it, as the working directory."""
    folder, system = trained
    shutil.copytree(folder, tmp_path / "work", copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work", system


@pytest.fixture
def pack(trained: tuple[Path, ASRSystem], tmp_path: Path) -> Path:
    """A copy of the pack alone."""
    folder, _ = trained
    shutil.copytree(folder / "exp" / "pack", tmp_path / "pack", copy_function=shutil.copyfile)
    return tmp_path / "pack"
