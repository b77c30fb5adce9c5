"""One table: what happened to a pod, and whether Argo and a plain Job try again."""

import gc
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from espnet3.errors import ConfigError, DataError, Espnet3Error, LostLease, TryAgain
from k8s.retry import argo_expression, final_exit_codes, job_policy, retryable_exit_codes


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as Argo's node and as the Job's pod tell it."""

    status: str
    exit_code: str
    message: str
    disrupted: bool = False
    """The pod has the condition DisruptionTarget."""
    job_differs: str = ""
    """Why a Job decides otherwise."""


REPEATED = {
    "asked to stop": Ending("Failed", str(TryAgain.exit_code), "main: Error (exit code 75)"),
    "lost the directory to another": Ending("Failed", str(LostLease.exit_code), "main: Error (exit code 75)"),
    "killed before its handler": Ending("Failed", "143", "main: Error (exit code 143)"),
    "lost by its runtime: the node rebooted": Ending("Failed", "255", "main: Unknown (exit code 255)"),
    "not found when its node came back": Ending(
        "Failed",
        "137",
        "main: ContainerStatusUnknown (exit code 137): The container could not be located when the pod was terminated",
        job_differs="a Job cannot tell it from a full memory",
    ),
    "killed when its time was over": Ending(
        "Failed", "137", "main: Error (exit code 137)", job_differs="a Job cannot tell it from a full memory"
    ),
    "stopped, with a message that sounds hopeless": Ending(
        "Failed", "75", "main: Error (exit code 75): error: it exceeds the limit: OOMKilled; Usage of EmptyDir volume"
    ),
    "deleted": Ending("Error", "-1", "pod deleted", disrupted=True),
    "node shut down": Ending(
        "Failed", "-1", "Pod was terminated in response to imminent node shutdown.", disrupted=True
    ),
    "node shut down, checkpoint written": Ending(
        "Failed", "75", "Pod was terminated in response to imminent node shutdown.", disrupted=True
    ),
    "evicted": Ending(
        "Failed", "137", "The node was low on resource: memory. Threshold quantity: 100Mi", disrupted=True
    ),
    "preempted": Ending("Failed", "-1", "Preempted in order to admit critical pod", disrupted=True),
    "refused by its node": Ending("Failed", "-1", "Pod was rejected: Node didn't have enough resource: nvidia.com/gpu"),
    "quota used up by others": Ending(
        "Error",
        "-1",
        'pods "a" is forbidden: exceeded quota: espnet3, requested: pods=1, used: pods=9, limited: pods=9',
    ),
    "quota not counted yet": Ending(
        "Error", "-1", 'pods "a" is forbidden: status unknown for quota: espnet3, resources: limits.cpu,limits.memory'
    ),
    "API server not ready": Ending("Error", "-1", 'pods "a" is forbidden: not yet ready to handle request'),
    "webhook away": Ending(
        "Error",
        "-1",
        'Internal error occurred: failed calling webhook "a.example.com": failed to call webhook: context deadline '
        "exceeded",
    ),
    "changed meanwhile": Ending("Error", "-1", 'Operation cannot be fulfilled on pods "a": please apply your changes'),
    "image not pulled yet when its node went": Ending(
        "Error", "-1", "Pod failed before main container starts due to ContainerCreating: "
    ),
    "gone before it began": Ending("Failed", "-1", "can't find failed message for pod train-1 namespace speech"),
    "sidecar failed": Ending("Error", "0", "wait: Error (exit code 1)", job_differs="a Job has no sidecar"),
}
REFUSALS = {
    "Pod Security": 'pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or '
    'container "main" must set securityContext.runAsNonRoot=true)',
    "account": 'pods "a" is forbidden: error looking up service account speech/espnet3-stage: serviceaccount '
    '"espnet3-stage" not found',
    "executor's account": 'serviceaccounts "espnet3-executor" not found',
    "priority": 'pods "a" is forbidden: no PriorityClass with name speech-training was found',
    "runtime": 'pods "a" is forbidden: pod rejected: RuntimeClass "nvidia" not found',
    "limits": 'pods "a" is forbidden: maximum memory usage per Container is 4Gi, but limit is 64Gi',
    "quota without limits": 'pods "a" is forbidden: failed quota: espnet3: must specify limits.cpu for: wait',
    "namespace going away": 'pods "a" is forbidden: unable to create new content in namespace speech because it is '
    "being terminated",
    "rights": 'pods is forbidden: User "system:serviceaccount:argo:argo" cannot create resource "pods" in API group ""',
    "field": 'Pod "a" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or '
    "equal to cpu limit of 1",
    "type": 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.a"',
    "webhook": 'admission webhook "validate.kyverno.svc-fail" denied the request: policy: no label team',
}
"""What the API server says of a pod that it does not take."""
FINAL = {
    "wrong config": Ending("Failed", str(ConfigError.exit_code), "main: Error (exit code 78)"),
    "wrong config, with a message that sounds passing": Ending(
        "Failed", "78", "main: Error (exit code 78): error: pod deleted, Evicted, Preempted: no such scheduler"
    ),
    "wrong data": Ending("Failed", str(DataError.exit_code), "main: Error (exit code 66)"),
    "any other error": Ending("Failed", str(Espnet3Error.exit_code), "main: Error (exit code 1)"),
    "wrong config, and the sidecar failed": Ending("Error", "78", "main: Error (exit code 78)"),
    "out of memory": Ending("Failed", "137", "main: OOMKilled (exit code 137)"),
    "sidecar out of memory": Ending(
        "Error", "0", "wait: OOMKilled (exit code 137)", job_differs="a Job has no sidecar"
    ),
    "segmentation fault": Ending("Failed", "139", "main: Error (exit code 139)"),
    "out of time": Ending(
        "Failed",
        "75",
        "Pod was active on the node longer than the specified deadline",
        job_differs="its deadline is the Job's own, which ends it",
    ),
    "too much in /tmp": Ending("Failed", "137", 'Usage of EmptyDir volume "tmp" exceeds the limit "1Gi".'),
    **{
        f"refused: {name}": Ending(
            "Error", "-1", message, job_differs="its controller asks again and counts no failure"
        )
        for name, message in REFUSALS.items()
    },
    "wrong config, with a message that sounds not ready": Ending(
        "Failed", "78", "main: Error (exit code 78): error: status unknown for quota; not yet ready to handle request"
    ),
    "Argo could not start it": Ending("Failed", "64", "main: Error (exit code 64)"),
}
TABLE = [
    pytest.param(ending, repeated, id=name)
    for repeated, endings in ((True, REPEATED), (False, FINAL))
    for name, ending in endings.items()
]


@pytest.mark.parametrize(("ending", "repeated"), TABLE)
def test_argo_and_a_job_decide_alike(ending: Ending, repeated: bool) -> None:
    assert argo_repeats(ending) is repeated
    if not ending.job_differs:
        assert job_repeats(ending) is repeated


def test_where_a_job_differs_it_does_so_to_be_safe() -> None:
    killed = REPEATED["killed when its time was over"]
    assert not job_repeats(killed)
    assert not job_repeats(FINAL["out of memory"])


def test_the_codes_are_those_of_the_exceptions() -> None:
    assert retryable_exit_codes() == [75, 143, 255]
    assert final_exit_codes() == [1, 66, 78]


@pytest.fixture
def elsewhere() -> Iterator[type[TryAgain]]:
    """A kind of exception that nobody knew of, and that nobody knows of afterwards."""

    def make() -> type[TryAgain]:
        return type("Elsewhere", (TryAgain,), {"exit_code": 76})

    yield make()
    gc.collect()


def test_a_new_kind_of_exception_is_known_at_once(elsewhere: type[TryAgain]) -> None:
    assert elsewhere.exit_code == 76

    assert 76 in retryable_exit_codes()
    assert argo_repeats(Ending("Failed", "76", "main: Error (exit code 76)"))
    assert job_repeats(Ending("Failed", "76", ""))


def argo_repeats(ending: Ending) -> bool:
    """What Argo's expression language makes of the rule: written with words, it differs from Python in `matches`."""
    rule = re.sub(r"(lastRetry\.\w+) matches ('[^'\\]*')", r"matches(\2, \1)", argo_expression())
    last = SimpleNamespace(status=ending.status, exitCode=ending.exit_code, message=ending.message)
    return bool(eval(rule, {"__builtins__": {}, "lastRetry": last, "matches": re.search}))


def job_repeats(ending: Ending) -> bool:
    """What the Job controller does: the first rule that fits decides, and else the failure counts to the limit."""
    for rule in job_policy()["rules"]:
        if fits(rule, ending):
            return bool(rule["action"] in ("Ignore", "Count"))
    return True


def fits(rule: dict[str, Any], ending: Ending) -> bool:
    if "onPodConditions" in rule:
        assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        return ending.disrupted
    codes = rule["onExitCodes"]
    if int(ending.exit_code) <= 0:
        return False
    return (int(ending.exit_code) in codes["values"]) is (codes["operator"] == "In")
