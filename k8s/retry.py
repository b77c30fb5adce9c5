"""Which failures a cluster repeats, derived from `espnet3.errors` for Argo and for plain Jobs alike.

`templates` and `job` call it. An exception class that is a `TryAgain` is repeated, every other is not. The cluster adds
what it does to a pod itself: a stage that was killed before its handler was in place (143), a pod that vanished, was
evicted or was refused by its node, a container that its runtime lost. What used up its memory or its time would do so
again, and a pod that the API server refuses for what it is would be refused again.
"""

from collections.abc import Iterator
from typing import Any

from espnet3.errors import Espnet3Error, TryAgain

KILLED_BEFORE_HANDLER = 143
"""128 + SIGTERM."""
KILLED = 137
"""128 + SIGKILL: the memory limit, or a node that waits no longer."""
LOST = 255
"""What a container runtime reports of a container whose end it did not see: its node rebooted, its shim was killed."""
PREEMPTED = (
    "imminent node shutdown",
    "pod deleted",
    "node was low on resource",
    "[Pp]reempt",
    "[Ee]victed",
    "Pod was rejected",
    "node had condition",
    "find failed message",
)
"""What the kubelet and Argo's controller say of a pod that was taken from its stage."""
NON_RETRYABLE = (
    "(main|wait|init|supervisor): OOMKilled",
    "Pod was active on the node longer than the specified deadline",
    "Usage of EmptyDir volume",
    "Pod ephemeral local storage usage exceeds",
    "Container [^ ]+ exceeded its local ephemeral storage",
)
"""How they begin of a pod that would come to the same end again; what the stage itself says comes later."""
ADMISSION_DENIED = (
    "[Pp]ods?( [^ ]+)? is (forbidden|invalid)",
    "Pod in version [^ ]+ cannot be handled",
    "admission webhook [^ ]+ denied",
    "serviceaccounts [^ ]+ not found",
)
"""How the API server begins where it takes no pod such as this one: its settings or the cluster's have to change."""
NOT_READY = ("exceeded quota", "status unknown for quota", "not yet ready to handle request")
"""What it says in such a refusal where the same pod may be taken a moment later."""


def retryable_exit_codes() -> list[int]:
    """Exit codes after which a stage is to be tried again: those of TryAgain and its kinds, 143 and 255."""
    codes = {error.exit_code for error in _kinds(Espnet3Error) if issubclass(error, TryAgain)}
    return sorted(codes | {KILLED_BEFORE_HANDLER, LOST})


def final_exit_codes() -> list[int]:
    """Exit codes that end a run at once."""
    return sorted({error.exit_code for error in _kinds(Espnet3Error) if not issubclass(error, TryAgain)})


def argo_expression() -> str:
    """The `retryStrategy.expression`: true where the attempt is to be repeated.

    Argo gives it the status (Failed, or Error where no exit code is known), the exit code as text (-1 for none) and the
    message of the last attempt.
    """
    codes = ", ".join(f"'{code}'" for code in retryable_exit_codes())
    disrupted = "|".join(PREEMPTED)
    refused = f"lastRetry.message matches '^({'|'.join(ADMISSION_DENIED)})'"
    return (
        f"not (lastRetry.message matches '^({'|'.join(NON_RETRYABLE)})') and "
        f"not ({refused} and not (lastRetry.message matches '{'|'.join(NOT_READY)}')) and ("
        f"lastRetry.exitCode in [{codes}, '{KILLED}'] or "
        "(lastRetry.exitCode in ['-1', '0', ''] and "
        f"(lastRetry.status == 'Error' or lastRetry.message matches '{disrupted}')))"
    )


def job_policy() -> dict[str, Any]:
    """The `podFailurePolicy` of a Job, whose first rule that fits decides.

    A disruption does not count; the exit codes of TryAgain count towards the limit; every other one ends the Job. A Job
    cannot distinguish a stage that used up its memory from one that was killed (137), so it repeats neither.
    """
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": "main", "operator": "NotIn", "values": retryable_exit_codes()},
            },
        ]
    }


def _kinds(error: type[Espnet3Error]) -> Iterator[type[Espnet3Error]]:
    yield error
    for kind in error.__subclasses__():
        yield from _kinds(kind)
