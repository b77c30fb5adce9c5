"""A pod that holds the volumes open, through which data are brought onto them and looked at.

`python -m k8s shell` prints it; `kubectl cp` and `kubectl exec`, which the chart leaves to administrators, do the rest.
It writes as the stages do, who can therefore read what it leaves.
"""

from dataclasses import replace
from typing import Any

from k8s.containers import Cluster, service_container
from k8s.plain_pods import container_spec, pod_metadata, pod_spec

SECONDS = 24 * 3600
"""After which a forgotten one ends."""


def build_shell(cluster: Cluster) -> dict[str, Any]:
    """The pod, with the workspace as its working directory."""
    profile = cluster.profile
    waits = ("tini", "--", "sleep", "infinity")
    container = replace(service_container("shell", cluster), command=waits)
    main = container_spec(container, cluster, workingDir=profile.workspace.mount_path)
    labels = {"app.kubernetes.io/part-of": "espnet3", "espnet3.org/network": "none"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": profile.named("shell"), **pod_metadata(labels, cluster)},
        "spec": {"restartPolicy": "Never", "activeDeadlineSeconds": SECONDS, **pod_spec(container, cluster, main)},
    }
