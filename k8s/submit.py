"""Creating a run in a cluster, after a look at whether its volume is there.

`python -m k8s submit` calls it. Following the run is argo's work; the commands for it are printed.
"""

from collections.abc import Mapping
from typing import Any

from espnet3.errors import ConfigError
from k8s.api import SECONDS, Connection, telling

GROUP, VERSION, PLURAL = "argoproj.io", "v1alpha1", "workflows"


def submit(workflow: Mapping[str, Any], connection: Connection) -> str:
    """Create the workflow; gives its name.

    Raises:
        ConfigError: a claim is missing, Argo is not installed, a right or quota is lacking.
        TryAgain: the API server does not answer.
    """
    for claim in _claims(workflow):
        _check_claim(claim, connection)
    with telling(f"create the workflow in the namespace {connection.namespace}"):
        created = connection.custom.create_namespaced_custom_object(
            GROUP, VERSION, connection.namespace, PLURAL, dict(workflow), _request_timeout=SECONDS
        )
    return str(created["metadata"]["name"])


def following(name: str, namespace: str) -> str:
    """The commands that a user follows a run with."""
    return "\n".join(
        [
            f"created workflow {name} in namespace {namespace}",
            f"  argo watch -n {namespace} {name}     # what runs now",
            f"  argo logs -n {namespace} {name} -f   # what it says",
            f"  argo stop -n {namespace} {name}      # end it where it can go on",
            f"  argo retry -n {namespace} {name}     # go on after a failure",
            f"  python -m k8s results {name} DIR -n {namespace}",
            "",
        ]
    )


def _claims(workflow: Mapping[str, Any]) -> list[str]:
    volumes = workflow["spec"].get("volumes", [])
    return [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume]


def _check_claim(claim: str, connection: Connection) -> None:
    """A pod whose claim is missing would wait forever; without the right to look nothing is checked."""
    from kubernetes.client import ApiException

    with telling(f"look for the claim {claim}"):
        try:
            connection.core.read_namespaced_persistent_volume_claim(
                claim, connection.namespace, _request_timeout=SECONDS
            )
        except ApiException as error:
            if error.status == 404:
                raise ConfigError(
                    f"There is no claim {claim} in the namespace {connection.namespace}. Install the chart there with "
                    "the same profile (helm install espnet3 charts/espnet3 -f k8s/profiles/…), or name another "
                    "namespace with -n."
                ) from None
            if error.status != 403:
                raise
