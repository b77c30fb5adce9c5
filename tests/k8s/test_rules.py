"""Each rule, broken by a workflow that `argo lint --offline` accepts or would not look at."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from espnet3.recipe.run_config import RunConfig
from k8s.containers import Cluster
from k8s.images import Digests
from k8s.rules import RULES, check
from k8s.settings import StageSettings
from k8s.values import read_profile
from k8s.workflow import build_workflow
from tests.k8s.conftest import template

Workflow = dict[str, Any]


@pytest.fixture(scope="module")
def sound(digits: RunConfig) -> Workflow:
    return build_workflow(digits, {"infer": StageSettings(shards=4)}, Cluster(read_profile("gke-gpu"), Digests()))


def train(workflow: Workflow) -> dict[str, Any]:
    return template(workflow, "train")


def task(workflow: Workflow, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in template(workflow, "recipe")["dag"]["tasks"] if e["name"] == name)
    return found


def variable(workflow: Workflow, value: str) -> None:
    train(workflow)["container"]["env"].append({"name": "OWN", "value": value})


def many_tasks(workflow: Workflow) -> None:
    tasks = template(workflow, "recipe")["dag"]["tasks"]
    tasks += [{**tasks[0], "name": f"plan-{number}"} for number in range(201)]


def many_templates(workflow: Workflow) -> None:
    workflow["spec"]["templates"] += [{**train(workflow), "name": f"train-{number}"} for number in range(200)]


def many_shards(workflow: Workflow) -> None:
    template(workflow, "infer")["dag"]["tasks"][0]["withSequence"]["count"] = "2000"


BREAKS: dict[str, tuple[Callable[[Workflow], Any], str]] = {
    "name of the object": (lambda w: w["metadata"].update(generateName="Digits_"), "'Digits_abcde' is not a name"),
    "name of a task": (lambda w: task(w, "train").update(name="train!"), "train!: is not a name"),
    "capitals": (lambda w: task(w, "train").update(name="trainONNX"), "trainONNX: is not a name"),
    "value of a label": (lambda w: w["metadata"]["labels"].update(recipe="a/b"), "label recipe: 'a/b'"),
    "too many tasks": (many_tasks, "tasks, at most 200"),
    "too many templates": (many_templates, "spec.templates: there are"),
    "too large with its status": (many_shards, "bytes, at most 1048576"),
    "template that there is not": (lambda w: task(w, "train").update(template="trian"), "there is no template trian"),
    "argument that is not an input": (
        lambda w: task(w, "train")["arguments"]["parameters"].append({"name": "epochs", "value": "3"}),
        "train: epochs is not an input of the template train",
    ),
    "typo in a tag": (
        lambda w: variable(w, "{{lastRetry.exitcode}}"),
        "train: nothing fills in {{lastRetry.exitcode}}",
    ),
    "parameter that there is not": (
        lambda w: variable(w, "{{workflow.parameters.epochs}}"),
        "train: nothing fills in {{workflow.parameters.epochs}}",
    ),
    "retries where nothing is retried": (
        lambda w: train(w).pop("retryStrategy"),
        "train: nothing fills in {{retries}}",
    ),
    "mount of no volume": (
        lambda w: train(w)["container"]["volumeMounts"].append({"name": "dat", "mountPath": "/data"}),
        "train: mounts dat, which is not a volume",
    ),
    "claim without a name": (
        lambda w: w["spec"]["volumes"][0]["persistentVolumeClaim"].update(claimName=""),
        "volume workspace: its claim has no name",
    ),
    "semaphore without a key": (
        lambda w: train(w)["synchronization"]["semaphores"][0]["configMapKeyRef"].update(key=""),
        "train: its lock has no name",
    ),
    "lock of nothing": (lambda w: w["spec"].update(synchronization={}), "spec: its lock has no name"),
    "retry rule that does not parse": (
        lambda w: train(w)["retryStrategy"].update(expression="lastRetry.exitCode in ['75'"),
        "train.retryStrategy: the expression cannot be read",
    ),
    "retry rule with a typo": (
        lambda w: train(w)["retryStrategy"].update(expression="lastRetry.exitcode == '75'"),
        "train.retryStrategy: the expression asks for lastRetry.exitcode",
    ),
    "backoff without a limit": (lambda w: train(w)["retryStrategy"].pop("limit"), "a backoff without a limit"),
    "backoff without a duration": (
        lambda w: train(w)["retryStrategy"]["backoff"].pop("duration"),
        "a backoff needs a duration",
    ),
    "condition that does not parse": (lambda w: task(w, "train").update(when="{{x}} = run"), "train.when:"),
    "selector that does not parse": (
        lambda w: train(w)["nodeSelector"].update(kind="{{= sprig.intt(retries) < 3 ? 'a' : 'b' }}"),
        "train: the expression cannot be read: there is no function sprig.intt",
    ),
    "selector that asks for what there is not": (
        lambda w: train(w)["nodeSelector"].update(kind="{{= attempt == '1' ? 'a' : 'b' }}"),
        "train: the expression asks for attempt",
    ),
    "stage that asks what has failed": (
        lambda w: variable(w, "{{= sprig.trunc(9, workflow.failures) }}"),
        "train: the expression asks for workflow.failures",
    ),
    "no command": (lambda w: train(w)["container"].pop("command"), "train: has no command"),
    "image without a tag": (lambda w: train(w)["container"].update(image="reg:5000/a"), "has neither a tag nor a"),
    "pod that may be root": (lambda w: w["spec"]["securityContext"].pop("runAsNonRoot"), "spec.securityContext: must"),
    "container that may do more": (
        lambda w: train(w)["container"]["securityContext"].pop("capabilities"),
        "train: its container may do more",
    ),
    "no limit": (lambda w: train(w)["container"]["resources"]["limits"].pop("memory"), "train: has no limit of memory"),
    "output without a default": (
        lambda w: template(w, "plan")["outputs"]["parameters"][0]["valueFrom"].pop("default"),
        "plan: the output create-dataset has no default",
    ),
    "patch with a typo": (
        lambda w: train(w).update(podSpecPatch='{"terminationGracePeriod": 3}'),
        "train.podSpecPatch: terminationGracePeriod is none of",
    ),
    "patch that is not valid YAML": (
        lambda w: train(w).update(podSpecPatch="{a"),
        "train.podSpecPatch: is not a mapping",
    ),
}


def test_a_sound_workflow_has_no_faults(sound: Workflow) -> None:
    assert check(sound) == []


@pytest.mark.parametrize(("break_it", "told"), BREAKS.values(), ids=BREAKS)
def test_each_rule_is_kept(sound: Workflow, break_it: Callable[[Workflow], Any], told: str) -> None:
    broken = copy.deepcopy(sound)
    break_it(broken)
    assert [fault for fault in check(broken) if told in fault] != [], check(broken)


def test_every_rule_is_broken_here(sound: Workflow) -> None:
    broken_by = {rule for rule in RULES for break_it, _ in BREAKS.values() if list(rule(broken(sound, break_it)))}
    assert [rule.__name__ for rule in RULES if rule not in broken_by] == []


def broken(workflow: Workflow, break_it: Callable[[Workflow], Any]) -> Workflow:
    changed = copy.deepcopy(workflow)
    break_it(changed)
    return changed
