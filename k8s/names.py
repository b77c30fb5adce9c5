"""Names that Kubernetes and Argo accept, made in one place from the recipe's and the stages' own.

Templates, tasks and labels are named here, and nowhere else; what a name stands for is up to the callers.
"""

import hashlib
import re

from espnet3.errors import ConfigError

LONGEST = 63
"""Characters of a label's value, and of a name that becomes a host name."""
_NO_DIGEST = r"(?![0-9a-f]{8}$)"
_OWN_SLUG = re.compile(rf"(?!r-[0-9])[a-z0-9](?:-?[a-z0-9])*/{_NO_DIGEST}[a-z0-9]+|{_NO_DIGEST}[a-z][a-z0-9]*")
"""Recipes that lose no more than a slash: the slug's last hyphen is where it was, so no two have the same slug."""
_OWN_LABEL = re.compile(r"(?!.*-[0-9a-f]{8}$)[A-Za-z0-9](?:/?[A-Za-z0-9_-])*(?<![_-])")
"""The same for labels, in which the dot stands for the slash."""


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
    """A recipe's name as part of an object's name, of no other recipe: `digits/asr` is digits-asr.

    Kubernetes knows small letters, digits and hyphens. A name that has anything else but one slash before the task,
    such as `Digits/asr` or `digits_8k/asr`, ends in a digest of the whole: digits-8k-asr-dca9ac1a.
    """
    slug = _slug(recipe) or "recipe"
    slug = slug if slug[0].isalpha() else f"r-{slug}"
    return slug if _OWN_SLUG.fullmatch(recipe) else f"{slug}-{_digest(recipe)}"


def label_value(text: str) -> str:
    """`text` as the value of a label, of no other text: `digits/asr` is digits.asr.

    What has other letters than labels have, or is too long, ends in a digest of the whole.
    """
    value = re.sub(r"[^A-Za-z0-9_.-]+", ".", text)
    if _OWN_LABEL.fullmatch(text) and len(value) <= LONGEST:
        return value
    return f"{value[: LONGEST - 9].rstrip('._-')}-{_digest(text)}".strip("._-")


def shortened(name: str, longest: int = LONGEST) -> str:
    """`name`, or where it is too long its beginning and a hash of the whole."""
    if len(name) <= longest:
        return name
    return f"{name[: longest - 9].rstrip('-.')}-{_digest(name)}"


def mutex_name(claim: str, directory: str, what: str = "") -> str:
    """The name of the lock on a directory, the same for every run that writes there.

    Args:
        claim: the claim of the workspace.
        directory: the directory's absolute path in the pods.
        what: distinguishes two locks on the same directory; Argo would let a run wait for its own.
    """
    digest = _digest(f"{claim}:{directory}")
    first = f"{what}-" if what else ""
    return f"{first}{_slug(directory)[-(LONGEST - 9 - len(first)) :].strip('-')}-{digest}"


def _slug(text: str) -> str:
    """Small letters, digits and hyphens inside; empty where there is neither of the former."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _digest(text: str) -> str:
    """What distinguishes names that look alike, also where a name is not UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
