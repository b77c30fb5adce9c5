"""Rules for what a workflow refers to: templates, arguments, tags, volumes, claims, locks. `rules` runs them."""

import re
from collections.abc import Iterator
from typing import Any

from k8s.rules._walk import Manifest, names, spec_of, tasks, templates, texts

_TAG = re.compile(r"\{\{([^=}][^}]*)\}\}")
_WORKFLOW = {"workflow.status", "workflow.failures", "workflow.duration", "workflow.name", "workflow.uid"}


def arguments(workflow: Manifest) -> Iterator[str]:
    """What a task hands to its template must be an input of it."""
    inputs = {template.get("name"): _inputs(template) for template in templates(workflow)}
    for template in templates(workflow):
        for task in tasks(template):
            known = inputs.get(task.get("template"))
            if known is None:
                yield f"{task.get('name')}: there is no template {task.get('template')}"
                continue
            for name in _given(task):
                if name not in known:
                    yield f"{task.get('name')}: {name} is not an input of the template {task.get('template')}"


def tags(workflow: Manifest) -> Iterator[str]:
    """What stands in double braces must be something that Argo fills in there."""
    parameters = names((spec_of(workflow).get("arguments") or {}).get("parameters"))
    everywhere = _WORKFLOW | {f"workflow.parameters.{name}" for name in parameters}
    for template in templates(workflow):
        known = everywhere | {f"inputs.parameters.{name}" for name in _inputs(template)} | {"item"}
        known |= {"retries"} if template.get("retryStrategy") else set()
        known |= set(_outputs_of_tasks(workflow, template))
        for text in texts({key: value for key, value in template.items() if key != "name"}):
            for tag in _TAG.findall(text):
                if tag.strip() not in known:
                    yield f"{template.get('name')}: nothing fills in {{{{{tag}}}}}"


def volumes(workflow: Manifest) -> Iterator[str]:
    """What a container mounts must be declared."""
    common = names(spec_of(workflow).get("volumes"))
    for template in templates(workflow):
        declared = common + names(template.get("volumes"))
        for mount in (template.get("container") or {}).get("volumeMounts") or []:
            if mount.get("name") not in declared:
                yield f"{template.get('name')}: mounts {mount.get('name')}, which is not a volume"


def claims(workflow: Manifest) -> Iterator[str]:
    """A volume of a claim names it."""
    every = [*(spec_of(workflow).get("volumes") or [])]
    every += [volume for template in templates(workflow) for volume in template.get("volumes") or []]
    for volume in every:
        claim = volume.get("persistentVolumeClaim")
        if claim is not None and not claim.get("claimName"):
            yield f"volume {volume.get('name')}: its claim has no name"


def locks(workflow: Manifest) -> Iterator[str]:
    """A mutex has a name, a semaphore a ConfigMap and a key."""
    for place in (spec_of(workflow), *templates(workflow)):
        lock: dict[str, Any] | None = place.get("synchronization")
        if lock is None:
            continue
        semaphores = [semaphore.get("configMapKeyRef") or {} for semaphore in lock.get("semaphores") or []]
        mutexes = [mutex.get("name") for mutex in lock.get("mutexes") or []]
        whole = all(key.get("name") and key.get("key") for key in semaphores) and all(mutexes)
        if not (semaphores or mutexes) or not whole:
            yield f"{place.get('name', 'spec')}: its lock has no name"


def _inputs(template: Manifest) -> list[str]:
    inputs = template.get("inputs") or {}
    return names(inputs.get("parameters")) + names(inputs.get("artifacts"))


def _given(task: Manifest) -> list[str]:
    given = task.get("arguments") or {}
    return names(given.get("parameters")) + names(given.get("artifacts"))


def _outputs_of_tasks(workflow: Manifest, template: Manifest) -> Iterator[str]:
    outputs = {each.get("name"): names((each.get("outputs") or {}).get("parameters")) for each in templates(workflow)}
    for task in tasks(template):
        for name in outputs.get(task.get("template"), []):
            yield f"tasks.{task.get('name')}.outputs.parameters.{name}"


RULES = (arguments, tags, volumes, claims, locks)
