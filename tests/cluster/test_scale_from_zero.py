"""A GPU pool that scales from zero: Karpenter makes a node for a pending training, and takes it away when that is over.

Machines are objects of Karpenter's kwok provider, so no stage runs on them: the tests say what their kubelets would.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import argo as programs
from tests.cluster import karpenter, scheduling, stage_jobs
from tests.cluster.kube import Cluster, pod_of, until
from tests.egs3.digits_run import Digits

pytestmark = pytest.mark.slow
PROFILE = "eks-karpenter"
SPOT_ATTEMPTS = 2


@pytest.fixture(scope="module")
def scaled(chart: Cluster) -> Iterator[Cluster]:
    """The namespace in a cluster whose machines come and go."""
    if not chart.own:
        pytest.skip("machines are made in our own cluster only")
    with karpenter.running(chart):
        yield chart


def seen(cluster: Cluster, ask: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """Wait for something, while the kubelets of new machines come up."""

    def look() -> Any:
        karpenter.start_kubelets(cluster)
        return ask()

    return until(look, seconds, what)


def test_a_training_makes_a_gpu_node_appear_and_lets_it_go(scaled: Cluster, tmp_path: Path) -> None:
    recipe = Digits.new(tmp_path / "digits" / "asr")
    pods = {stage: scheduling.pod_of_stage(recipe, stage, PROFILE) for stage in ("collect_stats", "train")}
    names = {stage: pod["metadata"]["name"] for stage, pod in pods.items()}
    try:
        scaled.apply(pods["collect_stats"])
        seen(scaled, lambda: scheduling.bound(scaled, names["collect_stats"]), "a node for collect_stats")
        assert karpenter.machines(scaled, "gpu") == [], "statistics need no GPU node"

        scaled.apply(pods["train"])
        where = seen(scaled, lambda: scheduling.bound(scaled, names["train"]), "a node for train")
        nodes = karpenter.machines(scaled, "gpu")
        assert [node["metadata"]["name"] for node in nodes] == [where]
        assert nodes[0]["metadata"]["labels"][karpenter.LABEL] == karpenter.ON_DEMAND, "a Job cannot start on spot"

        karpenter.end_pod(scaled, names["train"], phase="Succeeded")
        seen(scaled, lambda: not karpenter.machines(scaled, "gpu"), "the end of the GPU node")
        assert scheduling.bound(scaled, names["collect_stats"]), "a node that is in use stays"
    finally:
        scheduling.remove_pods(scaled)


def profile(folder: Path) -> Path:
    """The profile with a volume that any node could mount, and little patience."""
    content = yaml.safe_load(Path(f"k8s/profiles/{PROFILE}.yaml").read_text(encoding="utf-8"))
    content["workspace"] = {"existingClaim": "anywhere"}
    content["retries"] = {"backoff": {"duration": "1s", "factor": 1, "cap": "1s"}}
    content["pools"]["gpu"]["spot"]["retries"] = SPOT_ATTEMPTS
    content["networkPolicy"] = {"enabled": False}
    file = folder / "profile.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@pytest.fixture
def needed(argo: Cluster) -> Iterator[None]:
    """What the profile asks the namespace for: a claim that no node is bound to, and the semaphore."""
    volume = f"{argo.namespace}-anywhere"
    claim = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": volume}
    labels = {"espnet3.org/test": argo.namespace}
    size = {"storage": "1Ti"}
    argo.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume, "labels": labels},
            "spec": {
                "capacity": size,
                "accessModes": ["ReadWriteMany"],
                "hostPath": {"path": "/nowhere"},
                "storageClassName": "",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "anywhere"},
            "spec": claim | {"resources": {"requests": size}},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "espnet3-semaphores"},
            "data": {"gpu": "1"},
        },
    )
    yield
    argo.kubectl("delete", "configmap/espnet3-semaphores", "persistentvolumeclaim/anywhere", "--wait=false")


def test_attempts_go_to_spot_first_and_to_on_demand_at_last(
    argo: Cluster, scaled: Cluster, needed: None, tmp_path: Path
) -> None:
    recipe = stage_jobs.new(tmp_path, "spot")
    file = tmp_path / "workflow.yaml"
    file.write_text(stage_jobs.k8s("render", recipe, profile=str(profile(tmp_path))), encoding="utf-8")
    name = programs.submit(argo, file, "--entrypoint=train")
    training = f"workflows.argoproj.io/workflow={name},espnet3.org/stage=train"
    attempts = []
    try:
        for _ in range(SPOT_ATTEMPTS + 1):
            pod = seen(argo, lambda: pod_of(argo, training, "Pending", bound=True), "a pod that trains", 150)
            attempts.append(argo.read(f"node/{pod['spec']['nodeName']}"))
            reason = "Pod was terminated in response to imminent node shutdown."
            karpenter.end_pod(argo, pod["metadata"]["name"], phase="Failed", reason="Terminated", message=reason)
            argo.kubectl("delete", "node", pod["spec"]["nodeName"], "--wait=false")
    finally:
        argo.kubectl("delete", f"{programs.KIND}/{name}", "--wait=false")
        argo.kubectl("delete", "pods", f"--selector={training}", "--force", "--grace-period=0")
    kinds = [node["metadata"]["labels"][karpenter.LABEL] for node in attempts]
    assert kinds == [karpenter.SPOT] * SPOT_ATTEMPTS + [karpenter.ON_DEMAND]
    assert len({node["metadata"]["name"] for node in attempts}) == len(attempts)
