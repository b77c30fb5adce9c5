"""Ctrl-C in a terminal that runs a recipe's run.py: one line, the exit code of another try, and nothing is lost."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.egs3.conftest import Undisturbed
from tests.egs3.digits_run import CONFIGS, STAGES, Digits
from tests.stages.test_stopping import wait_until_it_listens
from tests.trees import differences

pytestmark = pytest.mark.slow


def press(process: "subprocess.Popen[str]", times: int = 1) -> tuple[str, str]:
    """Ctrl-C, which a terminal sends to the whole process group; returns what was said."""
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    return process.communicate(timeout=60)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_interrupted_goes_on_to_the_same_files(
    undisturbed: Undisturbed, after: Callable[[str], Digits], stage: str
) -> None:
    recipe = after(["", *STAGES][STAGES.index(stage)])
    moments = random.Random(stage)
    for _ in range(2):
        process = recipe.start("--stages", stage, before=os.setsid)
        wait_until_it_listens(process)
        time.sleep(moments.uniform(0, 2.0))
        out, err = press(process)
        assert process.returncode in (75, 0), err
        assert "Traceback" not in out + err
        if process.returncode:
            assert re.fullmatch(r"(interrupted; the same command|Asked to stop after .*; run the stage again).*\n", err)
    done = recipe.run("--stages", stage)
    assert done.returncode == 0, done.stderr
    assert differences(recipe.products(), undisturbed.after[stage].products()) == []


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("times", [1, 3])
def test_a_training_writes_a_checkpoint_first(after: Callable[[str], Digits], devices: int, times: int) -> None:
    recipe = after("collect_stats")
    recipe.edit(CONFIGS["training"], "max_epochs: 3", "max_epochs: 400")
    recipe.write(CONFIGS["training"], (recipe.folder / CONFIGS["training"]).read_text() + f"num_device: {devices}\n")
    process = recipe.start("--stages", "train", before=os.setsid)
    assert process.stdout
    for line in process.stdout:
        if "epoch 1:" in line:
            break
    out, err = press(process, times)
    assert process.returncode == 75, err
    assert re.search(r"^Asked to stop after step \d+; run the stage again to go on from there\.\n\Z", err, re.MULTILINE)
    assert "Traceback" not in out + err
    assert (recipe.folder / "exp/tiny/checkpoints/last.ckpt").exists()
