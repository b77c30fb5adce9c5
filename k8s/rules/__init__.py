"""What `argo lint --offline` lets through and a cluster would choke on: rules of our own for Workflow objects.

`python -m k8s` holds every workflow to them before it prints or submits it, and the tests break each of them.

    bounds        names, numbers and sizes that the API server refuses
    references    tags, arguments, volumes and templates that lead nowhere
    expressions   retry rules, conditions and selectors that do not parse or name what there is not
    containers    what Pod Security restricted, an offline start and a fair share of a node take
"""

from collections.abc import Mapping
from typing import Any

from k8s.rules import bounds, containers, expressions, references

RULES = (*bounds.RULES, *references.RULES, *expressions.RULES, *containers.RULES)


def check(workflow: Mapping[str, Any]) -> list[str]:
    """What is wrong with a Workflow or WorkflowTemplate, as sentences that begin with the place; empty when valid."""
    return [fault for rule in RULES for fault in rule(workflow)]
