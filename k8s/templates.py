"""The templates of a workflow: one a stage, usable alone by `--entrypoint`, and those of the plan and report steps.

`workflow` chains them. A stage that is spread over shards has three: the shard, the merge, and the two in a row under
the stage's own name.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from hera.workflows import DAG, Container, Parameter, RawArtifact, Task
from hera.workflows import models as m

from espnet3.recipe.run_config import RunConfig
from k8s import nodes, pods
from k8s.containers import Cluster, StageContainer
from k8s.names import argo_name
from k8s.profile import Profile
from k8s.retry import argo_expression

RUN_CONFIG = "/espnet3/run-config"
PLAN_DIR = "/tmp/plan"  # noqa: S108  # an empty volume of the pod's own
PLAN, REPORT = "plan", "report"
LONGEST_FAILURES = 64 * 1024
"""Bytes of the list of failed nodes: Linux starts no process with a variable of 128 KiB, which 200 shards can fill."""
_FORCE = Parameter(name="force", default="")
_FORCED = m.EnvVar(name="ESPNET3_FORCE", value="{{inputs.parameters.force}}")
_IDEMPOTENCY_KEY = m.EnvVar(name="ESPNET3_IDEMPOTENCY_KEY", value="{{workflow.uid}}")


@dataclass(frozen=True)
class _Interface:
    """The inputs, outputs and variables of a template besides what all have in common."""

    args: tuple[str, ...]
    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()
    env: tuple[Any, ...] = ()


def plan_template(container: StageContainer, run: RunConfig, cluster: Cluster) -> Container:
    """Takes the run config, which nothing else in the workflow holds, and gives `run` or `skip` for each stage."""
    artifact = RawArtifact(name="run-config", path=RUN_CONFIG, data=run.to_compressed())
    interface = _Interface(
        args=("--config", RUN_CONFIG),
        inputs=(Parameter(name="stages", default="all"), _FORCE, artifact),
        outputs=tuple(_output(argo_name(stage), f"{PLAN_DIR}/{stage}", "run") for stage in run.stages),
        env=(
            _variable("ESPNET3_PLAN_DIR", PLAN_DIR),
            _variable("ESPNET3_STAGES", "{{inputs.parameters.stages}}"),
            _FORCED,
        ),
    )
    return _template(PLAN, container, interface, run, cluster)


def report_template(container: StageContainer, run: RunConfig, cluster: Cluster) -> Container:
    """Records the run's outcome on the volume and, as a global output, in the workflow."""
    interface = _Interface(
        args=("--config", pods.run_config_path(run)),
        outputs=(_output("outcome", pods.OUTCOME, "{}", global_name="outcome"),),
        env=(
            _variable("ESPNET3_ARGO_STATUS", "{{workflow.status}}"),
            _variable("ESPNET3_ARGO_FAILURES", f"{{{{= sprig.trunc({LONGEST_FAILURES}, workflow.failures) }}}}"),
        ),
    )
    return _template(REPORT, container, interface, run, cluster)


def stage_templates(container: StageContainer, run: RunConfig, cluster: Cluster) -> list[Any]:
    """One for a stage that runs whole, three for one in shards; the one of the stage's own name comes first."""
    name = argo_name(container.stage)
    whole = _Interface(
        args=("--config", pods.run_config_path(run)),
        inputs=(_FORCE,),
        outputs=(_output("outcome", pods.OUTCOME, "{}"),),
        env=(_FORCED, _IDEMPOTENCY_KEY),
    )
    if container.shards == 1:
        return [_template(name, container, whole, run, cluster)]
    of_shard = replace(
        whole,
        inputs=(Parameter(name="shard"), _FORCE),
        env=(*whole.env, *_shard(container, "{{inputs.parameters.shard}}")),
    )
    of_merge = replace(whole, env=(*whole.env, *_shard(container, "merge")))
    shard = _template(f"{name}-shard", container, of_shard, run, cluster)
    # Merging reads and writes text: no GPU waits for it.
    merge = _template(f"{name}-merge", replace(container, gpu=0), of_merge, run, cluster)
    return [_fan(name, container, cluster.profile, (shard, merge)), shard, merge]


