"""The chart's network rules by real connections, allowed and refused, where something enforces them; else the tests say
that nothing does.
"""

import dataclasses
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cluster import install
from tests.cluster.kube import Cluster, Refused, until
from tests.cluster.onenode.places import API_PORT, BRIDGE, NODE_ADDRESS

LISTEN = "import socketserver\nsocketserver.TCPServer(('', 8080), socketserver.BaseRequestHandler).serve_forever()"
CONNECT = "import socket,sys\nsocket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"
RESOLVE = "import socket,sys\nsocket.getaddrinfo(sys.argv[1], 443)"
OUTSIDE = "198.51.100.1"
"""Kept for examples (RFC 5737), so that no real host has it; the node answers to it as if it were the internet."""
STAGE = {"app.kubernetes.io/part-of": "espnet3", "espnet3.org/network": "none"}
OUTSIDE_RULE = ("--set=networkPolicy.internet.cidr=0.0.0.0/0", "--set=networkPolicy.internet.except={10.0.0.0/8}")
PODS = {
    "stranger": {},
    "other": {},
    "other-stage": STAGE,
    "stage": STAGE,
    "fetching-stage": STAGE | {"espnet3.org/network": "internet"},
    "workflow-stage": STAGE | {"workflows.argoproj.io/workflow": "digits"},
}
MAY = {
    "stranger": {"a pod", "the API server", "the name server", "the internet"},
    "stage": {"the name server"},
    "fetching-stage": {"the name server", "the internet"},
    "workflow-stage": {"the name server", "the API server"},
}
PLACES = ("a pod", "a stage", "the API server", "the name server", "the internet")


@dataclasses.dataclass(frozen=True)
class Walled:
    """A namespace under the chart's rules, with pods and the addresses that they may try to reach."""

    cluster: Cluster
    addresses: dict[str, tuple[str, int]]

    def reaches(self, pod: str, place: str) -> bool:
        """Whether a pod can open a connection."""
        if place == "the name server":
            words = [RESOLVE, "kubernetes.default.svc.cluster.local"]
        else:
            words = [CONNECT, *map(str, self.addresses[place])]
        try:
            self.cluster.kubectl("exec", pod, "--", "python", "-c", *words)
        except Refused:
            return False
        return True


@pytest.fixture(scope="module")
def internet(anywhere: Cluster) -> Iterator[None]:
    """A server on the node that stands for the internet, which pods of our own cluster have no way to."""
    if not anywhere.own:
        pytest.skip("only on our own node can a test say where the internet is")
    subprocess.run(["ip", "addr", "add", f"{OUTSIDE}/32", "dev", BRIDGE], check=True)
    server = ThreadingHTTPServer((OUTSIDE, 443), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        subprocess.run(["ip", "addr", "del", f"{OUTSIDE}/32", "dev", BRIDGE], check=True)


@pytest.fixture(scope="module")
def walled(anywhere: Cluster, images: None, internet: None) -> Iterator[Walled]:
    with install.fresh_namespace(anywhere) as cluster:
        found = Walled(cluster, build(cluster))
        try:
            until(lambda: not found.reaches("stage", "a pod"), 15, "a refused connection")
        except AssertionError:
            pytest.skip("nothing in this cluster enforces NetworkPolicy; the rules are installed, and do nothing")
        yield found


def build(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """Make the pods and the rules; where each place is."""
    rules = install.template(cluster, "network", *install.network_rules(cluster), *OUTSIDE_RULE)
    image = install.data_image(cluster)
    pods = [install.pod(name, image, ["python", "-c", LISTEN], labels) for name, labels in PODS.items()]
    cluster.create(rules)
    cluster.apply(*pods)
    for name in PODS:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s")
    pod, stage = (cluster.read(f"pod/{name}")["status"]["podIP"] for name in ("other", "other-stage"))
    server = (NODE_ADDRESS, API_PORT)
    return {"a pod": (pod, 8080), "a stage": (stage, 8080), "the API server": server, "the internet": (OUTSIDE, 443)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("pod", MAY)
def test_a_pod_reaches_what_the_rules_let_it_and_no_more(walled: Walled, pod: str, place: str) -> None:
    assert walled.reaches(pod, place) is (place in MAY[pod])
