"""Argo in the test cluster, where it is found: installed there already, or as programs on PATH beside our own cluster.

The project holds nothing of Argo. `argo`, `workflow-controller` and `argoexec` are looked for on PATH, their custom
resources in the folder that ARGO_MANIFESTS names or in `manifests` beside the program `argo`.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kube import Cluster, environment, until
from tests.cluster.onenode import build, processes
from tests.cluster.onenode import cluster as onenode
from tests.cluster.onenode.places import Places

KIND = "workflows.argoproj.io"
EXECUTOR = "localhost/espnet3-test-argoexec:1"
PROCESS = "workflow-controller"
NAMESPACE = "argo"
# What restricted Pod Security asks of Argo's own containers; k8s/README.md says the same to those who install Argo.
SETTINGS = {
    "executor": yaml.safe_dump(
        {
            "imagePullPolicy": "IfNotPresent",
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 8737,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
    )
}


def program(name: str) -> str:
    """One of Argo's programs; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"Argo's `{name}` is not on PATH")
    return found


@contextlib.contextmanager
def running(cluster: Cluster) -> Iterator[None]:
    """A controller that looks after the cluster's workflows; in a named cluster it has to be there."""
    if not cluster.own:
        if not has_argo(cluster):
            pytest.skip(f"the cluster {cluster.context} has no Argo")
        yield
        return
    places = Places()
    controller, executor = program(PROCESS), Path(program("argoexec"))
    install(cluster, executor)
    words = [f"--kubeconfig={cluster.kubeconfig}", f"--namespace={NAMESPACE}", f"--executor-image={EXECUTOR}"]
    with environment(LEADER_ELECTION_DISABLE="true", DEFAULT_REQUEUE_TIME="1s"):
        processes.start(places, PROCESS, [controller, *words, "--loglevel=info"])
    try:
        yield
    finally:
        processes.stop(places, PROCESS)


def has_argo(cluster: Cluster) -> bool:
    """Whether the cluster knows workflows."""
    return KIND in cluster.kubectl("get", "customresourcedefinitions", "--output=name")


def install(cluster: Cluster, executor: Path) -> None:
    """Put the custom resources, the controller's settings and the executor's image into our own cluster."""
    if not has_argo(cluster):
        for file in custom_resources():
            cluster.kubectl("apply", "--server-side", f"--filename={file}")
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{KIND}", "--timeout=60s")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "workflow-controller-configmap", "namespace": NAMESPACE},
        "data": SETTINGS,
    }
    cluster.apply(namespace)
    cluster.kubectl(
        f"--namespace={NAMESPACE}", "apply", "--server-side", "--filename=-", stdin=yaml.safe_dump(settings)
    )
    places = Places()
    archive = places.disk / "argoexec.tar"
    archive.write_bytes(build.archive(EXECUTOR, {"bin/argoexec": executor.read_bytes()}, ["/bin/argoexec"]))
    onenode.load_image(places, archive)


def custom_resources() -> list[Path]:
    """The files of Argo's custom resources."""
    folder = Path(os.environ.get("ARGO_MANIFESTS") or Path(program("argo")).parent / "manifests")
    files = [
        file for file in sorted(folder.rglob("*.yaml")) if "kind: CustomResourceDefinition" in file.read_text("utf-8")
    ]
    if not files:
        pytest.skip(f"Argo's custom resources are not in {folder}; name their folder in ARGO_MANIFESTS")
    return files


def call(cluster: Cluster, *words: str, timeout: float = 120) -> str:
    """What `argo` prints."""
    command = [program("argo"), *words, f"--namespace={cluster.namespace}", f"--context={cluster.context}"]
    done = subprocess.run(
        command, env=cluster.environment(), capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, f"argo {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def submit(cluster: Cluster, file: Path, *words: str) -> str:
    """Submit a workflow and return its name."""
    return call(cluster, "submit", str(file), "--output=name", *words).strip()


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    """The state of a workflow."""
    workflow = json.loads(cluster.kubectl("get", f"{KIND}/{name}", "--output=json"))
    return dict(workflow.get("status", {}))


def finished(cluster: Cluster, name: str, seconds: float) -> dict[str, Any]:
    """The state of a workflow when it is over."""

    def over() -> dict[str, Any] | None:
        now = status(cluster, name)
        return now if now.get("phase") in ("Succeeded", "Failed", "Error") else None

    return until(over, seconds, f"the workflow {name}", pause=1)


def nodes(state: dict[str, Any], kind: str = "Pod") -> list[dict[str, Any]]:
    """The nodes of a workflow of a kind, in the order in which they started."""
    found = [node for node in state.get("nodes", {}).values() if node["type"] == kind]
    return sorted(found, key=lambda node: str(node.get("startedAt")))


def messages(state: dict[str, Any]) -> list[str]:
    """Each node's name, phase and message."""
    found = state.get("nodes", {}).values()
    return [f"{node['displayName']}: {node['phase']} {node.get('message', '')}" for node in found]


def ran(state: dict[str, Any]) -> list[str]:
    """The templates of the pods that were started, in their order; those of repeated attempts only once."""
    return list(dict.fromkeys(node["templateName"] for node in nodes(state)))
