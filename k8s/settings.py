"""A recipe's `conf/workflow.yaml`: where its stages need another container than `stages/<stage>.py` says.

    infer: {shards: 8}
    train: {memory: 64Gi, gpu: 4}

`containers` reads it. It is optional, closed, and says nothing about a cluster: that is up to the profile.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from espnet3.config.findings import describe, nearest
from espnet3.errors import ConfigError

FILE = Path("conf") / "workflow.yaml"
MOST_SHARDS = 400
"""Each shard is two nodes of the Workflow object, which may have about 1 MB."""
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|[kMGTPE]|[KMGTPE]i)?$"
_OURS = r"^[^\s{}/:@]+$"
_REFERENCE = r"^([^\s{}/@]+/)*[^\s{}/:@]+(:[\w.-]+|(:[\w.-]+)?@sha256:[0-9a-f]{64})$"
Image = Annotated[str, Field(pattern=f"{_OURS}|{_REFERENCE}")]
Quantity = Annotated[str, Field(pattern=_QUANTITY)]
_ACCEPTED = {
    "image": "one of the project's images, or a reference with its tag or digest such as reg.example.com/own:1"
}


class StageSettings(BaseModel):
    """What a recipe asks for one stage; None for the default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Image | None = None
    """One of the project's images, or a reference of your own; without a tag or digest it would be another tomorrow."""
    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpu: int | None = Field(default=None, ge=0, le=16)
    shards: int = Field(default=1, ge=1, le=MOST_SHARDS)


def read_settings(recipe_dir: Path, stages: Sequence[str], others: Sequence[str] = ()) -> dict[str, StageSettings]:
    """The settings of each of `stages`, defaults where the file says nothing.

    Args:
        recipe_dir: the recipe's folder.
        stages: those whose containers are wanted now.
        others: further stages that the file may name, as the recipe has them.

    Raises:
        ConfigError: the file is malformed, or names an unknown stage or key, or a value is wrong; all faults at once.
    """
    path = recipe_dir / FILE
    content = _load(path) if path.is_file() else {}
    known = list(dict.fromkeys([*others, *stages]))
    faults = [fault for key, value in content.items() for fault in _faults(str(key), value, known)]
    if faults:
        raise ConfigError("\n  ".join([f"{path} is wrong:", *faults]))
    return {stage: StageSettings.model_validate(_plain(content.get(stage))) for stage in stages}


def _load(path: Path) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is malformed YAML: {error}. Correct it.") from None
    if not isinstance(content, dict | None):
        raise ConfigError(f"{path} holds no mapping; write stages with their settings, such as infer: {{shards: 8}}.")
    return content or {}


def _plain(value: Any) -> Any:
    """With quantities as text: YAML reads `cpu: 8` as a number."""
    if not isinstance(value, dict):
        return value or {}
    quantities = {key: str(value[key]) for key in ("cpu", "memory") if type(value.get(key)) in (int, float)}
    return value | quantities


def _faults(stage: str, value: Any, stages: Sequence[str]) -> list[str]:
    if stage not in stages:
        near = nearest(stage, stages, likeness=0.6)
        return [f"{stage}: no such stage; " + (f"did you mean {near}?" if near else f"stages: {', '.join(stages)}.")]
    try:
        StageSettings.model_validate(_plain(value))
    except ValidationError as error:
        return [_sentence(finding, stage) for finding in error.errors()]
    return []


def _sentence(finding: Any, stage: str) -> str:
    key = str(finding["loc"][-1]) if finding["loc"] else ""
    if finding["type"] != "extra_forbidden":
        accepted = _ACCEPTED.get(key, "an amount such as 500m or 16Gi")
        return re.sub(r"String should match pattern '.+?' \(", f"should be {accepted} (", describe(finding, stage))
    known = list(StageSettings.model_fields)
    near = nearest(key, known, likeness=0.6)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}."
    return f"{stage}.{key}: there is no such key; {hint}"
