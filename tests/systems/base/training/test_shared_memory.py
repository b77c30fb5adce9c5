"""A /dev/shm without room: what is said where processes that prepare batches, or work in a pool, need it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from espnet3.errors import TryAgain
from espnet3.runtime.failures import failure_of
from espnet3.systems.base import training_session
from espnet3.systems.base.training_session import run_loop

ROOT = Path(__file__).parents[4]
TRAIN = """
import sys
from omegaconf import OmegaConf
from espnet3.runtime.failures import exit_code_of
from espnet3.systems.base.training import {stage}
try:
    {stage}(OmegaConf.load(sys.argv[1]))
except BaseException as error:
    sys.exit(exit_code_of(error))
"""


def with_little_shared_memory(size: str, code: str, config: Path) -> subprocess.CompletedProcess[str]:
    mounted = 'mount -t tmpfs -o size="$1" none /dev/shm'
    if os.geteuid() or subprocess.run(["unshare", "-m", "sh", "-c", mounted, "sh", "64k"], check=False).returncode:
        pytest.skip("another /dev/shm takes root and the right to mount a tmpfs")
    command = ["unshare", "-m", "sh", "-c", f'{mounted} && shift && exec "$@"', "sh", size]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, sys.executable, "-c", code, str(config)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("stage", "changes"),
    [("train", {"dataloader__num_workers": 2}), ("collect_stats", {"num_workers": 2})],
    ids=["batches", "pool"],
)
def test_it_is_named_with_what_helps(
    make_config: Callable[..., Any], tmp_path: Path, stage: str, changes: dict[str, Any]
) -> None:
    OmegaConf.save(OmegaConf.create(make_config(**changes)), tmp_path / "config.yaml")
    done = with_little_shared_memory("4k", TRAIN.format(stage=stage), tmp_path / "config.yaml")
    assert "Traceback" not in done.stderr
    if done.returncode:  # a pool may do without
        assert "/dev/shm" in done.stderr
        assert "--shm-size" in done.stderr
        assert "num_workers: 0" in done.stderr
        assert "pools.gpu.shm" in done.stderr
    assert done.returncode == 1 or stage != "train"


def test_a_process_that_dies_of_it_is_no_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch tells it; what a kernel does to a process is not to be had in a test."""

    class Dying:
        def __getattr__(self, name: str) -> Any:
            return self

        def __call__(self, *_: Any) -> Any:
            return self

    def die(*_: Any) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that …\nmore")

    monkeypatch.setattr(training_session, "TrainingLoop", die)
    parts: Any = Dying()
    settings: Any = Dying()
    with pytest.raises(TryAgain, match=r"Bus error.*/dev/shm.*--shm-size") as raised:
        run_loop(parts, settings, parts)
    assert "memory ran out" not in failure_of(raised.value).text
