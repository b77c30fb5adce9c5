import errno
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from espnet3.components.data.manifest import Manifest
from espnet3.errors import ConfigError
from espnet3.systems.base.create_dataset import create_dataset
from tests.small_disks import mounted_disk
from tests.systems.base.building import BUILDER, Recipe, run_elsewhere


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(tmp_path)


KILLED = (
    BUILDER.replace('self._log("build")', 'self._log("build")\n        self._write_half()')
    + """
    def _write_half(self):
        import os, signal
        from espnet3.runtime.files import replacing
        if (self.source.parent / "steps").read_text().count("build") == 1:
            with replacing(self.data_dir / "train.jsonl") as beside:
                beside.write_text("{")
                os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_a_killed_build_is_done_by_the_next_run(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, KILLED)
    killed = run_elsewhere(recipe.config())
    killed.communicate()
    assert killed.returncode == -9
    assert not (recipe.data / "train.jsonl").exists()
    assert recipe.leftovers()
    create_dataset(recipe.config())
    assert recipe.builds == 2
    assert len(Manifest(recipe.data / "train.jsonl")) == 2
    assert recipe.leftovers() == []


def test_a_build_killed_between_manifests_is_not_mixed_with_another(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path)
    create_dataset(recipe.config())
    (recipe.folder / "dataset/__init__.py").write_text(
        BUILDER.replace('{split} {text}"', '{split} {text}" * (1 + self._die(split))')
        + """
    def _die(self, split):
        import os
        if split == "test":
            os.kill(os.getpid(), 9)
        return 0
"""
    )
    killed = run_elsewhere(recipe.config(texts=["THREE"]))
    killed.communicate()
    assert killed.returncode == -9
    (recipe.folder / "dataset/__init__.py").write_text(BUILDER)
    done = run_elsewhere(recipe.config())
    assert (done.communicate()[1], done.returncode) == ("", 0)
    for split in ("train", "test"):
        assert [found.text for found in Manifest(recipe.data / f"{split}.jsonl")] == [f"{split} ONE", f"{split} TWO"]


SLOW = (
    BUILDER.replace('self._log("build")', "self._wait()")
    + """
    def _wait(self):
        import time
        if not (self.source.parent / "first").exists():
            (self.source.parent / "first").touch()
            while not (self.source.parent / "go").exists():
                time.sleep(0.01)
"""
)


@pytest.mark.parametrize("while_the_second_runs", [True, False], ids=["runs", "is done"])
def test_of_two_processes_the_later_one_builds(tmp_path: Path, while_the_second_runs: bool) -> None:
    recipe = Recipe(tmp_path, SLOW)
    first = run_elsewhere(recipe.config())
    while not (recipe.folder / "first").exists():
        assert first.poll() is None
    second = run_elsewhere(recipe.config(texts=["LATER"]))
    if not while_the_second_runs:
        second.wait()
    else:
        owner = (recipe.data / ".lease").read_text()
        while (recipe.data / ".lease").exists() and (recipe.data / ".lease").read_text() == owner:
            assert second.poll() is None
    (recipe.folder / "go").touch()
    assert "now belongs to another run" in first.communicate()[1]
    assert first.returncode == 75
    assert (second.communicate()[1], second.returncode) == ("", 0)
    assert [found.text for found in Manifest(recipe.data / "train.jsonl")] == ["train LATER"]
    assert recipe.leftovers() == []


def test_many_processes_at_once_leave_one_whole_dataset(recipe: Recipe) -> None:
    runs = [run_elsewhere(recipe.config()) for _ in range(3)]
    messages = [run.communicate()[1] for run in runs]
    assert {run.returncode for run in runs} <= {0, 75}, messages
    assert 0 in {run.returncode for run in runs}
    create_dataset(recipe.config())
    assert recipe.leftovers() == []


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a mebibyte."""
    with mounted_disk(tmp_path, "512k") as disk:
        yield disk


def test_a_full_disk_loses_nothing(tmp_path: Path, mounted: Path) -> None:
    recipe = Recipe(tmp_path)
    recipe.data = mounted / "data"
    create_dataset(recipe.config())
    before = {
        path: path.read_bytes() for path in sorted(recipe.data.rglob("*")) if path.name.endswith(("jsonl", "wav"))
    }
    with pytest.raises(OSError, match="No space left") as caught:
        create_dataset(recipe.config(texts=["LONG " * 1000] * 100))
    assert caught.value.errno == errno.ENOSPC
    after = {path: path.read_bytes() for path in sorted(recipe.data.rglob("*")) if path.name.endswith(("jsonl", "wav"))}
    assert after == before
    assert recipe.leftovers() == []


def test_an_unwritable_directory_is_a_fault_of_the_config(tmp_path: Path, mounted: Path) -> None:
    recipe = Recipe(tmp_path)
    recipe.data = mounted
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with pytest.raises(ConfigError, match=r"training_config\.data_dir: .* cannot be written \(Read-only file system\)"):
        create_dataset(recipe.config())


def test_a_manifest_in_a_read_only_place_is_checked_without_an_index(
    recipe: Recipe, mounted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    create_dataset(recipe.config())
    for place in (recipe.data / "audio", recipe.data / "train.jsonl"):
        shutil.copytree(place, mounted / "audio") if place.is_dir() else shutil.copy(place, mounted)
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    config = recipe.config()
    config["dataset"]["valid"] = [{"data_src_args": {"manifest": str(mounted / "train.jsonl")}}]
    create_dataset(config)
    assert f"{mounted}/train.jsonl: its audio index cannot be written here (Read-only file system)." in caplog.messages


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_a_fault_of_the_config(recipe: Recipe) -> None:
    recipe.data.mkdir(mode=0o555)
    with pytest.raises(ConfigError, match=r"training_config\.data_dir: .* cannot be written"):
        create_dataset(recipe.config())


def test_a_file_in_the_place_of_the_directory_is_a_fault_of_the_config(recipe: Recipe) -> None:
    recipe.data.write_text("")
    with pytest.raises(ConfigError, match=r"training_config\.data_dir: .* cannot be written"):
        create_dataset(recipe.config())
