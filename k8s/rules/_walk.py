"""Walking through a workflow: its templates, their tasks, and every text in it. Each rule module calls it."""

from collections.abc import Iterator, Mapping
from typing import Any

Manifest = Mapping[str, Any]


def spec_of(workflow: Manifest) -> Manifest:
    """The spec."""
    spec: Manifest = workflow.get("spec") or {}
    return spec


def templates(workflow: Manifest) -> Iterator[Manifest]:
    """Every template."""
    yield from spec_of(workflow).get("templates") or []


def tasks(template: Manifest) -> list[Manifest]:
    """The tasks of a DAG; none of any other template."""
    return list((template.get("dag") or {}).get("tasks") or [])


def texts(node: Any) -> Iterator[str]:
    """Every text in plain values."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from texts(value)


def names(entries: Any) -> list[str]:
    """The `name` of each entry."""
    return [str(entry.get("name")) for entry in entries or []]
