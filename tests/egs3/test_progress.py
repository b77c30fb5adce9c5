"""What a workflow shows of a stage that runs: the progress file, which the stage's container writes all along."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.egs3.digits_run import Digits

pytestmark = pytest.mark.slow
After = Callable[[str], Digits]


def watched(recipe: Digits, stage: str, **env: str) -> list[tuple[int, int]]:
    """Run a stage by its entrypoint, and read the progress file as Argo's sidecar does, only more often."""
    config, file = recipe.folder / "run.yaml", recipe.folder.parent / "progress"
    config.write_text(recipe.run("--print_config").stdout, encoding="utf-8")
    file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}", "--config", str(config)],
        cwd=recipe.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ARGO_PROGRESS_FILE": str(file), **env},
    )
    seen = []
    while process.poll() is None:
        seen += read(file)
        time.sleep(0.001)
    assert process.returncode == 0
    return list(dict.fromkeys([*seen, *read(file)]))


def read(file: Path) -> list[tuple[int, int]]:
    """The whole file, or none; never half of one."""
    if not file.exists():
        return []
    found = re.fullmatch(r"(\d+)/(\d+)", file.read_text(encoding="ascii"))
    assert found
    return [(int(found[1]), int(found[2]))]


def is_progress(seen: list[tuple[int, int]]) -> bool:
    """It begins with little, only grows, and ends with all of it."""
    done, totals = zip(*seen, strict=True)
    return len(set(totals)) == 1 and list(done) == sorted(done) and done[0] < done[-1] == totals[0]


def test_training_counts_the_batches_of_all_epochs(after: After) -> None:
    recipe = after("collect_stats")
    seen = watched(recipe, "train")
    assert is_progress(seen)
    epochs = 3
    assert seen[0][0] == 1
    assert seen[0][1] % epochs == 0
    assert seen[0][1] > epochs


def test_inference_counts_the_utterances_of_all_test_sets(after: After) -> None:
    recipe = after("train")
    seen = watched(recipe, "infer")
    assert is_progress(seen)
    outputs = list((recipe.folder / "exp").rglob("hyp.scp"))
    assert seen[-1][1] == sum(len(file.read_text(encoding="utf-8").splitlines()) for file in outputs)


def test_a_shard_counts_its_own(after: After) -> None:
    recipe = after("train")
    parts = [watched(recipe, "infer", ESPNET3_SHARD_COUNT="2", ESPNET3_SHARD_INDEX=index) for index in "01"]
    assert all(map(is_progress, parts))
    total = watched(recipe, "infer", ESPNET3_SHARD_COUNT="2", ESPNET3_SHARD_INDEX="merge")
    assert total == [], "putting together is done in an instant"
    outputs = list((recipe.folder / "exp").rglob("hyp.scp"))
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in outputs)
    assert sum(part[-1][1] for part in parts) == lines
