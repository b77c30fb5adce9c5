"""One stage as a plain Kubernetes Job: running it needs no Argo.

`python -m k8s job` calls it. The Job is one object: its pods carry the run config as an annotation and mount it. So it
is repeated by replacing that object, which somebody may do who may not delete ConfigMaps. A stage in shards is an
indexed Job; a second one (`merge`) puts the shards together.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from espnet3.errors import ConfigError
from espnet3.recipe.run_config import RunConfig
from k8s import pods
from k8s.containers import Cluster, StageContainer
from k8s.manifests import plain
from k8s.names import LONGEST, argo_name, recipe_slug, shortened
from k8s.plain_pods import container_spec, pod_metadata, pod_spec
from k8s.retry import job_policy

FOLDER = "/espnet3"
KEY = "run-config"
ANNOTATION = f"espnet3.org/{KEY}"
"""Kubernetes takes 256 KiB of annotations, and a run config has at most half of that."""
_UID = "metadata.labels['batch.kubernetes.io/controller-uid']"
_IDEMPOTENCY_KEY = {"name": "ESPNET3_IDEMPOTENCY_KEY", "valueFrom": {"fieldRef": {"fieldPath": _UID}}}
"""The Job itself, the same for every pod that replaces another."""


@dataclass(frozen=True)
class JobRequest:
    """One stage of a run, on one cluster."""

    container: StageContainer
    run: RunConfig
    cluster: Cluster
    merge: bool = False
    """Put the shards together instead of making them."""
    force: bool = False
    """Run it although it is done."""

    @property
    def in_shards(self) -> bool:
        """Whether several pods each do a part."""
        return self.container.shards > 1 and not self.merge

    @property
    def labels(self) -> dict[str, str]:
        """Of the Job and its pods."""
        return pods.run_labels(self.run) | pods.pod_labels(self.container)


def build_job(request: JobRequest) -> dict[str, Any]:
    """The Job, with the run config in it.

    Raises:
        ConfigError: there is nothing to merge.
    """
    container = request.container
    if request.merge and container.shards == 1:
        raise ConfigError(
            f"{container.stage} runs whole, so there is nothing to merge. Give it shards in conf/workflow.yaml, "
            f"such as {container.stage}: {{shards: 8}}, or leave --merge out."
        )
    return _job(replace(request, container=replace(container, gpu=0)) if request.merge else request)


def _job(request: JobRequest) -> dict[str, Any]:
    profile = request.cluster.profile
    part = "-merge" if request.merge else ""
    name = f"{recipe_slug(request.run.recipe.name)}-{argo_name(request.container.stage)}{part}-{request.run.digest}"
    # Of an indexed Job the API server wants room for what follows in the names of its pods.
    index = f"-{request.container.shards - 1}" if request.in_shards else ""
    metadata = {"name": shortened(name, LONGEST - len(index)), "labels": request.labels}
    spec: dict[str, Any] = {
        **(_shards(request) if request.in_shards else {"backoffLimit": profile.retries.limit}),
        "podFailurePolicy": job_policy(),
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": pods.deadline(request.container, profile) * _rounds(request),
        "ttlSecondsAfterFinished": profile.ttl.failure,
        "template": _pod(request),
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _rounds(request: JobRequest) -> int:
    """How often the deadline of one pod is needed, where the shards do not run all at once.

    The deadline is the Job's, which counts waiting and retries, too. A stage that is stopped by its pod's own ends with
    the exit code of TryAgain, and no rule of a Job could distinguish it from one that is to be tried again.
    """
    return math.ceil(request.container.shards / request.cluster.profile.parallelism) if request.in_shards else 1


def _shards(request: JobRequest) -> dict[str, Any]:
    shards, profile = request.container.shards, request.cluster.profile
    return {
        "completionMode": "Indexed",
        "completions": shards,
        "parallelism": min(shards, profile.parallelism),
        "backoffLimitPerIndex": profile.retries.limit,
    }


def _pod(request: JobRequest) -> dict[str, Any]:
    container, cluster = request.container, request.cluster
    field = {"fieldPath": f"metadata.annotations['{ANNOTATION}']"}
    of_run = {"name": KEY, "downwardAPI": {"items": [{"path": KEY, "fieldRef": field}]}}
    own = pods.pod_annotations(container) | {ANNOTATION: request.run.to_compressed()}
    spec = pod_spec(container, cluster, _main(request), [of_run])
    return {
        "metadata": pod_metadata(request.labels, cluster, own),
        "spec": {"restartPolicy": "Never", **spec},
    }


def _main(request: JobRequest) -> dict[str, Any]:
    container, cluster = request.container, request.cluster
    environment = plain(pods.environment(container, request.run, cluster))
    of_run = {"name": KEY, "mountPath": FOLDER, "readOnly": True}
    return container_spec(
        container,
        cluster,
        args=["--config", f"{FOLDER}/{KEY}"],
        env=[*environment, *_variables(request)],
        volumeMounts=[*plain(pods.mounts(container, cluster.profile)), of_run],
        terminationMessagePolicy="FallbackToLogsOnError",
    )


def _variables(request: JobRequest) -> list[dict[str, Any]]:
    """An indexed Job gives the shard's number itself, as JOB_COMPLETION_INDEX."""
    variables: dict[str, str] = {}
    if request.container.shards > 1:
        variables["ESPNET3_SHARD_COUNT"] = str(request.container.shards)
    if request.merge:
        variables["ESPNET3_SHARD_INDEX"] = "merge"
    if request.force:
        variables["ESPNET3_FORCE"] = request.container.stage
    plain_ones = [{"name": name, "value": value} for name, value in variables.items()]
    return [*plain_ones, _IDEMPOTENCY_KEY] if request.force else plain_ones
