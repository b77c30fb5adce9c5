"""The spec of a pod that runs without Argo: that of a Job, of the demo and of the shell.

`job`, `demo` and `shell` call it with what their container runs; `pods` has the parts, which Argo's templates share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from k8s import nodes, pods
from k8s.containers import Cluster, StageContainer
from k8s.manifests import plain


def pod_metadata(labels: Mapping[str, str], cluster: Cluster, own: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The labels, and the annotations: those that the profile gives every pod, and the pod's `own`."""
    annotations = cluster.profile.annotations.pod | dict(own or {})
    return {"labels": dict(labels), **({"annotations": annotations} if annotations else {})}


def container_spec(container: StageContainer, cluster: Cluster, **runs: Any) -> dict[str, Any]:
    """The one container, with what it `runs`: fields such as args, env and probes, which may replace the others."""
    profile = cluster.profile
    return {
        "name": "main",
        "image": container.image,
        "imagePullPolicy": profile.images.pull_policy,
        "command": list(container.command),
        "resources": plain(pods.resources(container, profile)),
        "volumeMounts": plain(pods.mounts(container, profile)),
        "securityContext": plain(pods.container_security()),
        **runs,
    }


def pod_spec(
    container: StageContainer, cluster: Cluster, main: Mapping[str, Any], volumes: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The pod around `main`, a `container_spec`, with the profile's and the further `volumes` that it mounts."""
    profile = cluster.profile
    mounted = {mount["name"] for mount in main["volumeMounts"]}
    offered = [*plain(pods.volumes(profile)), *plain(pods.shared_memory(container, profile)), *volumes]
    spec = {
        "serviceAccountName": pods.account(container, profile),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": plain(pods.pod_security(profile)),
        "imagePullSecrets": [{"name": name} for name in profile.images.pull_secrets],
        "nodeSelector": nodes.node_selector(container, cluster),
        "tolerations": nodes.tolerations(container, cluster),
        "priorityClassName": cluster.pool(container).priority_class_name,
        "runtimeClassName": profile.pools.gpu.runtime_class_name if container.gpu else "",
        "terminationGracePeriodSeconds": pods.grace(container, profile),
        "containers": [main],
        "volumes": [volume for volume in offered if volume["name"] in mounted],
    }
    return {key: value for key, value in spec.items() if value not in (None, "", {}, [])}