def _fan(name: str, container: StageContainer, profile: Profile, parts: tuple[Container, Container]) -> DAG:
    """The shards side by side, then the merge; a shard that fails lets the others finish."""
    fan = DAG(
        name=name,
        inputs=[_FORCE],
        fail_fast=False,
        parallelism=min(container.shards, profile.parallelism),
    )
    force = {"force": "{{inputs.parameters.force}}"}
    with fan:
        shards = Task(
            name="shards",
            template=parts[0].name,
            arguments={"shard": "{{item}}", **force},
            with_sequence=m.Sequence(count=_text(container.shards)),
        )
        merge = Task(name="merge", template=parts[1].name, arguments=dict(force))
        shards >> merge
    return fan


def _template(
    name: str, container: StageContainer, interface: _Interface, run: RunConfig, cluster: Cluster
) -> Container:
    profile = cluster.profile
    return Container(
        name=name,
        labels=pods.pod_labels(container),
        annotations=pods.pod_annotations(container) or None,
        inputs=list(interface.inputs) or None,
        outputs=list(interface.outputs),
        args=list(interface.args),
        env=[*pods.environment(container, run, cluster), _variable("ESPNET3_ATTEMPT", "{{retries}}"), *interface.env],
        service_account_name=pods.account(container, profile),
        active_deadline_seconds=pods.deadline(container, profile),
        retry_strategy=_retries(container, profile),
        pod_spec_patch=_patch(container, profile),
        volumes=pods.shared_memory(container, profile) or None,
        **_placement(container, cluster),
        **_process(container, profile),
    )


def _placement(container: StageContainer, cluster: Cluster) -> dict[str, Any]:
    locked = container.gpu and cluster.profile.semaphores.gpu
    return {
        "node_selector": nodes.node_selector_by_attempt(container, cluster) or None,
        "tolerations": [m.Toleration(**each) for each in _snake(nodes.tolerations(container, cluster))] or None,
        "priority_class_name": cluster.pool(container).priority_class_name or None,
        "synchronization": _semaphore(cluster.profile) if locked else None,
    }


def _process(container: StageContainer, profile: Profile) -> dict[str, Any]:
    return {
        "image": container.image,
        "image_pull_policy": profile.images.pull_policy,
        "command": list(container.command),
        "resources": pods.resources(container, profile),
        "volume_mounts": pods.mounts(container, profile),
        "security_context": pods.container_security(),
        # The last 2 kB of the logs of 200 shards would fill the workflow's own object.
        "termination_message_policy": "File" if container.shards > 1 else "FallbackToLogsOnError",
    }


def _snake(tolerations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"toleration_seconds" if key == "tolerationSeconds" else key: value for key, value in each.items()}
        for each in tolerations
    ]


def _semaphore(profile: Profile) -> Any:
    key = m.ConfigMapKeySelector(name=profile.named("semaphores"), key="gpu")
    return m.Synchronization(semaphores=[m.SemaphoreRef(config_map_key_ref=key)])


def _retries(container: StageContainer, profile: Profile) -> Any:
    backoff = profile.retries.backoff
    elsewhere = container.is_training and container.gpu and profile.pools.gpu.another_node
    return m.RetryStrategy(
        limit=_text(profile.retries.limit),
        expression=argo_expression(),
        backoff=m.Backoff(duration=backoff.duration, factor=_text(backoff.factor), cap=backoff.cap),
        affinity=m.RetryAffinity(node_anti_affinity=m.RetryNodeAntiAffinity()) if elsewhere else None,
    )


def _patch(container: StageContainer, profile: Profile) -> str | None:
    """What a template has no field for."""
    patch: dict[str, Any] = {}
    if seconds := pods.grace(container, profile):
        patch["terminationGracePeriodSeconds"] = seconds
    if container.gpu and profile.pools.gpu.runtime_class_name:
        patch["runtimeClassName"] = profile.pools.gpu.runtime_class_name
    return json.dumps(patch) if patch else None


def _shard(container: StageContainer, index: str) -> list[Any]:
    return [_variable("ESPNET3_SHARD_COUNT", str(container.shards)), _variable("ESPNET3_SHARD_INDEX", index)]


def _variable(name: str, value: str) -> Any:
    return m.EnvVar(name=name, value=value)


def _output(name: str, path: str, default: str, global_name: str | None = None) -> Parameter:
    """With a default: the output of a skipped step could not be read without one."""
    return Parameter(name=name, value_from=m.ValueFrom(path=path, default=default), global_name=global_name)


def _text(number: int) -> Any:
    """Argo takes these numbers as text."""
    return str(number)
