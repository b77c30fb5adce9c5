"""`helm test`: a pod like those of stages, under Pod Security `restricted`, runs the volume doctor on each volume."""

from typing import Any

import pytest

from tests.charts.conftest import Object, Render, named


def doctors(objects: list[Object]) -> dict[str, Object]:
    pods = [item for item in objects if item["kind"] == "Pod"]
    assert all(item["metadata"]["annotations"]["helm.sh/hook"] == "test" for item in pods)
    return {item["metadata"]["name"]: item["spec"] for item in pods}


@pytest.mark.parametrize(
    ("values", "looked_at"),
    [
        ({}, {"espnet3-workspace": "/workspace"}),
        ({"data": {"enabled": True}}, {"espnet3-workspace": "/workspace", "espnet3-data": "/data"}),
        ({"data": {"enabled": True, "readOnly": True}}, {"espnet3-workspace": "/workspace"}),
        ({"workspace": {"existingClaim": "mine", "mountPath": "/mnt/work"}}, {"mine": "/mnt/work"}),
    ],
    ids=["workspace", "both", "read-only data", "existing claim"],
)
def test_it_looks_at_every_volume_that_stages_write(render: Render, values: Object, looked_at: dict[str, str]) -> None:
    found = {}
    for spec in doctors(render(values)).values():
        (container,) = spec["containers"]
        (claim,) = [
            volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "emptyDir" not in volume
        ]
        assert container["command"] + container["args"][:1] == ["tini", "--", "python", "-m", "stages", "doctor"]
        assert container["args"][1] in [mount["mountPath"] for mount in container["volumeMounts"]]
        found[claim] = container["args"][1]
    assert found == looked_at


@pytest.mark.parametrize(
    ("images", "reference"),
    [
        ({}, "localhost/espnet3-data:0.1.0"),
        ({"registry": "registry.example/speech", "tag": "1.2.3"}, "registry.example/speech/espnet3-data:1.2.3"),
    ],
    ids=["loaded onto the node", "registry"],
)
def test_it_runs_in_the_data_image_which_has_no_cuda_variant(render: Render, images: Object, reference: str) -> None:
    (spec,) = doctors(render({"images": images, "device": "cuda"})).values()
    assert spec["containers"][0]["image"] == reference


def test_it_runs_as_stages_do(render: Render) -> None:
    values = {
        "pools": {"cpu": {"nodeSelector": {"pool": "cpu"}, "tolerations": [{"key": "cpu", "operator": "Exists"}]}},
        "environment": {"TZ": "UTC"},
        "annotations": {"pod": {"team": "speech"}},
    }
    objects = render(values)
    (spec,) = doctors(objects).values()
    assert spec["serviceAccountName"] == "espnet3-stage"
    assert spec["nodeSelector"] == {"pool": "cpu"}
    assert spec["tolerations"] == [{"key": "cpu", "operator": "Exists"}]
    assert {"name": "TZ", "value": "UTC"} in spec["containers"][0]["env"]
    metadata = named(objects, "Pod", "espnet3-doctor-workspace")["metadata"]
    assert metadata["annotations"]["team"] == "speech"
    assert metadata["labels"]["espnet3.org/network"] == "none"


def test_it_passes_pod_security_restricted(render: Render) -> None:
    (spec,) = doctors(render()).values()
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} == {"persistentVolumeClaim", "emptyDir"}


@pytest.mark.parametrize(
    ("security", "there"),
    [
        ({"runAsUser": None, "fsGroup": None}, {"runAsGroup": 10001}),
        ({"runAsGroup": 0, "supplementalGroups": [2000]}, {"runAsGroup": 0, "supplementalGroups": [2000]}),
    ],
    ids=["left to the cluster", "group of root, more groups"],
)
def test_users_and_groups_are_those_of_the_values(render: Render, security: dict[str, Any], there: Object) -> None:
    (spec,) = doctors(render({"security": security})).values()
    context = spec["securityContext"]
    assert context == {**context, **there}
    assert not {key for key, value in security.items() if value is None} & set(context)
