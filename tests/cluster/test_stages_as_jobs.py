"""Each stage as a plain Kubernetes Job in its own image, on claims, under Pod Security `restricted`, without Argo."""

from pathlib import Path
from typing import Any

import pytest

from tests.cluster import install, stage_jobs
from tests.cluster.kube import Cluster, pod_of, until
from tests.cluster.stage_jobs import Job
from tests.egs3.digits_run import STAGES, Digits
from tests.trees import differences, products, read_tree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def jobs(chart: Cluster, undisturbed: Digits) -> dict[str, Job]:
    """Every stage of the same recipe, run as a Job in a workspace where nothing was made."""
    install.remove(chart, "tiny")
    return stage_jobs.run(chart, undisturbed, STAGES)


def test_all_stages_leave_the_tree_of_a_local_run(
    chart: Cluster, jobs: dict[str, Job], undisturbed: Digits, tmp_path: Path
) -> None:
    there = install.fetch(chart, "tiny/asr", tmp_path)
    assert differences(products(undisturbed.folder), products(there)) == []
    assert read_tree(undisturbed.folder).keys() == read_tree(there).keys()
    assert {path.name for path in there.iterdir()} - {".digests"} == {".runs", "data", "exp"}


def test_each_stage_runs_in_an_image_of_its_own(chart: Cluster, jobs: dict[str, Job]) -> None:
    images = {stage: job.pods()[0]["spec"]["containers"][0]["image"] for stage, job in jobs.items()}
    kinds = {
        stage: image.rpartition("/")[2].partition(":")[0].removeprefix("espnet3-") for stage, image in images.items()
    }
    assert kinds == {
        "create_dataset": "data",
        "train_tokenizer": "data",
        "collect_stats": "data",
        "train": "train",
        "infer": "infer",
        "measure": "measure",
        "pack_model": "infer",
        "pack_demo": "publish",
    }


def test_logs_are_on_the_volume_and_in_kubectl(chart: Cluster, jobs: dict[str, Job], tmp_path: Path) -> None:
    there = install.fetch(chart, "tiny/asr", tmp_path)
    logs = {path.stem: path.read_text(encoding="utf-8") for path in there.rglob("*.log")}
    assert set(logs) == set(STAGES)
    for stage, job in jobs.items():
        printed = job.logs().splitlines()
        assert [line for line in logs[stage].splitlines() if line not in printed] == []


def test_a_stage_that_is_done_ends_at_once(chart: Cluster, jobs: dict[str, Job], undisturbed: Digits) -> None:
    chart.kubectl("delete", "job", jobs["train"].name, "--wait=true")
    again = stage_jobs.start(chart, undisturbed, "train")
    again.succeed(60)
    assert "already done" in again.logs()


TWO_PODS = """\
import os
from pathlib import Path
from espnet3.pipeline import contents

os.makedirs("two_pods", exist_ok=True)
os.chdir("two_pods")
{work}
print(contents.content_of(Path("large.bin")).digest)
"""


def test_what_one_pod_has_written_another_does_not_hash_anew(chart: Cluster) -> None:
    """On one claim; the second pod would fail if it read the file."""
    written = install.python(chart, TWO_PODS.format(work="Path('large.bin').write_bytes(os.urandom(1 << 22))"))
    looked_up = install.python(chart, TWO_PODS.format(work="contents.sha256 = None"))
    assert looked_up == written
    assert len(written.strip()) == 64


def test_a_wrong_config_ends_with_78_and_is_not_tried_again(chart: Cluster, tmp_path: Path) -> None:
    recipe = stage_jobs.new(tmp_path, "wrong")
    recipe.edit("conf/tiny.yaml", *stage_jobs.WRONG)
    stage_jobs.run(chart, recipe, STAGES[:3])
    job = stage_jobs.start(chart, recipe, "train")
    assert job.wait() == "Failed"
    assert job.exit_codes() == [78]
    assert "valid/wer" in job.logs()


def test_a_pod_deleted_while_it_trains_goes_on_to_the_same_bits(
    chart: Cluster, undisturbed_long: Digits, tmp_path: Path
) -> None:
    install.remove(chart, "long")
    stage_jobs.run(chart, undisturbed_long, STAGES[:3])
    job = stage_jobs.start(chart, undisturbed_long, "train")
    victim = until(lambda: pod_of(chart, job.selector), 60, "a pod that trains")["metadata"]["name"]
    until(lambda: stage_jobs.saved(chart, "long/asr"), 120, "a checkpoint")
    chart.kubectl("delete", "pod", victim, "--wait=false")
    job.succeed()
    assert victim not in [pod["metadata"]["name"] for pod in job.pods()]
    assert "Going on from" in job.logs()
    stage_jobs.run(chart, undisturbed_long, STAGES[4:])
    there = install.fetch(chart, "long/asr", tmp_path / "there")
    assert differences(products(undisturbed_long.folder), products(there)) == []


def test_a_forced_training_starts_over_once_though_its_pod_is_replaced(
    chart: Cluster, undisturbed_long: Digits, tmp_path: Path
) -> None:
    stage_jobs.run(chart, undisturbed_long, STAGES[:3])
    stage_jobs.remove(chart, undisturbed_long, "train")
    install.remove(chart, "long/asr/exp")
    job = stage_jobs.start_text(chart, stage_jobs.k8s("job", undisturbed_long, "train", "--force"))
    victim = until(lambda: pod_of(chart, job.selector), 60, "a pod that trains")["metadata"]["name"]
    until(lambda: stage_jobs.saved(chart, "long/asr"), 120, "a checkpoint")
    chart.kubectl("delete", "pod", victim, "--wait=false")
    job.succeed()
    assert "Going on from" in job.logs()
    there = install.fetch(chart, "long/asr/exp/tiny", tmp_path)
    weights = "averaged.safetensors"
    assert (there / weights).read_bytes() == (undisturbed_long.folder / "exp/tiny" / weights).read_bytes()


def test_shards_leave_the_bytes_of_one(
    chart: Cluster, jobs: dict[str, Job], undisturbed: Digits, tmp_path: Path
) -> None:
    recipe = stage_jobs.new(tmp_path, "shards")
    recipe.write("conf/workflow.yaml", "infer: {shards: 3}\ncollect_stats: {shards: 2}\n")
    stage_jobs.run(chart, recipe, STAGES)
    there = install.fetch(chart, "shards/asr", tmp_path / "there")
    assert differences(without_packs(undisturbed.folder), without_packs(there)) == []
    pods = Job(chart, next(job for job in names(chart) if "shards-asr-infer" in job)).pods()
    assert len(pods) == 3


def without_packs(folder: Path) -> dict[str, Any]:
    """What the stages made, but for the packs, which name their recipe."""
    return {name: content for name, content in products(folder).items() if "_pack/" not in name}


def names(cluster: Cluster) -> list[str]:
    return [job["metadata"]["name"] for job in cluster.get("jobs")]
