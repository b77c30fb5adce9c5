"""Takes the power from the node for a moment, as far as one pod and those who look after it notice.

`test_reboot` calls it. Kubelet, containerd, the pod's shims and everything in its containers die at once, without a
word; then kubelet and containerd start again and find containers whose end nobody saw.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster.onenode import components, processes
from tests.cluster.onenode.cluster import lock, words
from tests.cluster.onenode.places import NODE, Places

KEEPERS = ("kubelet", "containerd")


def reboot(places: Places, pod_uid: str) -> None:
    """Kill the pod and its keepers, start these again, and wait until the node is ready.

    Raises:
        processes.DidNotStart: kubelet or containerd did not come back.
    """
    with lock(places):
        pods = f'labels."io.kubernetes.pod.uid"=="{pod_uid}"'
        containers = words(places.ctr("containers", "ls", "--quiet", pods))
        shims = [pid for pid, command in commands() if "containerd-shim" in command and any_of(containers, command)]
        assert shims, f"the pod {pod_uid} has no shim"
        keepers = [pid for name in KEEPERS if (pid := processes.running(places, name)) is not None]
        for pid in [*keepers, *shims, *descendants(shims)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        start_again(places)


def start_again(places: Places) -> None:
    """Start containerd and the kubelet, and wait until the API server has heard of them."""
    assert processes.until(lambda: not any(processes.running(places, name) for name in KEEPERS), 10)
    processes.start(places, "containerd", components.containerd(places))
    processes.wait_for(places, "containerd", places.ctr("version"), 30)
    processes.start(places, "kubelet", components.kubelet(places))
    node = places.kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=1s")
    processes.wait_for(places, "kubelet", node, 120)


def any_of(names: list[str], command: str) -> bool:
    """Whether a command line has one of the names."""
    return any(name in command for name in names)


def descendants(parents: list[int]) -> list[int]:
    """All processes below some others."""
    children = [pid for pid, parent in family() if parent in parents]
    return [*children, *descendants(children)] if children else []


def commands() -> Iterator[tuple[int, str]]:
    """Each process with its command line."""
    for pid in ids():
        with suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def family() -> Iterator[tuple[int, int]]:
    """Each process with its parent."""
    for pid in ids():
        with suppress(OSError):
            yield pid, int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def ids() -> list[int]:
    """Of all processes."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
