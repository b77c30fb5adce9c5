"""What a workflow costs besides its stages: `make bench-cluster` runs this file, `make cluster-test` leaves it out.

The wall time of the digits workflow minus the seconds that its stages report, beside the wall time of a chain of as
many pods that do nothing, in the same cluster a moment later.
"""

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import argo as programs
from tests.cluster import install, stage_jobs
from tests.cluster.kube import Cluster
from tests.egs3.digits_run import Digits

LIMIT = 1.3


def seconds(state: dict[str, Any]) -> float:
    """The wall time of a workflow."""
    begin, end = (datetime.fromisoformat(state[name]) for name in ("startedAt", "finishedAt"))
    return (end - begin).total_seconds()


def reported(state: dict[str, Any]) -> float:
    """What the stages of a workflow say that they took, together."""
    total = 0.0
    for node in programs.nodes(state):
        for parameter in node.get("outputs", {}).get("parameters", []):
            if parameter["name"] == "outcome":
                total += float(json.loads(parameter["value"]).get("seconds", 0))
    return total


def chain(cluster: Cluster, rendered: str, length: int) -> dict[str, Any]:
    """A workflow of pods that do nothing, one after the other, and otherwise like the rendered one."""
    workflow: dict[str, Any] = yaml.safe_load(rendered)
    keep = ("automountServiceAccountToken", "executor", "securityContext", "serviceAccountName", "podSpecPatch")
    spec: dict[str, Any] = {name: workflow["spec"][name] for name in keep}
    container = {
        "image": install.data_image(cluster),
        "imagePullPolicy": "IfNotPresent",
        "command": ["true"],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": install.CLOSED,
    }
    tasks: list[dict[str, Any]] = [{"name": f"step-{index}", "template": "nothing"} for index in range(length)]
    for before, task in pairwise(tasks):
        task["depends"] = before["name"]
    spec |= {"entrypoint": "chain", "templates": [{"name": "chain", "dag": {"tasks": tasks}}]}
    spec["templates"].append({"name": "nothing", "container": container})
    return {**workflow, "metadata": {"generateName": "nothing-"}, "spec": spec}


def finished(cluster: Cluster, text: str, folder: Path) -> dict[str, Any]:
    """Submit a workflow and wait for its success."""
    file = folder / "workflow.yaml"
    file.write_text(text, encoding="utf-8")
    state = programs.finished(cluster, programs.submit(cluster, file), 900)
    assert state["phase"] == "Succeeded", state.get("message")
    return state


def test_a_workflow_costs_little_more_than_a_chain_of_empty_pods(
    argo: Cluster, undisturbed: Digits, tmp_path: Path
) -> None:
    rendered = stage_jobs.k8s("render", undisturbed)
    digits = finished(argo, rendered, tmp_path)
    pods = len(programs.nodes(digits))
    nothing = seconds(finished(argo, yaml.safe_dump(chain(argo, rendered, pods)), tmp_path))
    whole, stages = seconds(digits), reported(digits)
    assert stages > 0
    cost = whole - stages
    print(f"\nworkflow {whole:.0f} s, its {pods} pods' stages {stages:.0f} s, so {cost:.0f} s besides them;")
    print(f"a chain of {pods} empty pods {nothing:.0f} s; {cost / nothing:.2f} of it (at most {LIMIT})")
    assert cost <= LIMIT * nothing
