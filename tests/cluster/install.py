"""Puts what a run needs into the cluster: images, a namespace, a volume, the chart, and a pod that reads the volume."""

import contextlib
import dataclasses
import io
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images.catalog import NAMES
from tests.charts import programs
from tests.cluster.kube import Cluster
from tests.cluster.onenode import cluster as onenode
from tests.cluster.onenode import volumes
from tests.cluster.onenode.places import NODE_ADDRESS, Places

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "espnet3"
PROFILE = os.environ.get("CLUSTER_TEST_PROFILE", "local")
ARCHIVES = ROOT / "build" / "images"
READER = "reader"
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CLOSED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def load_images(places: Places) -> None:
    """Give the node every image that `make images` made."""
    missing = [name for name in NAMES if not (ARCHIVES / f"{name}.tar").exists()]
    if missing:
        pytest.exit(f"build/images has no archive of {', '.join(missing)}: `make images` builds them.", 2)
    for name in NAMES:
        archive = ARCHIVES / f"{name}.tar"
        loaded = places.disk / f"loaded-{name}-{archive.stat().st_mtime_ns}"
        if not loaded.exists():
            onenode.load_image(places, archive)
            loaded.touch()


def make_namespace(cluster: Cluster, name: str) -> None:
    """A namespace that admits nothing but `restricted` pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "espnet3.org/test": "true"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


@contextlib.contextmanager
def fresh_namespace(anywhere: Cluster) -> Iterator[Cluster]:
    """The cluster with a namespace of its own, which goes again with its volumes."""
    name = f"espnet3-test-{secrets.token_hex(3)}"
    make_namespace(anywhere, name)
    try:
        yield dataclasses.replace(anywhere, namespace=name)
    finally:
        anywhere.kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s", timeout=150)
        remove_volumes(anywhere, name)


def make_volume(cluster: Cluster, name: str) -> None:
    """A volume of our own node, of the kind that honours fsGroup; a named cluster makes its volumes itself."""
    if not cluster.own:
        return
    folder = Places().volumes / name
    folder.mkdir(parents=True, mode=0o700)
    cluster.apply(volumes.persistent_volume(folder, **{"espnet3.org/test": cluster.namespace}))


def remove_volumes(cluster: Cluster, namespace: str) -> None:
    """Remove what `make_volume` made for a namespace."""
    if cluster.own:
        cluster.kubectl("delete", "persistentvolume", f"--selector=espnet3.org/test={namespace}")
        for folder in Places().volumes.glob(f"{namespace}-*"):
            shutil.rmtree(folder)


def renew_volumes(cluster: Cluster) -> None:
    """Empty the cluster's own volumes that a claim has left, for the next one."""
    for volume in cluster.get("persistentvolumes"):
        if volume["spec"].get("storageClassName") == volumes.CLASS and volume["status"]["phase"] == "Released":
            cluster.kubectl("delete", "persistentvolume", volume["metadata"]["name"])
            shutil.rmtree(volume["spec"]["local"]["path"])
    volumes.offer(Places())


def network_rules(cluster: Cluster, internet_port: int = 443) -> list[str]:
    """Helm's words for the network rules, where our own cluster enforces them.

    API server and name server are on the node there; so is all that stands for the internet, on one port.
    """
    if not cluster.own:
        return []
    node = f"{{{NODE_ADDRESS}/32}}"
    internet = f"internet.cidr={NODE_ADDRESS}/32", "internet.except=null", f"internet.ports={{{internet_port}}}"
    rules = ("enabled=true", f"dns.cidrs={node}", f"apiServer.cidrs={node}", *internet)
    return [f"--set=networkPolicy.{rule}" for rule in rules]


def helm_program() -> Path:
    """Helm."""
    program = programs.program("helm")
    if program is None:
        pytest.exit(f"The cluster tests install the chart: {programs.HOW}", 2)
    return program


