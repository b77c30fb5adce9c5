"""A pod that runs for a moment: it is created, its end is waited for, its log is read, and it is deleted.

`results` reads the volume by it. What the pod does is in its manifest.
"""

import time
from collections.abc import Mapping
from typing import Any

from espnet3.errors import ConfigError, TryAgain
from k8s.api import SECONDS, Connection, telling

WAIT_SECONDS = 180
"""For the pod to start; its own deadline bounds the rest."""
_NON_RETRYABLE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
)


def run_pod(manifest: Mapping[str, Any], connection: Connection) -> tuple[str, str]:
    """How the pod ended (Succeeded or Failed), and its log. It is deleted, whatever happens.

    Raises:
        ConfigError: a right or a quota is lacking, or the pod cannot start.
        TryAgain: it does not start in time, or the API server does not answer.
    """
    with telling("create a pod that reads the volume"):
        created = connection.core.create_namespaced_pod(connection.namespace, dict(manifest), _request_timeout=SECONDS)
    name = str(created.metadata.name)
    try:
        phase = _wait(name, connection)
        with telling(f"read the log of the pod {name}"):
            # The client would turn a log that is JSON into Python's spelling of it.
            answer = connection.core.read_namespaced_pod_log(
                name, connection.namespace, _request_timeout=SECONDS, _preload_content=False
            )
            return phase, answer.data.decode(errors="replace")
    finally:
        _delete(name, connection)


def _wait(name: str, connection: Connection) -> str:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        with telling(f"look at the pod {name}"):
            pod = connection.core.read_namespaced_pod(name, connection.namespace, _request_timeout=SECONDS)
        phase, reason = str(pod.status.phase), _waits_for(pod)
        if phase == "Succeeded" or (phase == "Failed" and pod.status.container_statuses):
            return phase
        if phase == "Failed" or reason in _NON_RETRYABLE:
            raise ConfigError(f"The pod {name} cannot start ({reason}). Ask who looks after the cluster.")
        if phase != "Running" and time.monotonic() > until:
            raise TryAgain(
                f"The pod {name} did not start within {WAIT_SECONDS} s ({reason}). Run the same command again."
            )
        time.sleep(0.5)


def _waits_for(pod: Any) -> str:
    waiting = [each.state.waiting for each in pod.status.container_statuses or [] if each.state and each.state.waiting]
    conditions = [each.message for each in pod.status.conditions or [] if each.status == "False" and each.message]
    return str(waiting[0].reason if waiting else (conditions or [pod.status.message or pod.status.phase])[0])


def _delete(name: str, connection: Connection) -> None:
    from kubernetes.client import ApiException

    with telling(f"delete the pod {name}"):
        try:
            connection.core.delete_namespaced_pod(
                name, connection.namespace, grace_period_seconds=0, _request_timeout=SECONDS
            )
        except ApiException as error:
            if error.status != 404:
                raise
