"""Names that Kubernetes and Argo accept, made in one place from the recipe's and the stages' own.

Templates, tasks and labels are named here, and nowhere else; what a name stands for is up to the callers.
"""

import hashlib
import re

from espnet3.errors import ConfigError

LONGEST = 63
"""Characters of a label's value, and of a name that becomes a host name."""


def argo_name(stage: str) -> str:
    """The name of a stage's template, task and output parameter: `create_dataset` is create-dataset.

    Pods and Jobs are called after it, so it has no capitals: `exportONNX` is exportonnx.

    Raises:
        ConfigError: nothing is left of the stage's name.
    """
    if not (slug := _slug(stage)):
        raise ConfigError(
            f"The stage {stage} cannot run on Kubernetes: the names of its pods are made of its letters a to z and its "
            "digits, and it has none. Give the method another name, and the entry in DEFAULT_STAGES, too."
        )
    return shortened(slug)


def recipe_slug(recipe: str) -> str:
    """A recipe's name as part of an object's name: `digits/asr` is digits-asr."""
    slug = _slug(recipe) or "recipe"
    return slug if slug[0].isalpha() else f"r-{slug}"


def label_value(text: str) -> str:
    """`text` as the value of a label: `digits/asr` is digits.asr; cut to what Kubernetes allows."""
    return re.sub(r"[^A-Za-z0-9_.-]+", ".", text)[:LONGEST].strip("._-")


def shortened(name: str, longest: int = LONGEST) -> str:
    """`name`, or where it is too long its beginning and a hash of the whole."""
    if len(name) <= longest:
        return name
    return f"{name[: longest - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def mutex_name(claim: str, directory: str, what: str = "") -> str:
    """The name of the lock on a directory, the same for every run that writes there.

    Args:
        claim: the claim of the workspace.
        directory: the directory's absolute path in the pods.
        what: distinguishes two locks on the same directory; Argo would let a run wait for its own.
    """
    digest = hashlib.sha256(f"{claim}:{directory}".encode()).hexdigest()[:8]
    first = f"{what}-" if what else ""
    return f"{first}{_slug(directory)[-(LONGEST - 9 - len(first)) :].strip('-')}-{digest}"


def _slug(text: str) -> str:
    """Small letters, digits and hyphens inside; empty where there is neither of the former."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
