"""A stage's pod as a profile has it, made for the scheduler alone; what looks at where pods go uses it."""

import copy
from typing import Any

import yaml

from tests.cluster import stage_jobs
from tests.cluster.kube import Cluster
from tests.egs3.digits_run import Digits

TEST = "espnet3.org/test=gpu"
"""The label of such pods."""


def pod_of_stage(recipe: Digits, stage: str, profile: str) -> dict[str, Any]:
    """The pod of a stage without the volume: that is bound to our real node."""
    documents = yaml.safe_load_all(stage_jobs.k8s("job", recipe, stage, profile=profile))
    template = next(each for each in documents if each["kind"] == "Job")["spec"]["template"]
    spec = copy.deepcopy(template["spec"])
    gone = {each["name"] for each in spec["volumes"] if "persistentVolumeClaim" in each or "configMap" in each}
    spec["volumes"] = [each for each in spec["volumes"] if each["name"] not in gone]
    main = spec["containers"][0]
    main["volumeMounts"] = [each for each in main["volumeMounts"] if each["name"] not in gone]
    for key in ("priorityClassName", "imagePullSecrets", "runtimeClassName"):
        spec.pop(key, None)
    key, _, value = TEST.partition("=")
    metadata = {
        "name": f"{profile}-{stage.replace('_', '-')}",
        "labels": {key: value},
        "annotations": template["metadata"].get("annotations", {}),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def bound(cluster: Cluster, name: str) -> str | None:
    """The node that a pod was bound to."""
    node = cluster.read(f"pod/{name}")["spec"].get("nodeName")
    return None if node is None else str(node)


def remove_pods(cluster: Cluster) -> None:
    """Remove such pods, for which no kubelet says that they are over."""
    cluster.kubectl("delete", "pods", f"--selector={TEST}", "--force", "--grace-period=0")
