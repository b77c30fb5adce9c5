"""Brings the cluster up and takes all of it back; `__main__` and the cluster tests' conftest call it.

`down` may be called at any moment, twice, and after a start that failed half way.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.onenode import build, components, network, pki, processes, volumes
from tests.cluster.onenode.places import API_PORT, NODE, NODE_ADDRESS, Places
from tests.cluster.onenode.processes import DidNotStart

log = logging.getLogger(__name__)
ENFORCER = "kube-router"
OF_THE_NODE = (ENFORCER, "coredns", "kube-proxy", "kubelet")
OF_THE_CLUSTER = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
ALL = {*OF_THE_NODE, *OF_THE_CLUSTER, "containerd"}


def up(places: Places) -> None:
    """Build what is missing, start everything, and wait until the node is ready; one that runs already is left alone.

    Raises:
        build.CannotBuild: A program is missing.
        processes.DidNotStart: A part did not come up; all others have been stopped again.
    """
    with lock(places):
        if is_up(places):
            return
        begin = time.monotonic()
        build.everything(places)
        built = time.monotonic()
        take_back(places)
        refuse_a_stranger()
        try:
            start(places)
        except BaseException:
            take_back(places)
            raise
        log.info("The cluster is up: built in %.0f s, started in %.0f s", built - begin, time.monotonic() - built)


def down(places: Places) -> None:
    """Stop every process; remove containers, mounts, rules, the bridge, and every file but programs and logs."""
    with lock(places):
        take_back(places)


def is_up(places: Places) -> bool:
    """Whether every process runs and the API answers."""
    needed = ALL - ({ENFORCER} - set(processes.started(places)))
    alive = all(processes.running(places, name) for name in needed)
    return alive and processes.answers(places.kubectl("get", "--raw", "/readyz"))


@contextlib.contextmanager
def lock(places: Places) -> Iterator[None]:
    """One caller at a time; the kernel lets go of it for one that is killed."""
    places.cache.mkdir(parents=True, exist_ok=True)
    folder = os.open(places.cache, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def refuse_a_stranger() -> None:
    """Another Kubernetes on this machine keeps its ports and its rules."""
    with contextlib.closing(socket.socket()) as probe:
        if probe.connect_ex(("127.0.0.1", API_PORT)) == 0:
            raise DidNotStart(
                f"Port {API_PORT} of this machine is taken, perhaps by another Kubernetes. "
                "Name that one in CLUSTER_TEST_CONTEXT to test against it, or stop it."
            )


def start(places: Places) -> None:
    """Start the parts in the order in which they need each other."""
    network.prepare(places)
    pki.make(places)
    ready = places.kubectl("get", "--raw", "/readyz")
    processes.start(places, "etcd", components.etcd(places))
    processes.start(places, "kube-apiserver", components.api_server(places))
    processes.start(places, "containerd", components.containerd(places))
    processes.wait_for(places, "containerd", places.ctr("version"), 30)
    load_image(places, places.programs / "pause.tar")
    processes.wait_for(places, "kube-apiserver", ready, 120)
    processes.start(places, "kube-controller-manager", components.controller_manager(places))
    processes.start(places, "kube-scheduler", components.scheduler(places))
    processes.start(places, "kubelet", components.kubelet(places))
    processes.start(places, "kube-proxy", components.proxy(places))
    processes.start(places, "coredns", components.names(places))
    node = places.kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=1s")
    processes.wait_for(places, "kubelet", node, 120)
    enforce_network_rules(places)
    # a namespace is fit for pods only when the controllers have made its service account
    processes.wait_for(places, "kube-controller-manager", places.kubectl("get", "serviceaccount", "default"), 60)
    processes.wait_for(places, "coredns", ["bash", "-c", f"exec 3<>/dev/tcp/{NODE_ADDRESS}/53"], 60)
    volumes.offer(places)


def enforce_network_rules(places: Places) -> None:
    """Start what holds pods to NetworkPolicies, where this kernel can; it asks for the node, which has to be there."""
    if not network.can_enforce():
        log.warning(
            "This kernel has no sets of addresses or no filter on bridges: nothing will enforce NetworkPolicies"
        )
        return
    processes.start(places, ENFORCER, components.network_rules(places))
    processes.wait_for(places, ENFORCER, ["iptables", "-w", "--list-rules", "KUBE-ROUTER-FORWARD"], 60)


def load_image(places: Places, archive: Path) -> None:
    """Give the node an image from a docker or OCI archive."""
    done = subprocess.run(places.ctr("images", "import", str(archive)), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{archive} is not an image that containerd can take: {done.stderr.strip()}")


def take_back(places: Places) -> None:
    """Undo `start`, from whatever point it got to."""
    for name in (*set(processes.started(places)) - ALL, *OF_THE_NODE):
        processes.stop(places, name)
    for name in OF_THE_CLUSTER:
        processes.stop(places, name, 3)
    remove_containers(places)
    processes.stop(places, "containerd")
    unmount(places)
    if places.run.exists():
        network.take_back(places)
    remove_control_groups()
    shutil.rmtree(places.run, ignore_errors=True)
    shutil.rmtree(places.disk, ignore_errors=True)


def remove_containers(places: Places) -> None:
    """Kill and delete every container that containerd knows, and the network namespaces of their pods."""
    if processes.running(places, "containerd") is None:
        return
    containers = words(places.ctr("containers", "ls", "--quiet"))
    namespaces = {path for name in containers for path in network_namespaces(places, name)}
    for name in words(places.ctr("tasks", "ls", "--quiet")):
        network.done(*places.ctr("tasks", "kill", "--signal=KILL", "--all", name))
    processes.until(lambda: not any_running(places), 10)
    for name in containers:
        network.done(*places.ctr("tasks", "delete", "--force", name))
        network.done(*places.ctr("containers", "delete", name))
    for path in namespaces:
        network.done("umount", path)
        Path(path).unlink(missing_ok=True)


def any_running(places: Places) -> bool:
    """Whether a task of a container is not over yet."""
    listing = subprocess.run(places.ctr("tasks", "ls"), capture_output=True, check=False, text=True).stdout
    return "RUNNING" in listing


def network_namespaces(places: Places, container: str) -> list[str]:
    """The network namespaces that a container joined and that containerd made for it."""
    shown = subprocess.run(places.ctr("containers", "info", container), capture_output=True, check=False, text=True)
    if shown.returncode != 0:
        return []
    joined = json.loads(shown.stdout)["Spec"]["linux"].get("namespaces", [])
    paths = [entry.get("path", "") for entry in joined if entry["type"] == "network"]
    return [path for path in paths if Path(path).name.startswith("cni-")]


def words(command: list[str]) -> list[str]:
    """The words that a command prints; none where it fails."""
    return subprocess.run(command, capture_output=True, check=False, text=True).stdout.split()


def unmount(places: Places) -> None:
    """Unmount what the kubelet and containerd left, the innermost first."""
    ours = [f"{places.run}/", f"{places.disk}/"]
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for path in sorted((path for path in mounts if path.startswith(tuple(ours))), reverse=True):
        network.done("umount", "--lazy", path)


def remove_control_groups() -> None:
    """Remove the control groups of the pods; the kernel refuses to remove one that still holds a process."""
    for root in Path("/sys/fs/cgroup").glob("**/kubepods"):
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
