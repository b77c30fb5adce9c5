"""A recipe with a stage and shards of its own on Argo, submitted twice: no image is made anew, and the second waits."""

from pathlib import Path
from typing import Any

import pytest

from tests.cluster import argo as programs
from tests.cluster import install, stage_jobs
from tests.cluster.kube import Cluster, until
from tests.cluster.test_argo import submit, succeed
from tests.egs3.digits_run import Digits

pytestmark = pytest.mark.slow
SHARDS = 3
SYSTEM = '''"""Digits, with a stage that counts hypotheses, and a shard that is preempted at its first attempt."""

import os
from pathlib import Path

from espnet3.errors import TryAgain
from espnet3.systems.asr.system import ASRSystem


class Counting(ASRSystem):
    def infer(self) -> None:
        if os.environ.get("ESPNET3_SHARD_INDEX") == "1" and os.environ["ESPNET3_ATTEMPT"] == "0":
            raise TryAgain("the node goes away")
        super().infer()

    def count_texts(self) -> None:
        folder = Path(self.inference_config.inference_dir)
        lines = [line for path in folder.rglob("hyp.scp") for line in path.read_text("utf-8").splitlines()]
        Path(self.training_config.exp_dir, "count.txt").write_text(str(len(lines)))
'''


@pytest.fixture(scope="module")
def submitted(argo: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The names of two runs of one recipe; the second was submitted at once."""
    folder = tmp_path_factory.mktemp("counting")
    recipe = stage_jobs.new(folder, "counting")
    recipe.write("src/__init__.py", "")
    recipe.write("src/system.py", SYSTEM)
    recipe.edit("run.py", "from espnet3.systems.asr.system import ASRSystem", "from src.system import Counting")
    recipe.edit("run.py", "SYSTEM_CLS = ASRSystem", "SYSTEM_CLS = Counting")
    recipe.edit("run.py", '"measure",', '"measure",\n    "count_texts",')
    recipe.write("conf/workflow.yaml", f"infer: {{shards: {SHARDS}}}\ncollect_stats: {{shards: 2}}\n")
    return submit(argo, recipe, folder), submit(argo, recipe, folder)


@pytest.fixture(scope="module")
def state(argo: Cluster, submitted: tuple[str, str]) -> dict[str, Any]:
    """The first of them when it is over, until which the second has waited."""
    first, second = submitted
    until(lambda: "Waiting for" in programs.status(argo, second).get("message", ""), 60, "a run that waits")
    assert programs.ran(programs.status(argo, second)) == []
    return succeed(argo, first)


def test_a_preempted_shard_is_tried_again_without_its_siblings(state: dict[str, Any]) -> None:
    attempts = [node for node in programs.nodes(state) if node["templateName"] == "infer-shard"]
    assert len(attempts) == SHARDS + 1, programs.messages(state)
    assert [node["phase"] for node in attempts].count("Succeeded") == SHARDS
    assert len([node for node in programs.nodes(state) if node["templateName"] == "infer-merge"]) == 1


def test_the_merged_files_are_those_of_one_process(
    argo: Cluster, state: dict[str, Any], undisturbed: Digits, tmp_path: Path
) -> None:
    there = install.fetch(argo, "counting/asr", tmp_path)
    files = [path.relative_to(undisturbed.folder) for path in undisturbed.folder.glob("exp/tiny/greedy/*/*.scp")]
    files += [path.relative_to(undisturbed.folder) for path in undisturbed.folder.glob("data/stats/*/train/*.npz")]
    files += [Path("exp/tiny/averaged.safetensors")]
    assert len(files) == 3
    for name in files:
        assert (there / name).read_bytes() == (undisturbed.folder / name).read_bytes(), name
    assert (there / "exp/tiny/count.txt").read_text() == "150"


def test_the_second_run_waits_and_then_has_little_to_do(
    argo: Cluster, state: dict[str, Any], submitted: tuple[str, str]
) -> None:
    assert "count-texts" in programs.ran(state)
    second = succeed(argo, submitted[1], 120)
    assert "train" not in programs.ran(second)
    plan = programs.nodes(second)[0]
    assert plan["templateName"] == "plan"
    assert plan["startedAt"] >= max(node["finishedAt"] for node in programs.nodes(state))
