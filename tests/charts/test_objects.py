"""What the chart installs: claims that stay, accounts without rights, limits, and nothing of Argo's."""

from typing import Any

import pytest

from tests.charts.conftest import Object, Render, named


def test_it_owns_neither_argo_nor_a_workflow(render: Render) -> None:
    objects = render({"data": {"enabled": True}, "semaphores": {"gpu": 1}})
    assert {item["apiVersion"] for item in objects if "argoproj" in item["apiVersion"]} == set()
    assert {item["kind"] for item in objects} & {
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
    } == set()


def test_every_object_says_what_it_belongs_to(render: Render) -> None:
    for item in render({"data": {"enabled": True}}):
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "espnet3"
        assert labels["app.kubernetes.io/instance"] == "release"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_two_releases_share_no_name(render: Render) -> None:
    first = {(item["kind"], item["metadata"]["name"]) for item in render()}
    second = {(item["kind"], item["metadata"]["name"]) for item in render({"fullnameOverride": "other"})}
    assert first & second == set()


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ({}, {"espnet3-workspace"}),
        ({"data": {"enabled": True}}, {"espnet3-workspace", "espnet3-data"}),
        ({"workspace": {"existingClaim": "mine"}}, set()),
        ({"data": {"enabled": True, "existingClaim": "corpora"}}, {"espnet3-workspace"}),
    ],
    ids=["workspace", "both", "existing workspace", "existing data"],
)
def test_it_claims_what_does_not_exist_yet(render: Render, values: Object, claims: set[str]) -> None:
    assert {item["metadata"]["name"] for item in render(values) if item["kind"] == "PersistentVolumeClaim"} == claims


@pytest.mark.parametrize("volume", ["workspace", "data"])
def test_a_claim_outlives_the_release_unless_told_otherwise(render: Render, volume: str) -> None:
    def annotations(keep: bool) -> dict[str, str]:
        objects = render({"data": {"enabled": True, "keep": keep}, "workspace": {"keep": keep}})
        found = named(objects, "PersistentVolumeClaim", f"espnet3-{volume}")["metadata"].get("annotations", {})
        assert isinstance(found, dict)
        return found

    assert annotations(True) == {"helm.sh/resource-policy": "keep"}
    assert annotations(False) == {}


@pytest.mark.parametrize(
    ("values", "spec"),
    [
        ({}, {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "100Gi"}}}),
        (
            {"storageClass": "nfs", "size": "2Ti"},
            {"storageClassName": "nfs", "resources": {"requests": {"storage": "2Ti"}}},
        ),
        ({"storageClass": "-", "volumeName": "disk"}, {"storageClassName": "", "volumeName": "disk"}),
        ({"accessModes": ["ReadWriteOnce"]}, {"accessModes": ["ReadWriteOnce"]}),
    ],
    ids=["defaults", "class", "made by hand", "one node"],
)
def test_a_claim_asks_for_the_storage_of_the_values(render: Render, values: Object, spec: Object) -> None:
    claim = named(render({"workspace": values}), "PersistentVolumeClaim", "espnet3-workspace")["spec"]
    assert claim == {**claim, **spec}
    assert ("storageClassName" in claim) == ("storageClass" in values)


@pytest.mark.parametrize("account", ["stage", "publisher", "executor"])
def test_no_account_is_mounted_by_itself(render: Render, account: str) -> None:
    assert named(render(), "ServiceAccount", f"espnet3-{account}")["automountServiceAccountToken"] is False


def test_pods_accounts_carry_pull_secrets_and_annotations(render: Render) -> None:
    values = {"images": {"pullSecrets": ["pull"]}, "annotations": {"serviceAccount": {"iam.example/role": "speech"}}}
    objects = render(values)
    for account in ("stage", "publisher"):
        found = named(objects, "ServiceAccount", f"espnet3-{account}")
        assert found["imagePullSecrets"] == [{"name": "pull"}]
        assert found["metadata"]["annotations"] == {"iam.example/role": "speech"}
    assert "annotations" not in named(objects, "ServiceAccount", "espnet3-executor")["metadata"]


def test_only_the_executor_may_do_anything_and_that_is_to_report_results(render: Render) -> None:
    objects = render()
    (role,) = [item for item in objects if item["kind"] == "Role"]
    (binding,) = [item for item in objects if item["kind"] == "RoleBinding"]
    assert role["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "espnet3-executor", "namespace": "speech"}]


def test_users_run_recipes_but_read_no_secret_and_remove_no_claim(render: Render) -> None:
    ada = {"kind": "User", "name": "ada"}
    ci = {"kind": "ServiceAccount", "name": "ci", "namespace": "build"}
    objects = render({"users": [ada, ci]})
    assert named(objects, "RoleBinding", "espnet3-user")["subjects"] == [
        {**ada, "apiGroup": "rbac.authorization.k8s.io"},
        ci,
    ]
    rules = named(objects, "Role", "espnet3-user")["rules"]
    rights = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    replacing = {("jobs", verb) for verb in ("get", "delete", "create")}
    assert {("workflows", "create"), *replacing, ("pods/log", "get")} <= rights
    assert {verb for resource, verb in rights if resource == "configmaps"} == {"get"}
    resources = {resource for resource, _ in rights}
    kept_away = {"*", "secrets", "serviceaccounts", "roles", "rolebindings", "networkpolicies", "pods/exec"}
    assert not resources & kept_away
    assert {verb for resource, verb in rights if resource == "persistentvolumeclaims"} == {"get", "list"}


def test_the_executors_token_is_the_only_secret_and_the_cluster_fills_it(render: Render) -> None:
    (secret,) = [item for item in render({"token": {"existingSecret": "hub"}}) if item["kind"] == "Secret"]
    assert secret["metadata"]["name"] == "espnet3-executor.service-account-token"
    assert secret["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "espnet3-executor"}
    assert not {"data", "stringData"} & set(secret)


@pytest.mark.parametrize(
    ("values", "kind", "part"),
    [
        ({"semaphores": {"gpu": 4}}, "ConfigMap", {"data": {"gpu": "4"}}),
        (
            {"quota": {"enabled": True, "hard": {"requests.nvidia.com/gpu": 8}}},
            "ResourceQuota",
            {"spec": {"hard": {"requests.nvidia.com/gpu": "8"}}},
        ),
        (
            {"priorityClass": {"create": True, "name": "speech", "value": 1000000}},
            "PriorityClass",
            {"value": 1000000},
        ),
    ],
    ids=["semaphore", "quota", "priority"],
)
def test_a_limit_is_there_when_it_is_set(render: Render, values: Object, kind: str, part: dict[str, Any]) -> None:
    (found,) = [item for item in render(values) if item["kind"] == kind]
    assert found == {**found, **part}
    assert [item for item in render() if item["kind"] == kind] == []
