"""The demo of a recipe as a Deployment and a Service, with the network rule that lets visitors in.

`python -m k8s demo` calls it. What the demo shows is `pack_demo`'s folder on the workspace, for how it is served,
see `espnet3.demo`; exposing the Service to the world is up to the cluster's ingress.
"""

from pathlib import PurePosixPath
from typing import Any

from espnet3.demo.settings import HEALTH_PATH, PORT
from espnet3.errors import ConfigError
from espnet3.recipe.run_config import RunConfig
from k8s import pods
from k8s.containers import Cluster, StageContainer, cut_to_pool
from k8s.images import image_reference
from k8s.manifests import plain
from k8s.names import label_value, recipe_slug, shortened
from k8s.plain_pods import container_spec, pod_metadata, pod_spec

IMAGE = "demo"
CPU, MEMORY = "2", "4Gi"
LOADING_SECONDS = 300
"""The most that reading the model from a slow volume may take."""


def build_demo(run: RunConfig, cluster: Cluster) -> list[dict[str, Any]]:
    """Deployment, Service and NetworkPolicy.

    Raises:
        ConfigError: the publication config names no folder for the demo.
    """
    container = StageContainer(
        stage=IMAGE,
        command=("tini", "-s", "--", "python", "-m", "espnet3.demo.app"),
        image=image_reference(IMAGE, cluster.profile, cluster.digests),
        cpu=CPU,
        memory=MEMORY,
    )
    container = cut_to_pool(container, cluster)
    labels = {
        "app.kubernetes.io/part-of": "espnet3",
        "app.kubernetes.io/name": shortened(f"{recipe_slug(run.recipe.name)}-demo"),
        "espnet3.org/recipe": label_value(run.recipe.name),
    }
    pod = _pod(container, _folder(run, cluster), cluster)
    return [_deployment(labels, pod, cluster), _service(labels), _visitors(labels)]


def _folder(run: RunConfig, cluster: Cluster) -> str:
    section = run.slots.get("publication_config", {}).get("pack_demo") or {}
    if not section.get("pack_dir"):
        raise ConfigError(
            "publication_config.pack_demo.pack_dir is missing: it names the folder that pack_demo writes and the demo "
            "shows, such as exp/demo."
        )
    return str(PurePosixPath(pods.working_directory(run, cluster.profile)) / section["pack_dir"])


def _deployment(labels: dict[str, str], pod: dict[str, Any], cluster: Cluster) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": labels["app.kubernetes.io/name"], "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": pod_metadata(labels | {"espnet3.org/network": "none"}, cluster), "spec": pod},
        },
    }


def _service(labels: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": labels["app.kubernetes.io/name"], "labels": labels},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def _visitors(labels: dict[str, str]) -> dict[str, Any]:
    """The chart lets nobody speak to a pod of ours; this one is made to be spoken to."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": labels["app.kubernetes.io/name"], "labels": labels},
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": "http"}]}],
        },
    }


def _pod(container: StageContainer, folder: str, cluster: Cluster) -> dict[str, Any]:
    mounts = plain(pods.mounts(container, cluster.profile))
    main = container_spec(
        container,
        cluster,
        args=[folder, "--host", "0.0.0.0", "--port", str(PORT)],  # noqa: S104  # the pod's own address
        ports=[{"name": "http", "containerPort": PORT}],
        env=plain([pods.threads()]),
        volumeMounts=[mount | ({} if mount["name"] == "tmp" else {"readOnly": True}) for mount in mounts],
        **_probes(),
    )
    return pod_spec(container, cluster, main)


def _probes() -> dict[str, Any]:
    """It listens once the model is loaded; a busy one is neither sent visitors nor killed for a slow answer."""
    asked: dict[str, Any] = {"httpGet": {"path": HEALTH_PATH, "port": "http"}, "timeoutSeconds": 5}
    return {
        "startupProbe": asked | {"periodSeconds": 2, "failureThreshold": LOADING_SECONDS // 2},
        "readinessProbe": asked | {"periodSeconds": 5},
        "livenessProbe": asked | {"periodSeconds": 20, "failureThreshold": 6},
    }
