"""Pods of the GPU profiles and the real scheduler: they go to GPU nodes, and nothing else does.

The nodes are made by hand (label, taint, capacity): a scheduler cannot tell, and no kubelet ever starts what it binds.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.values import read_profile
from tests.cluster.kube import Cluster, until
from tests.cluster.scheduling import bound, pod_of_stage, remove_pods
from tests.egs3.digits_run import Digits

ROOT = Path(__file__).parents[2]
PROFILES = [
    file.stem
    for file in sorted((ROOT / "k8s" / "profiles").glob("*.yaml"))
    if yaml.safe_load(file.read_text(encoding="utf-8")).get("device") == "cuda"
]
CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "500Gi"}


def nodes_of(profile: str) -> dict[str, dict[str, Any]]:
    """The pools that a profile names, a node each: GPUs, on spot and on-demand where it knows both, and processors."""
    pools = read_profile(profile).pools
    gpu = {**CAPACITY, pools.gpu.resource: "8"}
    spot = {**pools.gpu.node_selector, **(pools.gpu.spot.node_selector if pools.gpu.spot.enabled else {})}
    on_demand = {**pools.gpu.node_selector, **pools.gpu.on_demand.node_selector}
    extra = pools.gpu.spot.tolerations if pools.gpu.spot.enabled else []
    return {
        "gpu-spot": {"labels": spot, "taints": taints([*pools.gpu.tolerations, *extra]), "capacity": gpu},
        "gpu": {"labels": on_demand, "taints": taints(pools.gpu.tolerations), "capacity": gpu},
        "cpu": {"labels": pools.cpu.node_selector, "taints": taints(pools.cpu.tolerations), "capacity": CAPACITY},
    }


def taints(tolerations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the tolerations tolerate; a GPU node is tainted by its cloud where a profile does not say it."""
    return [
        {"key": entry["key"], "value": entry.get("value", ""), "effect": entry.get("effect", "NoSchedule")}
        for entry in tolerations
    ]


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pods(profile: str, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """By stage; made before the nodes, which nobody sees alive and which are given up after 50 s."""
    recipe = Digits.new(tmp_path / "digits" / "asr")
    return {stage: pod_of_stage(recipe, stage, profile) for stage in ("train", "collect_stats", "measure")}


@pytest.fixture
def nodes(chart: Cluster, profile: str, pods: dict[str, dict[str, Any]]) -> Iterator[dict[str, str]]:
    """Names of hand-made nodes of a profile's pools, ready; gone after the test.

    They are new ones: the controllers remember when they last heard of a node of that name, also of one that is gone.
    """
    if not chart.own:
        pytest.skip("nodes are made by hand in our own cluster only")
    names = {kind: f"{profile}-{kind}-{secrets.token_hex(3)}" for kind in nodes_of(profile)}
    try:
        for kind, node in nodes_of(profile).items():
            make(chart, names[kind], node)
        yield names
    finally:
        chart.kubectl("delete", "node", *names.values())


def make(cluster: Cluster, name: str, node: dict[str, Any]) -> None:
    """A node that is ready as far as the API server knows."""
    labels = {"kubernetes.io/hostname": name, **node["labels"]}
    metadata = {"name": name, "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": node["taints"]}})
    ready = {"type": "Ready", "status": "True", "reason": "MadeByHand", "message": "for the scheduler"}
    status = {"capacity": node["capacity"], "allocatable": node["capacity"], "conditions": [ready]}
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", f"--patch={patch}")
    # The controllers taint a node when it comes, and take that back when they have seen that it is ready.
    until(lambda: not initial_taints(cluster, name, node), 20, f"the node {name}", 0.2)


def initial_taints(cluster: Cluster, name: str, node: dict[str, Any]) -> list[str]:
    """The taints that are not the node's own."""
    own = {taint["key"] for taint in node["taints"]}
    spec = cluster.read(f"node/{name}")["spec"]
    return [taint["key"] for taint in spec.get("taints", []) if taint["key"] not in own]


def test_training_goes_to_a_gpu_node_and_the_rest_does_not(
    chart: Cluster, nodes: dict[str, str], pods: dict[str, dict[str, Any]]
) -> None:
    try:
        chart.apply(*pods.values())
        where = {
            stage: until(lambda name=pod["metadata"]["name"]: bound(chart, name), 20, f"a node for {stage}")  # type: ignore[misc]
            for stage, pod in pods.items()
        }
    finally:
        remove_pods(chart)
    gpu = {nodes["gpu-spot"], nodes["gpu"]}
    assert where["train"] in gpu
    assert {where["collect_stats"], where["measure"]}.isdisjoint(gpu)
