"""Whether a workflow fits into one object of the API server, which a recipe with many stages or shards may exceed.

`python -m k8s` asks before it prints or submits a workflow: neither `argo lint` nor a short run shows it. Names
and labels are valid by construction (see `names`); what a profile or conf/workflow.yaml says is checked where it is
read (see `values` and `settings`).
"""

import json
from collections.abc import Mapping
from typing import Any

from espnet3.errors import ConfigError

LARGEST = 1024 * 1024
"""Bytes of an object, status included. Argo's limit of 200 templates comes later: as many would have 1.3 MB."""
NODE_BYTES = 2000
"""What a pod adds to the status: 1.6 kB on Argo 4.1 for its own node and that of its retries, more for a shard's."""


def check_size(workflow: Mapping[str, Any]) -> None:
    """Make sure that a Workflow or WorkflowTemplate can be created, and can keep its status until its end.

    Raises:
        ConfigError: it would become too large.
    """
    expected = expected_bytes(workflow)
    if expected > LARGEST:
        raise ConfigError(
            f"A cluster would refuse this workflow: with its status it has about {expected} bytes, at most {LARGEST} "
            "are accepted. Give stages fewer shards in conf/workflow.yaml, or name fewer stages by --stages."
        )


def expected_bytes(workflow: Mapping[str, Any]) -> int:
    """Bytes of the object with the status of a run; a raw artifact is copied into its step's node and each attempt."""
    templates = workflow["spec"]["templates"]
    artifacts = [artifact for template in templates for artifact in template.get("inputs", {}).get("artifacts", [])]
    copied = sum(len(artifact["raw"]["data"]) for artifact in artifacts)
    return len(json.dumps(workflow)) + sum(map(_pods, templates)) * NODE_BYTES + 2 * copied


def _pods(template: Mapping[str, Any]) -> int:
    """Those that a template starts; each task of a DAG has a node, and with shards as many as they are."""
    tasks = template.get("dag", {}).get("tasks", [])
    return sum(int(task.get("withSequence", {}).get("count", 1)) for task in tasks) or 1
