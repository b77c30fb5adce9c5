"""Karpenter in our own cluster, beside a provider whose nodes are only objects: a GPU pool scales from zero for real.

`test_scale_from_zero` uses it. Karpenter itself decides which node a pending pod needs and when an empty one may go.
Its kwok provider makes a Node instead of a machine, and `start_kubelets` says what the kubelets there would. Nothing
ever runs on such a node.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kube import Cluster, environment
from tests.cluster.onenode import build, processes
from tests.cluster.onenode.places import Places

HERE = Path(__file__).parent
MODULE = "sigs.k8s.io/karpenter"
DEFINITIONS = ("pkg/apis/crds", "kwok/apis/crds")
PROGRAM = "kwok"
PROCESS = "karpenter"
SPOT, ON_DEMAND = "spot", "on-demand"
LABEL = "karpenter.sh/capacity-type"
ZONE = "topology.kubernetes.io/zone"


@contextlib.contextmanager
def running(cluster: Cluster) -> Iterator[None]:
    """Karpenter, with the two pools that k8s/README.md names for EKS; all of it is gone afterwards.

    Raises:
        build.CannotBuild: Go is missing.
    """
    places = Places()
    program = built(places)
    definitions = f"--filename={program.parent / 'definitions'}"
    cluster.kubectl("apply", "--server-side", definitions)
    cluster.kubectl("wait", "--for=condition=Established", definitions, "--timeout=60s")
    cluster.apply(*pools())
    kinds = places.run / "instance-types.json"
    kinds.write_text(json.dumps([gpu_machine(), cpu_machine()]), encoding="utf-8")
    with environment(
        KUBECONFIG=str(cluster.kubeconfig),
        SYSTEM_NAMESPACE="kube-system",
        INSTANCE_TYPES_FILE_PATH=str(kinds),
        DISABLE_LEADER_ELECTION="true",
        METRICS_PORT="0",
        HEALTH_PROBE_PORT="0",
    ):
        processes.start(places, PROCESS, [str(program)])
    try:
        yield
    finally:
        # Machines first, while Karpenter can let go of them.
        for what in ("nodeclaims", "nodepools"):
            cluster.kubectl("delete", what, "--all", "--timeout=60s")
        processes.stop(places, PROCESS)
        cluster.kubectl("delete", definitions, "--timeout=60s")


def built(places: Places) -> Path:
    """The program, and beside it the definitions of its objects; built once for each pin."""
    pins = b"".join((HERE / name).read_bytes() for name in ("go.mod", "go.sum"))
    folder = places.cache / "karpenter" / hashlib.sha256(pins).hexdigest()[:12]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            build.go_build(HERE, Path(made))
            for part in DEFINITIONS:
                shutil.copytree(source() / part, Path(made) / "definitions", dirs_exist_ok=True)
            shutil.copytree(made, folder)
    return folder / PROGRAM


def source() -> Path:
    """The folder of Karpenter's module, read-only."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", MODULE]
    return Path(subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip())


def pools() -> list[dict[str, Any]]:
    """The NodePools cpu and gpu."""
    taint = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    return [
        pool("cpu", [], [ON_DEMAND]),
        pool("gpu", [taint], [SPOT, ON_DEMAND]),
        {"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": "default"}},
    ]


def pool(name: str, taints: list[dict[str, str]], capacity_types: list[str]) -> dict[str, Any]:
    """A pool of machines that goes away when nothing runs there."""
    requirements = [
        {"key": LABEL, "operator": "In", "values": capacity_types},
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [f"{name}-machine"]},
    ]
    spec = {
        "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
        "requirements": requirements,
        "taints": taints,
        "expireAfter": "720h",
    }
    budgets = [{"nodes": "100%"}]
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "template": {"spec": spec},
            "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "1s", "budgets": budgets},
        },
    }


def gpu_machine() -> dict[str, Any]:
    """A kind of machine with one GPU, at two prices."""
    return machine("gpu-machine", {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "1"})


def cpu_machine() -> dict[str, Any]:
    """A kind of machine without a GPU."""
    return machine("cpu-machine", {"cpu": "8", "memory": "32Gi"})


def machine(name: str, resources: dict[str, str]) -> dict[str, Any]:
    """A kind of machine as the provider reads it from its file."""
    return {
        "name": name,
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": {**resources, "pods": "110", "ephemeral-storage": "500Gi"},
        "offerings": [offering(SPOT, 1.0), offering(ON_DEMAND, 3.0)],
    }


def offering(capacity_type: str, price: float) -> dict[str, Any]:
    """What a machine costs an hour."""
    chosen = {LABEL: capacity_type, ZONE: "test-zone"}
    requirements = [{"key": key, "operator": "In", "values": [value]} for key, value in chosen.items()]
    return {"Price": price, "Available": True, "Requirements": requirements}


def machines(cluster: Cluster, pool_name: str) -> list[dict[str, Any]]:
    """The nodes of a pool."""
    return cluster.get("nodes", f"karpenter.sh/nodepool={pool_name}")


def start_kubelets(cluster: Cluster) -> None:
    """Say for each machine that it is ready, as its kubelet would."""
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "said by the tests"}
    for node in cluster.get("nodes", "karpenter.sh/nodepool"):
        known = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
        if known.get("Ready") != "True":
            patch = json.dumps({"status": {"conditions": [ready]}})
            name = node["metadata"]["name"]
            cluster.kubectl("patch", "node", name, "--subresource=status", "--type=strategic", f"--patch={patch}")


def end_pod(cluster: Cluster, name: str, **status: str) -> None:
    """Say how a pod ended, as the kubelet of its machine would."""
    patch = yaml.safe_dump({"status": status})
    cluster.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", f"--patch={patch}")
