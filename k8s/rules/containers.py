"""Rules for the pods of a workflow: their commands, images, security, limits, outputs, patches. `rules` runs them."""

from collections.abc import Iterator
from typing import Any

import yaml

from k8s.rules._walk import Manifest, spec_of, templates

PATCHABLE = {"terminationGracePeriodSeconds", "runtimeClassName", "enableServiceLinks"}
"""Keys of a pod's spec that Argo has no field for and this project sets."""


def commands(workflow: Manifest) -> Iterator[str]:
    """Without a command Argo asks the registry for the image's own."""
    for template, container in _containers(workflow):
        if not container.get("command"):
            yield f"{template}: has no command"


def images(workflow: Manifest) -> Iterator[str]:
    """An image without a tag or digest is another one tomorrow."""
    for template, container in _containers(workflow):
        image = str(container.get("image") or "")
        if "@sha256:" not in image and ":" not in image.rpartition("/")[2]:
            yield f"{template}: the image {image!r} has neither a tag nor a digest"


def security(workflow: Manifest) -> Iterator[str]:
    """Pod Security restricted, and a root file system that cannot be written."""
    pod = spec_of(workflow).get("securityContext") or {}
    if not pod.get("runAsNonRoot") or (pod.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        yield "spec.securityContext: must say runAsNonRoot, and seccompProfile RuntimeDefault"
    for template, container in _containers(workflow):
        own = container.get("securityContext") or {}
        confined = own.get("allowPrivilegeEscalation") is False and own.get("readOnlyRootFilesystem") is True
        if not confined or (own.get("capabilities") or {}).get("drop") != ["ALL"]:
            yield f"{template}: its container may do more than Pod Security restricted allows"


def limits(workflow: Manifest) -> Iterator[str]:
    """A pod without limits takes from its neighbours, and its threads are counted by its cpu limit."""
    for template, container in _containers(workflow):
        given = (container.get("resources") or {}).get("limits") or {}
        if lacking := {"cpu", "memory"} - set(given):
            yield f"{template}: has no limit of {', '.join(sorted(lacking))}"


def outputs(workflow: Manifest) -> Iterator[str]:
    """The output of a step that was skipped can be read only where it has a default."""
    for template in templates(workflow):
        for parameter in (template.get("outputs") or {}).get("parameters") or []:
            if (parameter.get("valueFrom") or {}).get("default") is None:
                yield f"{template.get('name')}: the output {parameter.get('name')} has no default"


def patches(workflow: Manifest) -> Iterator[str]:
    """A patch is a mapping of keys that a pod's spec has."""
    for place in (spec_of(workflow), *templates(workflow)):
        if "podSpecPatch" in place:
            yield from _check_patch(str(place.get("name", "spec")), place["podSpecPatch"])


def _check_patch(place: str, text: str) -> Iterator[str]:
    try:
        patch = yaml.safe_load(text)
    except yaml.YAMLError:
        patch = None
    if not isinstance(patch, dict):
        yield f"{place}.podSpecPatch: is not a mapping"
        return
    for key in sorted(set(patch) - PATCHABLE):
        yield f"{place}.podSpecPatch: {key} is none of {', '.join(sorted(PATCHABLE))}"


def _containers(workflow: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    for template in templates(workflow):
        if container := template.get("container"):
            yield str(template.get("name")), container


RULES = (commands, images, security, limits, outputs, patches)
