"""The chart's values: closed against misspelt keys, listed in its README, and fit for every profile."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts import programs
from tests.charts.conftest import CHART, Helm, Template

ROOT = CHART.parent.parent
PROFILES = sorted((ROOT / "k8s" / "profiles").glob("*.yaml"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
EVERYTHING = {
    "device": "cuda",
    "images": {"registry": "registry.example/speech", "tag": "1.2.3", "pullSecrets": ["pull"]},
    "workspace": {"storageClass": "nfs", "volumeName": "disk"},
    "data": {"enabled": True, "storageClass": "-"},
    "proxy": {"https": "http://proxy.example:3128", "noProxy": "10.0.0.0/8"},
    "caBundle": {"configMap": "authority"},
    "environment": {"TZ": "UTC"},
    "annotations": {"pod": {"team": "speech"}, "serviceAccount": {"iam.example/role": "speech"}},
    "pools": {"cpu": {"nodeSelector": {"pool": "cpu"}, "tolerations": [{"key": "cpu", "operator": "Exists"}]}},
    "users": [{"kind": "User", "name": "ada"}, {"kind": "ServiceAccount", "name": "ci", "namespace": "build"}],
    "semaphores": {"gpu": 2},
    "quota": {"enabled": True, "hard": {"requests.nvidia.com/gpu": 4, "pods": "50"}},
    "priorityClass": {"create": True, "name": "speech", "value": 1000},
    "networkPolicy": {
        "dns": {"cidrs": ["169.254.20.10/32"]},
        "proxy": {"cidr": "10.1.2.3/32"},
        "hub": {"cidr": "10.1.2.4/32"},
    },
    "hub": {"endpoint": "https://hub.example"},
}


def leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, values


def test_the_chart_passes_helms_own_checks(helm: Helm) -> None:
    answer = helm("lint", "--strict", CHART)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("profile", PROFILES, ids=lambda file: file.stem)
def test_every_profile_of_the_generator_installs(template: Template, profile: Path) -> None:
    answer = template(yaml.safe_load(profile.read_text(encoding="utf-8")))
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("profile", PROFILES, ids=lambda file: file.stem)
def test_a_profile_installs_in_two_namespaces(template: Template, profile: Path) -> None:
    """Helm refuses an object of the whole cluster that another release has made."""
    made = yaml.safe_load_all(template(yaml.safe_load(profile.read_text(encoding="utf-8"))).stdout)
    of_cluster = {"PriorityClass", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume"}
    assert not {item["kind"] for item in made if item} & of_cluster


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_kubernetes_knows_every_field(template: Template, tmp_path: Path, values: dict[str, Any]) -> None:
    kubeconform = programs.program("kubeconform")
    if kubeconform is None:
        pytest.skip(programs.HOW)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(template(values).stdout, encoding="utf-8")
    location = f"{programs.schemas()}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    answer = subprocess.run(
        [kubeconform, "-strict", "-summary", "-schema-location", location, manifest],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    assert "Valid: 0" not in answer.stdout
    assert "Skipped: 0" in answer.stdout


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"imges": {}}, "imges"),
        ({"images": {"regitry": "x"}}, "regitry"),
        ({"workspace": {"exists": True}}, "exists"),
        ({"pools": {"gpu": {"spot": {"retrys": 1}}}}, "retrys"),
        ({"pools": {"gpu": {"tolerations": [{"kye": "gpu"}]}}}, "kye"),
        ({"networkPolicy": {"internet": {"port": 1}}}, "port"),
        ({"token": {"value": "hf_secret"}}, "value"),
        ({"fullnameOverride": ""}, "fullnameOverride"),
        ({"device": "tpu"}, "device"),
        ({"workspace": {"size": "lots"}}, "size"),
        ({"workspace": {"mountPath": "work"}}, "mountPath"),
        ({"workspace": {"accessModes": []}}, "accessModes"),
        ({"security": {"runAsUser": 0}}, "runAsUser"),
        ({"security": {"runAsUser": "root"}}, "runAsUser"),
        ({"semaphores": {"gpu": -1}}, "semaphores"),
        ({"users": [{"kind": "Team", "name": "speech"}]}, "users"),
        ({"users": [{"kind": "ServiceAccount", "name": "ci"}]}, "namespace"),
        ({"users": [{"kind": "User", "name": "ada", "namespace": "speech"}]}, "namespace"),
        ({"quota": {"enabled": True}}, "quota"),
        ({"priorityClass": {"create": True}}, "priorityClass"),
        ({"retries": {"limit": 21}}, "retries"),
        ({"retries": {"backoff": {"duration": "soon"}}}, "duration"),
        ({"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1"]}}}, "cidrs"),
        ({"networkPolicy": {"dns": {"podLabels": {"k8s-app": "kube-dns"}}}}, "podLabels"),
        ({"networkPolicy": {"dns": {"podSelectors": {"k8s-app": "kube-dns"}}}}, "podSelectors"),
        ({"networkPolicy": {"dns": {"podSelectors": [{}]}}}, "podSelectors"),
        ({"networkPolicy": {"dns": {"podSelectors": []}}}, "networkPolicy.dns.podSelectors"),
        ({"pools": {"cpu": {"nodeSelector": {"pool": "a b"}}}}, "nodeSelector"),
        ({"pools": {"cpu": {"tolerations": [{"value": "{{item}}"}]}}}, "tolerations"),
        ({"environment": {"not-a-name": "1"}}, "not-a-name"),
        ({"environment": {"COUNT": 1}}, "environment"),
        ({"proxy": {"http": "proxy:3128"}}, "proxy"),
        ({"proxy": {"http": "http://proxy:3128"}}, "networkPolicy.proxy.cidr"),
        ({"hub": {"endpoint": "https://hub.example"}}, "networkPolicy.hub.cidr"),
    ],
    ids=lambda case: json.dumps(case)[:60] if isinstance(case, dict) else "",
)
def test_a_wrong_value_is_refused_by_its_name(template: Template, values: dict[str, Any], said: str) -> None:
    answer = template(values)
    assert answer.returncode != 0
    assert said in answer.stderr


def test_the_schema_closes_every_set_of_fixed_keys() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    open_ones = [place for place, node in objects(schema) if node.get("additionalProperties") is not False]
    assert open_ones == []


def objects(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part of a schema that names the keys of an object; conditions add to one and are no object themselves."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield place, schema
        for key, value in schema.items():
            if key not in ("if", "then", "else"):
                yield from objects(value, f"{place}/{key}")


def test_the_schema_knows_the_chart_s_values_and_no_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(VALUES)


def test_the_readme_lists_every_value_and_its_default() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| \S", readme, re.MULTILINE))
    assert listed == {key: json.dumps(value) for key, value in leaves(VALUES)}


def test_the_chart_is_of_the_package_s_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == package["project"]["version"]


def test_the_readme_names_the_helm_that_the_tests_use() -> None:
    pinned = re.search(r"helm\.sh/helm/v4 v(\S+)", (programs.TOOLS / "go.mod").read_text(encoding="utf-8"))
    assert pinned
    assert f"Helm {pinned[1]}" in (CHART / "README.md").read_text(encoding="utf-8")


ODD = ("1e3", "0x1f", "12", "on", "null", "1-2")


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_looks_like_a_number_stays_a_name(helm: Helm, tmp_path: Path, name: str) -> None:
    claim = {"existingClaim": name}
    values = {
        "workspace": {"storageClass": name, "volumeName": name},
        "data": claim | {"enabled": True},
        "priorityClass": {"create": True, "name": name},
        "images": {"pullSecrets": [name], "tag": name},
        "annotations": {"pod": {"a": name}, "serviceAccount": {"a": name}},
        "quota": {"enabled": True, "hard": {"pods": "12"}},
        "networkPolicy": {"dns": {"namespace": name}},
        "users": [{"kind": "ServiceAccount", "name": name, "namespace": name}],
    }
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values), encoding="utf-8")
    answer = helm("template", name, CHART, "--namespace", name, "--values", file)
    assert answer.returncode == 0, answer.stderr
    read = [(place, value) for item in yaml.safe_load_all(answer.stdout) for place, value in leaves(item or {})]
    names = [value for place, value in read if place.endswith(("name", "Name", "namespace", "instance"))]
    assert len(names) > 20
    assert [value for value in names if not isinstance(value, str)] == []
    assert f"'{name}'" in str(names)
    bare = [
        event.value for event in yaml.parse(answer.stdout) if isinstance(event, yaml.ScalarEvent) and not event.style
    ]
    assert name not in bare
