"""The chart and the generated workflows meet: what a workflow names, the chart makes from the same profile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.__main__ import main
from tests.charts.conftest import CHART, Object, Render, named
from tests.charts.test_network import selected

K8S = CHART.parent.parent / "k8s"
RENDERED = sorted((K8S / "rendered").glob("*.yaml"))


def profile_of(workflow: Path) -> Object:
    """The values for which a workflow was rendered; its file is named <recipe>-<profile>."""
    (profile,) = [file for file in (K8S / "profiles").glob("*.yaml") if workflow.stem.endswith(f"-{file.stem}")]
    values = yaml.safe_load(profile.read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def found(node: Any, key: str) -> Iterator[Any]:
    """Every value of a key, however deep."""
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from found(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from found(value, key)


def names(objects: list[Object], kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in objects if item["kind"] == kind}


@pytest.fixture(params=RENDERED, ids=lambda file: file.stem)
def pair(request: pytest.FixtureRequest, render: Render) -> tuple[Object, list[Object]]:
    """A workflow, and the objects that the chart makes of its profile."""
    workflow = yaml.safe_load(request.param.read_text(encoding="utf-8"))
    return workflow, render(profile_of(request.param))


def test_there_are_workflows_to_look_at() -> None:
    assert RENDERED


def test_the_accounts_and_claims_of_a_workflow_are_the_charts(pair: tuple[Object, list[Object]]) -> None:
    workflow, objects = pair
    assert set(found(workflow, "serviceAccountName")) <= names(objects, "ServiceAccount")
    assert set(found(workflow, "claimName")) <= names(objects, "PersistentVolumeClaim")


def test_the_executor_of_a_workflow_has_a_token_that_its_stages_have_not(pair: tuple[Object, list[Object]]) -> None:
    workflow, objects = pair
    account = workflow["spec"]["executor"]["serviceAccountName"]
    assert f"{account}.service-account-token" in names(objects, "Secret")
    assert workflow["spec"]["automountServiceAccountToken"] is False
    assert account not in {template.get("serviceAccountName") for template in workflow["spec"]["templates"]}


def test_the_semaphores_of_a_workflow_are_in_the_charts_configmap(pair: tuple[Object, list[Object]]) -> None:
    workflow, objects = pair
    there = {(item["metadata"]["name"], key) for item in objects if item["kind"] == "ConfigMap" for key in item["data"]}
    assert {(one["name"], one["key"]) for one in found(workflow, "configMapKeyRef")} <= there


def test_the_network_rules_select_the_pods_of_a_workflow(pair: tuple[Object, list[Object]]) -> None:
    workflow, objects = pair
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    for template in workflow["spec"]["templates"]:
        if "container" in template:
            labels = {**workflow["spec"]["podMetadata"]["labels"], **template["metadata"]["labels"]}
            online = labels["espnet3.org/network"] == "internet"
            rules = {item["metadata"]["name"] for item in policies if selected(item, labels)}
            assert not policies or rules == {"espnet3-deny", "espnet3-dns", *(["espnet3-internet"] if online else [])}


OPENSHIFT: Object = {
    "security": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    "networkPolicy": {"dns": {"podSelectors": [{"dns.operator.openshift.io/daemonset-dns": "default"}]}},
}


@pytest.mark.parametrize(
    ("values", "there"),
    [
        (OPENSHIFT, {"fsGroupChangePolicy": "OnRootMismatch"}),
        ({"security": None}, {}),
        (
            {"security": {"fsGroup": None, "fsGroupChangePolicy": None, "supplementalGroups": None}},
            {"runAsUser": 10001},
        ),
        ({"networkPolicy": {"internet": {"except": None}}}, {"fsGroup": 10001}),
    ],
    ids=["OpenShift", "all of it", "some of it", "elsewhere"],
)
@pytest.mark.parametrize("command", [["render"], ["job", "train"], ["demo"]], ids=lambda command: command[0])
def test_null_leaves_it_to_the_cluster_in_both(
    render: Render,
    values: Object,
    there: Object,
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    profile = tmp_path / "cluster.yaml"
    profile.write_text(yaml.safe_dump(values), encoding="utf-8")
    recipe = CHART.parent.parent / "egs3" / "digits" / "asr"
    assert main([command[0], str(recipe), *command[1:], "--profile", str(profile)]) == 0
    contexts = list(found(list(yaml.safe_load_all(capsys.readouterr().out)), "securityContext"))
    (of_pod,) = [context for context in contexts if "runAsNonRoot" in context]
    of_doctor = named(render(values), "Pod", "espnet3-doctor-workspace")["spec"]["securityContext"]
    assert of_pod == {key: value for key, value in of_doctor.items() if value != []}
    assert of_pod == {**of_pod, **there}
    assert None not in of_pod.values()
