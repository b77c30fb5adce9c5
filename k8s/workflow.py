"""A run as one Argo Workflow: plan, then each stage that the plan says, then the exit handler.

`python -m k8s render` and `submit` call it. The object holds the run config and needs nothing in the cluster but what
the chart made. For templates, see `templates`.
"""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hera.workflows import DAG, Parameter, Task, Workflow, WorkflowTemplate
from hera.workflows import models as m

from espnet3.errors import ConfigError
from espnet3.recipe.run_config import RunConfig
from k8s import pods, templates
from k8s.containers import Cluster, service_container, stage_containers
from k8s.names import argo_name, mutex_name, recipe_slug, shortened
from k8s.profile import Profile
from k8s.settings import StageSettings

Kind = Literal["Workflow", "WorkflowTemplate"]
ENTRYPOINT = "recipe"
OF_DATA = ("create_dataset", "train_tokenizer", "collect_stats")
"""Stages that write what experiments share."""
LONGEST_NAME = 40
"""Of a workflow, so that the names of its pods stay readable."""


def build_workflow(
    run: RunConfig, settings: Mapping[str, StageSettings], cluster: Cluster, kind: Kind = "Workflow"
) -> dict[str, Any]:
    """The Workflow or WorkflowTemplate of a run, as plain values.

    Raises:
        ConfigError: an image that there is not, or a stage by the name of a step that every workflow has.
    """
    check_names(run.stages)
    containers = list(stage_containers(run, settings, cluster))
    stages = [template for container in containers for template in templates.stage_templates(container, run, cluster)]
    _lock_data(stages, run, cluster.profile)
    plan = templates.plan_template(service_container(templates.PLAN, cluster), run, cluster)
    report = templates.report_template(service_container(templates.REPORT, cluster), run, cluster)
    workflow = _of_kind(kind, run)
    workflow.templates = [_chain(run), plan, *stages, report]
    _set_run_settings(workflow, run, cluster.profile)
    manifest: dict[str, Any] = workflow.to_dict()
    return manifest


def check_names(stages: Sequence[str]) -> None:
    """Make sure that the stages' templates have names of their own.

    Raises:
        ConfigError: one is called as a step that every workflow has, or as another stage or its shards.
    """
    of_names: dict[str, list[str]] = {}
    for stage in stages:
        of_names.setdefault(argo_name(stage), []).append(stage)
    if alike := [stage for group in of_names.values() if len(group) > 1 for stage in group]:
        raise ConfigError(
            f"In a workflow the stages {', '.join(alike)} would have the same name, for Kubernetes knows neither "
            "capitals nor underscores. Give one of the methods another name, and the entry in DEFAULT_STAGES, too."
        )
    of_shards = [f"{argo_name(stage)}-{part}" for stage in stages for part in ("shard", "merge")]
    taken = {ENTRYPOINT, templates.PLAN, templates.REPORT, *of_shards}
    if clashing := [stage for stage in stages if argo_name(stage) in taken]:
        raise ConfigError(
            f"A stage of a workflow cannot be called {', '.join(clashing)}: a step of the workflow itself has this "
            "name. Give the method another name, and the entry in DEFAULT_STAGES, too."
        )


def _of_kind(kind: Kind, run: RunConfig) -> Workflow:
    name = shortened(recipe_slug(run.recipe.name), LONGEST_NAME)
    if kind == "WorkflowTemplate":
        return WorkflowTemplate(name=name)
    return Workflow(generate_name=f"{name}-")


def _chain(run: RunConfig) -> DAG:
    """A stage that is done is skipped, and what depends on it goes on."""
    chain = DAG(name=ENTRYPOINT)
    given = {name: f"{{{{workflow.parameters.{name}}}}}" for name in ("stages", "force")}
    with chain:
        before = Task(name=templates.PLAN, template=templates.PLAN, arguments=given)
        for stage in run.stages:
            name = argo_name(stage)
            task = Task(
                name=name,
                template=name,
                arguments={"force": given["force"]},
                when=f"{{{{tasks.{templates.PLAN}.outputs.parameters.{name}}}}} == run",
            )
            before >> task
            before = task
    return chain


def _set_run_settings(workflow: Workflow, run: RunConfig, profile: Profile) -> None:
    """What holds for the whole of a run."""
    labels = pods.run_labels(run)
    workflow.entrypoint = ENTRYPOINT
    workflow.on_exit = templates.REPORT
    workflow.arguments = [Parameter(name="stages", value="all"), Parameter(name="force", value="")]
    workflow.labels = dict(labels)
    workflow.annotations = _annotations(run, profile)
    workflow.workflow_metadata = m.WorkflowMetadata(labels=dict(labels), annotations=_annotations(run, profile))
    workflow.pod_metadata = m.Metadata(labels=dict(labels), annotations=profile.annotations.pod or None)
    workflow.service_account_name = profile.named("stage")
    workflow.automount_service_account_token = False
    workflow.executor = m.ExecutorConfig(service_account_name=profile.named("executor"))
    workflow.security_context = pods.pod_security(profile)
    workflow.pod_spec_patch = '{"enableServiceLinks": false}'
    workflow.image_pull_secrets = [m.LocalObjectReference(name=name) for name in profile.images.pull_secrets] or None
    workflow.volumes = pods.volumes(profile)
    workflow.parallelism = profile.parallelism
    workflow.synchronization = m.Synchronization(mutexes=[m.Mutex(name=_mutex(run, profile))])
    workflow.ttl_strategy = m.TTLStrategy(
        seconds_after_success=profile.ttl.success, seconds_after_failure=profile.ttl.failure
    )
    workflow.pod_gc = m.PodGC(strategy="OnPodCompletion", delete_delay_duration=profile.ttl.pod_delete_delay)


def _annotations(run: RunConfig, profile: Profile) -> dict[str, str]:
    return {
        "workflows.argoproj.io/title": f"{run.recipe.name} {', '.join(run.stages)}",
        "espnet3.org/directory": pods.working_directory(run, profile),
    }


def _mutex(run: RunConfig, profile: Profile) -> str:
    """Runs that write to one experiment come one after the other."""
    experiment = run.slots.get("training_config", {}).get("exp_dir") or "exp"
    return mutex_name(profile.workspace_claim, _in_pods(experiment, run, profile))


def _lock_data(stages: Sequence[Any], run: RunConfig, profile: Profile) -> None:
    """Of two experiments on the same data one makes it, while the other waits and then finds it made.

    A stage takes all of its locks at once and waits for no other while it has them, so two runs cannot wait for each
    other.
    """
    data = run.slots.get("training_config", {}).get("data_dir")
    if not data:
        return
    mutex = m.Mutex(name=mutex_name(profile.workspace_claim, _in_pods(data, run, profile), "data"))
    for template in stages:
        if template.name in [argo_name(stage) for stage in OF_DATA]:
            semaphores = template.synchronization.semaphores if template.synchronization else None
            template.synchronization = m.Synchronization(mutexes=[mutex], semaphores=semaphores)


def _in_pods(directory: str, run: RunConfig, profile: Profile) -> str:
    """The absolute path of a directory of the configs, written in one way."""
    return posixpath.normpath(posixpath.join(pods.working_directory(run, profile), directory))
