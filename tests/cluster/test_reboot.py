"""A node that loses its power while a training runs on it: when it is back, the training goes on to the same bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import argo as programs
from tests.cluster import install, stage_jobs
from tests.cluster.kube import Cluster, exit_code, pod_of, until
from tests.cluster.onenode import crash
from tests.cluster.onenode.places import Places
from tests.cluster.test_argo import submit, succeed
from tests.egs3.digits_run import STAGES, Digits
from tests.trees import differences, products

pytestmark = pytest.mark.slow


@pytest.fixture
def node(chart: Cluster, undisturbed_long: Digits) -> Iterator[Places]:
    """The node, and a recipe of which no Job is there, before and after."""
    if not chart.own:
        pytest.skip("the node of a named cluster is not ours to crash")
    yield Places()
    for stage in STAGES[:4]:
        stage_jobs.remove(chart, undisturbed_long, stage)


def crash_while_it_trains(cluster: Cluster, node: Places, selector: str) -> str:
    """Crash the node when the training has left a checkpoint; the name of the pod that was lost."""
    pod = until(lambda: pod_of(cluster, selector), 180, "a pod that trains")["metadata"]
    until(lambda: stage_jobs.saved(cluster, "long/asr"), 120, "a checkpoint")
    crash.reboot(node, pod["uid"])
    return str(pod["name"])


def test_a_job_goes_on_after_its_node_rebooted(
    chart: Cluster, node: Places, undisturbed_long: Digits, tmp_path: Path
) -> None:
    install.remove(chart, "long")
    stage_jobs.run(chart, undisturbed_long, STAGES[:3])
    stage_jobs.remove(chart, undisturbed_long, "train")
    job = stage_jobs.start(chart, undisturbed_long, "train")
    lost = crash_while_it_trains(chart, node, job.selector)
    job.succeed()
    codes = {pod["metadata"]["name"]: exit_code(pod) for pod in job.pods()}
    assert codes[lost] == 255
    assert "Going on from" in job.logs()
    there = install.fetch(chart, "long/asr/exp/tiny", tmp_path)
    weights = "averaged.safetensors"
    assert (there / weights).read_bytes() == (undisturbed_long.folder / "exp/tiny" / weights).read_bytes()


def test_a_workflow_goes_on_after_its_node_rebooted(
    argo: Cluster, node: Places, undisturbed_long: Digits, tmp_path: Path
) -> None:
    install.remove(argo, "long/asr/exp")
    name = submit(argo, undisturbed_long, tmp_path)
    crash_while_it_trains(argo, node, f"workflows.argoproj.io/workflow={name},espnet3.org/stage=train")
    state = succeed(argo, name)
    attempts = [attempt for attempt in programs.nodes(state) if attempt["templateName"] == "train"]
    assert len(attempts) == 2, programs.messages(state)
    there = install.fetch(argo, "long/asr", tmp_path / "there")
    assert differences(products(undisturbed_long.folder), products(there)) == []
