"""What a volume can do to a stage: full, read-only, of another user, damaged. Told plainly, nothing lost, then done."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.volume import Undisturbed, Volume
from tests.egs3.digits_run import STAGES, respect_permissions

pytestmark = pytest.mark.slow

PLACES = {
    "create_dataset": "data",
    "train_tokenizer": "data",
    "collect_stats": "data/stats",
    "train": "exp",
    "infer": "exp",
    "measure": "exp",
    "pack_model": "exp",
    "pack_demo": "exp",
}
"""Where each stage writes."""


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, *options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def take_place_of(self, place: Path) -> None:
        """Hold what is at `place`, where a link leads here from now on."""
        if place.exists():
            subprocess.run(["cp", "-a", f"{place}/.", str(self.folder)], check=True)
            subprocess.run(["rm", "-r", str(place)], check=True)
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(self.folder)

    def fill(self) -> None:
        """Leave no byte."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    disk.folder.mkdir()
    if os.geteuid() != 0 or not disk.mount("size=256m", "mode=777"):
        pytest.skip("a disk of its own takes root and the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.folder)], check=True)


@pytest.fixture
def volume_before(undisturbed_stages: Undisturbed, tmp_path: Path) -> Callable[[str], Volume]:
    return lambda stage: undisturbed_stages.before(stage).copy(tmp_path / "volume")


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_told_and_loses_nothing(
    undisturbed_stages: Undisturbed, volume_before: Callable[[str], Volume], disk: Disk, stage: str
) -> None:
    volume = volume_before(stage)
    disk.take_place_of(volume.folder / PLACES[stage])
    disk.fill()
    code, said = volume.run(stage)
    assert code in (1, 78), said
    assert "No space left on device" in said
    assert "Traceback" not in said
    (disk.folder / "ballast").unlink()
    code, said = volume.run(stage)
    assert code == 0, said
    assert volume.differs_from(undisturbed_stages.after[stage]) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_read_only_volume_is_told_before_anything_starts(
    undisturbed_stages: Undisturbed, volume_before: Callable[[str], Volume], disk: Disk, stage: str
) -> None:
    volume = volume_before(stage)
    disk.take_place_of(volume.folder / PLACES[stage])
    assert disk.mount("remount", "ro")
    code, said = volume.run(stage)
    assert code == 78, said
    assert "read-only" in said.lower()
    assert "Traceback" not in said
    assert disk.mount("remount", "rw")
    code, said = volume.run(stage)
    assert code == 0, said
    assert volume.differs_from(undisturbed_stages.after[stage]) == []


@pytest.mark.parametrize("stage", ["create_dataset", "train", "measure"])
def test_a_volume_of_another_user_is_told_until_the_group_may_write(
    undisturbed_stages: Undisturbed, volume_before: Callable[[str], Volume], stage: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a folder to another user takes root")
    volume = volume_before(stage)
    for place in ("data", "exp"):
        (volume.folder / place).mkdir(exist_ok=True)
        subprocess.run(["chown", "-R", "54321:0", str(volume.folder / place)], check=True)
        subprocess.run(["chmod", "-R", "u=rwX,g=rX,o=rX", str(volume.folder / place)], check=True)
    code, said = volume.run(stage, before=respect_permissions)
    assert code == 78, said
    assert "cannot be written" in said
    assert "Traceback" not in said
    subprocess.run(["chmod", "-R", "g+w", str(volume.folder)], check=True)
    code, said = volume.run(stage, before=respect_permissions)
    assert code == 0, said
    assert volume.differs_from(undisturbed_stages.after[stage]) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null"], ids=["empty", "cut", "list", "null"])
@pytest.mark.parametrize(
    ("stage", "record"),
    [
        ("create_dataset", "data/.built.json"),
        ("create_dataset", "data/.done/create_dataset.json"),
        ("train", "exp/tiny/averaged.json"),
        ("train", "exp/tiny/checkpoints/training.json"),
        ("train", "exp/tiny/metrics.csv"),
        ("train", "exp/tiny/.done/train.json"),
    ],
)
def test_a_damaged_record_is_mended(
    undisturbed_stages: Undisturbed, tmp_path: Path, stage: str, record: str, damage: bytes
) -> None:
    volume = undisturbed_stages.after[stage].copy(tmp_path / "volume")
    if stage == "train":  # as after a crash between the last record and this one
        (volume.folder / "exp/tiny/.done/train.json").unlink()
    (volume.folder / record).write_bytes(damage)
    code, said = volume.run(stage, ESPNET3_FORCE=stage if stage == "create_dataset" else "")
    assert code == 0, said
    assert "Traceback" not in said
    if record.endswith("metrics.csv"):
        return  # is not looked at again where the training is finished
    assert volume.differs_from(undisturbed_stages.after[stage]) == []


def test_checkpoints_that_are_cut_in_half_are_passed_over(undisturbed_stages: Undisturbed, tmp_path: Path) -> None:
    volume = undisturbed_stages.before("train").copy(tmp_path / "volume")
    process = volume.start("train")
    last = volume.folder / "exp/tiny/checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for path in last.parent.glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, said = volume.run("train")
    assert code == 0, said
    assert "last.ckpt cannot be read" in said
    for path in last.parent.glob("*.damaged"):
        path.unlink()
    assert volume.differs_from(undisturbed_stages.after["train"]) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("learning", "leaning").replace("import", "imprt", 1),
        lambda text: "",
        lambda text: "\0\1\2",
    ],
    ids=["cut in half", "changed", "empty", "no text"],
)
def test_a_corrupt_run_config_is_told(
    undisturbed_stages: Undisturbed, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    volume = undisturbed_stages.before("train").copy(tmp_path / "volume")
    sound, volume.config = volume.config, tmp_path / "run.yaml"
    volume.config.write_text(damage(sound.read_text(encoding="utf-8")), encoding="utf-8")
    code, said = volume.run("train")
    assert code == 78, said
    assert str(volume.config) in said
    assert "Traceback" not in said
    assert volume.differs_from(undisturbed_stages.before("train")) == []
