"""The network rules: nothing goes in or out but names, the API server for Argo's sidecar, and the internet by label."""

from typing import Any

import pytest
import yaml

from tests.charts.conftest import CHART, Object, Render

OURS = {"app.kubernetes.io/part-of": "espnet3"}
JOB = {**OURS, "espnet3.org/network": "none"}
WORKFLOW = {**JOB, "workflows.argoproj.io/workflow": "digits-asr-x7"}
ONLINE = {**WORKFLOW, "espnet3.org/network": "internet"}
GKE = yaml.safe_load((CHART.parent.parent / "k8s" / "profiles" / "gke-gpu.yaml").read_text(encoding="utf-8"))
OPENSHIFT = {
    "networkPolicy": {
        "dns": {
            "namespace": "openshift-dns",
            "podSelectors": [{"dns.operator.openshift.io/daemonset-dns": "default"}],
            "ports": [5353],
        }
    }
}


def selected(policy: Object, labels: dict[str, str]) -> bool:
    selector = policy["spec"]["podSelector"]
    exists = [rule["key"] for rule in selector.get("matchExpressions", []) if rule["operator"] == "Exists"]
    return selector.get("matchLabels", {}).items() <= labels.items() and set(exists) <= set(labels)


def policies(render: Render, values: Object | None, labels: dict[str, str]) -> list[Object]:
    return [item for item in render(values) if item["kind"] == "NetworkPolicy" and selected(item, labels)]


def allowed(found: list[Object]) -> dict[str, list[Any]]:
    """Address blocks, with their exceptions and ports, that the policies let a pod reach."""
    return {
        to["ipBlock"]["cidr"]: [to["ipBlock"].get("except", []), [port["port"] for port in rule["ports"]]]
        for policy in found
        for rule in policy["spec"].get("egress", [])
        for to in rule["to"]
        if "ipBlock" in to
    }


@pytest.mark.parametrize("labels", [JOB, WORKFLOW, ONLINE], ids=["job", "workflow", "online"])
def test_nothing_is_allowed_that_no_rule_names(render: Render, labels: dict[str, str]) -> None:
    found = policies(render, None, labels)
    assert any(item["spec"]["policyTypes"] == ["Ingress", "Egress"] and "egress" not in item["spec"] for item in found)
    assert not any("ingress" in item["spec"] for item in found)


@pytest.mark.parametrize("labels", [JOB, WORKFLOW, ONLINE], ids=["job", "workflow", "online"])
@pytest.mark.parametrize(
    ("values", "namespace", "asked", "ports"),
    [
        ({}, "kube-system", [{"k8s-app": "kube-dns"}], [53]),
        (GKE, "kube-system", [{"k8s-app": "kube-dns"}, {"k8s-app": "node-local-dns"}], [53]),
        (OPENSHIFT, "openshift-dns", [{"dns.operator.openshift.io/daemonset-dns": "default"}], [5353]),
        ({"networkPolicy": {"dns": {"podSelectors": [], "cidrs": ["169.254.20.10/32"]}}}, "", [], []),
    ],
    ids=["default", "GKE", "OpenShift", "address alone"],
)
def test_every_pod_of_ours_may_ask_for_names(
    render: Render, labels: dict[str, str], values: Object, namespace: str, asked: list[Object], ports: list[int]
) -> None:
    to = [
        (target["namespaceSelector"]["matchLabels"], target["podSelector"]["matchLabels"], rule["ports"])
        for policy in policies(render, values, labels)
        for rule in policy["spec"].get("egress", [])
        for target in rule["to"]
        if "podSelector" in target
    ]
    protocols = [{"protocol": protocol, "port": port} for port in ports for protocol in ("UDP", "TCP")]
    assert to == [({"kubernetes.io/metadata.name": namespace}, each, protocols) for each in asked]


def test_a_plain_job_reaches_no_address(render: Render) -> None:
    assert allowed(policies(render, None, JOB)) == {}


def test_a_workflows_pod_reaches_the_api_server_on_private_networks_alone(render: Render) -> None:
    reached = allowed(policies(render, None, WORKFLOW))
    assert set(reached) == {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
    narrowed = {"networkPolicy": {"apiServer": {"cidrs": ["203.0.113.7/32"], "ports": [443]}}}
    assert allowed(policies(render, narrowed, WORKFLOW)) == {"203.0.113.7/32": [[], [443]]}


def test_a_pod_that_is_labelled_reaches_the_internet_but_no_private_network(render: Render) -> None:
    excepted, ports = allowed(policies(render, None, {**JOB, "espnet3.org/network": "internet"}))["0.0.0.0/0"]
    assert ports == [443, 80]
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(excepted)


@pytest.mark.parametrize("excepted", [[], None])
def test_no_network_may_be_excepted(render: Render, excepted: list[str] | None) -> None:
    values = {"networkPolicy": {"internet": {"except": excepted}}}
    found = policies(render, values, {**JOB, "espnet3.org/network": "internet"})
    assert allowed(found)["0.0.0.0/0"] == [[], [443, 80]]


def test_the_proxy_is_open_to_the_same_pods(render: Render) -> None:
    values = {
        "proxy": {"https": "http://proxy.example:3128"},
        "networkPolicy": {"apiServer": {"cidrs": []}, "proxy": {"cidr": "10.1.2.3/32", "port": 8080}},
    }
    assert allowed(policies(render, values, ONLINE))["10.1.2.3/32"] == [[], [8080]]
    assert "10.1.2.3/32" not in allowed(policies(render, values, WORKFLOW))


def test_a_hub_of_your_own_is_open_to_the_same_pods(render: Render) -> None:
    values = {
        "hub": {"endpoint": "http://hub.example:8080"},
        "networkPolicy": {"apiServer": {"cidrs": []}, "hub": {"cidr": "10.1.2.3/32", "port": 8080}},
    }
    assert allowed(policies(render, values, ONLINE))["10.1.2.3/32"] == [[], [8080]]
    assert allowed(policies(render, values, WORKFLOW)) == {}


def test_a_hub_on_the_internet_opens_no_private_network(render: Render) -> None:
    values = {"hub": {"endpoint": "https://hub.example"}, "networkPolicy": {"hub": {"cidr": "0.0.0.0/0"}}}
    assert allowed(policies(render, values, ONLINE)) == allowed(policies(render, {}, ONLINE))


@pytest.mark.parametrize("kind", ["hub", "proxy"])
def test_nothing_is_asked_where_there_are_no_rules(render: Render, kind: str) -> None:
    values = {"hub": {"endpoint": "http://hub"}} if kind == "hub" else {"proxy": {"http": "http://proxy:3128"}}
    assert policies(render, {**values, "networkPolicy": {"enabled": False}}, ONLINE) == []


def test_a_resolver_on_the_node_is_reached_when_named(render: Render) -> None:
    values = {"networkPolicy": {"dns": {"cidrs": ["169.254.20.10/32"], "ports": [53, 5353]}}}
    assert allowed(policies(render, values, JOB)) == {"169.254.20.10/32": [[], [53, 53, 5353, 5353]]}


def test_other_pods_of_the_namespace_are_left_alone(render: Render) -> None:
    assert policies(render, None, {"app": "something else"}) == []


def test_no_rules_where_they_are_switched_off(render: Render) -> None:
    assert policies(render, {"networkPolicy": {"enabled": False}}, ONLINE) == []
