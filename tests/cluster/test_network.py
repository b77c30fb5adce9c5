"""Network rules by real connections, where something enforces them; else the test says that nothing does."""

from typing import Any

import pytest

from tests.cluster import install
from tests.cluster.kube import Cluster, Refused

SERVER = "import socketserver\nsocketserver.TCPServer(('', 8080), socketserver.BaseRequestHandler).serve_forever()"
CLIENT = "import socket,sys\nsocket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"


def pod(cluster: Cluster, name: str, program: str, labels: dict[str, str]) -> dict[str, Any]:
    """A pod in which Python runs a program."""
    made = install.pod_with_workspace(name, install.data_image(cluster), ["python", "-c", program])
    made["metadata"]["labels"] = {"espnet3.org/test": "network", **labels}
    return made


def reaches(cluster: Cluster, client: str, address: str, port: int) -> bool:
    """Whether a pod can open a connection."""
    try:
        cluster.kubectl("exec", client, "--", "python", "-c", CLIENT, address, str(port))
    except Refused:
        return False
    return True


def test_stages_reach_no_other_pod(chart: Cluster) -> None:
    sleep = "import time\ntime.sleep(600)"
    stage = {"app.kubernetes.io/part-of": "espnet3", "espnet3.org/network": "none"}
    try:
        chart.apply(
            pod(chart, "server", SERVER, {}),
            pod(chart, "stranger", sleep, {}),
            pod(chart, "stage", sleep, stage),
            deny(),
        )
        for name in ("server", "stranger", "stage"):
            chart.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s")
        address = chart.read("pod/server")["status"]["podIP"]
        assert reaches(chart, "stranger", address, 8080), "no pod reaches another: is there a network?"
        if reaches(chart, "stage", address, 8080):
            pytest.skip("nothing in this cluster enforces NetworkPolicy; the rules are installed, and do nothing")
    finally:
        chart.kubectl("delete", "pods,networkpolicies", "--selector=espnet3.org/test=network", "--wait=true")


def deny() -> dict[str, Any]:
    """The chart's first rule, for profiles that leave the rules out."""
    metadata = {"name": "test-deny", "labels": {"espnet3.org/test": "network"}}
    selector = {"matchLabels": {"app.kubernetes.io/part-of": "espnet3"}}
    spec = {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
