"""A cluster as the tests speak to it: kubectl with a context that is always named, so that none is taken by chance."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.cluster.onenode.places import Places

T = TypeVar("T")


class Refused(AssertionError):
    """A command that the cluster refused, with its words and its answer."""


@dataclass(frozen=True)
class Cluster:
    """One cluster and, for the commands that need one, a namespace in it."""

    kubectl_words: tuple[str, ...]
    """The program and which cluster it speaks to."""
    kubeconfig: Path
    context: str
    own: bool
    """Whether it is the tests' own, on this machine: then its node's files and images are at hand."""
    namespace: str = "default"

    def kubectl(self, *words: str, stdin: str | None = None, timeout: float = 120) -> str:
        """What kubectl prints.

        Raises:
            Refused: it fails.
        """
        command = [*self.kubectl_words, f"--namespace={self.namespace}", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise Refused(f"kubectl {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all(objects))

    def create(self, text: str) -> list[str]:
        """Create the objects of a YAML text and return their names as kind/name."""
        return self.kubectl("create", "--filename=-", "--output=name", stdin=text).split()

    def get(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Objects of a kind, in the order in which they were made."""
        words = ["get", kind, "--output=json", "--sort-by=.metadata.creationTimestamp"]
        items = json.loads(self.kubectl(*words, *([f"--selector={selector}"] if selector else [])))["items"]
        return [dict(item) for item in items]

    def read(self, name: str) -> dict[str, Any]:
        """One object, by kind/name."""
        return dict(json.loads(self.kubectl("get", name, "--output=json")))

    def environment(self) -> dict[str, str]:
        """The environment of a program that takes its cluster from KUBECONFIG."""
        kept = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        return {**kept, "KUBECONFIG": str(self.kubeconfig)}


def named(context: str) -> Cluster:
    """A cluster of the user's own kubeconfig; KUBECONFIG of the environment is disregarded."""
    kubeconfig = Path.home() / ".kube" / "config"
    kubectl = shutil.which("kubectl") or Places().program("kubectl")
    return Cluster((kubectl, f"--kubeconfig={kubeconfig}", f"--context={context}"), kubeconfig, context, own=False)


def own() -> Cluster:
    """The cluster that `make cluster` brought up."""
    places = Places()
    return Cluster(tuple(places.kubectl()), places.kubeconfig, "espnet3-test", own=True)


def until(ask: Callable[[], T | None], seconds: float, what: str, pause: float = 0.5) -> T:
    """Ask until there is an answer that is not None or False.

    Raises:
        AssertionError: there is none within the time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds:g} s")


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables for the processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def pod_of(cluster: Cluster, selector: str, phase: str = "Running", *, bound: bool = False) -> dict[str, Any] | None:
    """The latest pod of a selector that is in a phase, on a node if `bound`, and does not go away."""
    pods = [pod for pod in cluster.get("pods", selector) if "deletionTimestamp" not in pod["metadata"]]
    fit = [pod for pod in pods if pod["status"]["phase"] == phase and (not bound or "nodeName" in pod["spec"])]
    return fit[-1] if fit else None


def exit_code(pod: dict[str, Any], container: str = "main") -> int | None:
    """With what a pod's container ended; None while it runs."""
    for status in pod["status"].get("containerStatuses", []):
        if status["name"] == container or container == "":
            ended = status["state"].get("terminated") or status.get("lastState", {}).get("terminated")
            return int(ended["exitCode"]) if ended else None
    return None
