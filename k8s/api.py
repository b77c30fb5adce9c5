"""The cluster's API server: connecting, and its errors as sentences.

`submit` and `results` speak to the cluster through it. No other module imports the kubernetes client.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet3.errors import ConfigError, Espnet3Error, TryAgain

SECONDS = 30
"""For one request."""
_PASSING = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Connection:
    """An API server, and the namespace to work in."""

    client: Any
    namespace: str

    @property
    def core(self) -> Any:
        """Pods and claims."""
        from kubernetes.client import CoreV1Api

        return CoreV1Api(self.client)

    @property
    def custom(self) -> Any:
        """Workflows."""
        from kubernetes.client import CustomObjectsApi

        return CustomObjectsApi(self.client)


def connect(context: str | None, namespace: str | None) -> Connection:
    """The cluster of the kubeconfig, or inside a pod its own.

    Args:
        context: of the kubeconfig; None for the current one.
        namespace: None for that of the context.

    Raises:
        ConfigError: there is no kubeconfig, or no such context.
    """
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import ConfigException

    # What it says of each new try would stand above our one sentence.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # Read at every call: the client would take the one of when it was imported.
    file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    configuration: Any = Configuration()
    try:
        _config().load_kube_config(file, context=context, client_configuration=configuration)
        contexts, current = _config().list_kube_config_contexts(file)
    except ConfigException as error:
        if context is None and (inside := _inside_a_pod()):
            return Connection(inside, namespace or _own_namespace())
        raise ConfigError(
            f"There is no cluster to speak to: {str(error).rstrip('.')}. Let KUBECONFIG name the file of your "
            "cluster, and --context one of its contexts."
        ) from None
    chosen = next((each for each in contexts if each["name"] == context), current)
    return Connection(ApiClient(configuration), namespace or str(chosen["context"].get("namespace") or "default"))


@contextmanager
def telling(doing: str) -> Iterator[None]:
    """Raise what the API server answers as an error of ours: one sentence that begins with what was tried.

    Args:
        doing: such as `create the workflow`.

    Raises:
        ConfigError: a right, a quota or Argo is lacking.
        TryAgain: the server does not answer, or asks to try again.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise _as_error(doing, int(error.status or 0), message_of(error)) from None
    except (HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise TryAgain(
            f"Could not {doing}: the API server does not answer ({reason}). Check the network and the server in the "
            "kubeconfig, then run the same command again."
        ) from None


def _as_error(doing: str, status: int, message: str) -> Espnet3Error:
    start = f"Could not {doing}: "
    if status == 401:
        return ConfigError(f"{start}the API server does not know you. Log in to the cluster again.")
    if "exceeded quota" in message:
        return ConfigError(f"{start}{message}. Wait until other runs have ended, or ask for a larger quota.")
    if status == 403:
        return ConfigError(f"{start}{message}. Ask an administrator of the cluster for this right.")
    if status == 404 and not message:
        return ConfigError(
            f"{start}the cluster knows no workflows. Install Argo Workflows 4.0 or newer, or use `python -m k8s job`, "
            "which needs none."
        )
    if status in _PASSING:
        return TryAgain(f"{start}{message or f'the API server answered {status}'}. Run the same command again.")
    return ConfigError(f"{start}{message or f'the API server answered {status}'}.")


def message_of(error: Any) -> str:
    """What the server says, without a full stop; empty where it says nothing of its own, as for an unknown kind."""
    try:
        return str(json.loads(error.body)["message"]).rstrip(".")
    except (TypeError, ValueError, KeyError):
        return ""


def _config() -> Any:
    from kubernetes import config

    return config


def _inside_a_pod() -> Any:
    from kubernetes import client
    from kubernetes.config import ConfigException

    try:
        configuration = client.Configuration()
        _config().load_incluster_config(client_configuration=configuration)
    except ConfigException:
        return None
    return client.ApiClient(configuration)


def _own_namespace() -> str:
    return Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text(encoding="utf-8").strip()
