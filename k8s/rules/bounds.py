"""Rules for names, numbers and sizes: what the API server refuses when the workflow is created. `rules` runs them."""

import json
import re
from collections.abc import Iterator

from k8s.rules._walk import Manifest, names, spec_of, tasks, templates

MOST_TEMPLATES = MOST_TASKS = 200
MOST_PARAMETERS = 500
LONGEST_NAME = 128
LARGEST = 1024 * 1024
"""Bytes of an object, status included."""
NODE_BYTES = 2000
"""What a pod adds to the status: 1.6 kB on Argo 4.1 for its own node and that of its retries, more for a shard's."""
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_ARGO_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def object_name(workflow: Manifest) -> Iterator[str]:
    """Of the object itself; with generateName, five characters follow."""
    metadata = workflow.get("metadata") or {}
    name = metadata.get("name") or f"{metadata.get('generateName', '')}abcde"
    if not _OBJECT_NAME.fullmatch(name) or len(name) > 63:
        yield f"metadata: {name!r} is not a name of at most 63 lower-case letters, digits and hyphens"


def inner_names(workflow: Manifest) -> Iterator[str]:
    """Of templates and tasks; Argo would take capitals, and then the API server no pod."""
    found = [name for template in templates(workflow) for name in (template.get("name"), *names(tasks(template)))]
    for name in found:
        if not _ARGO_NAME.fullmatch(str(name)) or len(str(name)) > LONGEST_NAME:
            yield f"{name}: is not a name of at most {LONGEST_NAME} lower-case letters, digits and hyphens"


def labels(workflow: Manifest) -> Iterator[str]:
    """Their values."""
    places = [workflow.get("metadata"), *(spec_of(workflow).get(key) for key in ("podMetadata", "workflowMetadata"))]
    for place in [*places, *(template.get("metadata") for template in templates(workflow))]:
        for key, value in ((place or {}).get("labels") or {}).items():
            if not _LABEL.fullmatch(str(value)):
                yield f"label {key}: {value!r} is not a value of at most 63 letters, digits, dots, hyphens, underscores"


def counts(workflow: Manifest) -> Iterator[str]:
    """Of templates, tasks and parameters."""
    every = list(templates(workflow))
    if len(every) > MOST_TEMPLATES:
        yield f"spec.templates: there are {len(every)}, at most {MOST_TEMPLATES} are accepted"
    for template in every:
        if len(tasks(template)) > MOST_TASKS:
            yield f"{template['name']}: there are {len(tasks(template))} tasks, at most {MOST_TASKS} are accepted"
        for side in ("inputs", "outputs"):
            given = len((template.get(side) or {}).get("parameters") or [])
            if given > MOST_PARAMETERS:
                yield f"{template['name']}: there are {given} {side}, at most {MOST_PARAMETERS} are accepted"


def size(workflow: Manifest) -> Iterator[str]:
    """Of the object when all of its pods have run."""
    expected = expected_bytes(workflow)
    if expected > LARGEST:
        yield f"spec: with its status the object has about {expected} bytes, at most {LARGEST} are accepted"


def expected_bytes(workflow: Manifest) -> int:
    """Bytes of the object with the status of a run; a raw artifact is copied into its step's node and each attempt."""
    pods = sum(_pods(template) for template in templates(workflow))
    artifacts = [
        artifact
        for template in templates(workflow)
        for artifact in (template.get("inputs") or {}).get("artifacts") or []
    ]
    copied = sum(len(artifact.get("raw", {}).get("data", "")) for artifact in artifacts)
    return len(json.dumps(workflow)) + pods * NODE_BYTES + 2 * copied


def _pods(template: Manifest) -> int:
    return sum(int((task.get("withSequence") or {}).get("count", 1)) for task in tasks(template)) or 1


RULES = (object_name, inner_names, labels, counts, size)