def helm(cluster: Cluster, verb: str, *words: str) -> str:
    """Install or upgrade the chart, with the profile of the tests, in the cluster's namespace.

    Without --wait: the only thing to wait for is a claim, which some storage classes leave unbound until a pod uses it.
    """
    command = [str(helm_program()), verb, "espnet3", str(CHART), *words]
    where = [f"--kube-context={cluster.context}", f"--namespace={cluster.namespace}"]
    profile = [f"--values={ROOT / 'k8s' / 'profiles' / f'{PROFILE}.yaml'}"]
    volume = ["--set=workspace.storageClass=-", f"--set=workspace.volumeName={cluster.namespace}-workspace"]
    full = [*command, *where, *profile, *(volume if cluster.own else [])]
    done = subprocess.run(full, env=cluster.environment(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def make_reader(cluster: Cluster) -> None:
    """A pod with the workspace, in which the tests look at what the stages left."""
    cluster.apply(pod_with_workspace(READER, data_image(cluster), ["tini", "--", "sleep", "infinity"]))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{READER}", "--timeout=180s", timeout=200)


def template(cluster: Cluster, name: str, *words: str) -> str:
    """What the chart makes of one of its templates."""
    command = [str(helm_program()), "template", "espnet3", str(CHART), f"--show-only=templates/{name}.yaml"]
    profile = [f"--values={ROOT / 'k8s' / 'profiles' / f'{PROFILE}.yaml'}"]
    full = [*command, *profile, *words]
    return subprocess.run(full, env=cluster.environment(), capture_output=True, text=True, check=True).stdout


def data_image(cluster: Cluster) -> str:
    """The data image as the chart names it."""
    shown = template(cluster, "tests/doctor")
    return next(line.split()[-1] for line in shown.splitlines() if line.strip().startswith("image:"))


def pod(name: str, image: str, command: list[str], labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod as closed as those of stages, with words of our own."""
    container = {"name": "main", "image": image, "command": command, "securityContext": CLOSED}
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": RESTRICTED,
        "containers": [container],
    }
    metadata = {"name": name, "labels": {"espnet3.org/test": "true", **(labels or {})}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def pod_with_workspace(name: str, image: str, command: list[str]) -> dict[str, Any]:
    """A pod of the kind that stages run in."""
    made = pod(name, image, command)
    made["spec"]["volumes"] = [
        {"name": "workspace", "persistentVolumeClaim": {"claimName": "espnet3-workspace"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    made["spec"]["containers"][0] |= {
        "workingDir": "/workspace",
        "volumeMounts": [{"name": "workspace", "mountPath": "/workspace"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    return made


def python(cluster: Cluster, program: str) -> bytes:
    """What a Python program prints that runs in the reader's pod, in the workspace."""
    command = [
        *cluster.kubectl_words,
        f"--namespace={cluster.namespace}",
        "exec",
        READER,
        "--",
        "python",
        "-c",
        program,
    ]
    return subprocess.run(command, capture_output=True, check=True, timeout=300).stdout


def fetch(cluster: Cluster, folder: str, target: Path) -> Path:
    """Copy a folder of the workspace here."""
    program = f"import sys,tarfile\nwith tarfile.open(fileobj=sys.stdout.buffer,mode='w|') as t: t.add({folder!r},'.')"
    with tarfile.open(fileobj=io.BytesIO(python(cluster, program))) as archive:
        archive.extractall(target, filter="data")
    return target


def put(cluster: Cluster, file: Path, target: str) -> None:
    """Copy a file into the workspace."""
    program = f"import shutil,sys\nwith open({target!r}, 'wb') as f: shutil.copyfileobj(sys.stdin.buffer, f)"
    command = [*cluster.kubectl_words, f"--namespace={cluster.namespace}", "exec", "--stdin", READER, "--"]
    with file.open("rb") as source:
        subprocess.run([*command, "python", "-c", program], stdin=source, check=True, timeout=300)


def remove(cluster: Cluster, folder: str) -> None:
    """Remove a folder of the workspace."""
    python(cluster, f"import shutil; shutil.rmtree({folder!r}, ignore_errors=True)")
