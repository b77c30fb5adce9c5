"""A recipe's `conf/workflow.yaml`: where its stages need another container than `stages/<stage>.py` says.

    infer: {shards: 8}
    train: {memory: 64Gi, gpu: 4}

`containers` reads it. It is optional, closed, and says nothing about a cluster: that is up to the profile.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from espnet3.config.findings import describe, nearest
from espnet3.errors import ConfigError
from k8s.quantities import CPU, MEMORY, Resource, fault_of

FILE = Path("conf") / "workflow.yaml"
MOST_SHARDS = 400
"""Each shard is two nodes of the Workflow object, which may have about 1 MB."""
_OURS = r"^[^\s{}/:@]+$"
_REFERENCE = r"^([^\s{}/@]+/)*[^\s{}/:@]+(:[\w.-]+|(:[\w.-]+)?@sha256:[0-9a-f]{64})$"
_IMAGE = "one of the project's images, or a reference with its tag or digest such as reg.example.com/own:1"


def _amount_of(resource: Resource) -> Callable[[str], str]:
    def check(quantity: str) -> str:
        if fault := fault_of(quantity, resource):
            raise PydanticCustomError("amount", "{fault}", {"fault": fault})
        return f"0{quantity}" if quantity.startswith(".") else quantity

    return check


def _whole(value: Any) -> int:
    """The number of a text without a sign, a base or zeros in front, which readers of YAML take for several numbers."""
    if type(value) is int:
        return value
    if isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,9}", value):
        return int(value)
    raise PydanticCustomError("whole", "should be a whole number, written plainly such as 8")


Image = Annotated[str, Field(pattern=f"{_OURS}|{_REFERENCE}")]
Cpu = Annotated[str, AfterValidator(_amount_of(CPU))]
Memory = Annotated[str, AfterValidator(_amount_of(MEMORY))]
Gpus = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=16)]
Shards = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=MOST_SHARDS)]


class StageSettings(BaseModel):
    """What a recipe asks for one stage; None for the default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Image | None = None
    """One of the project's images, or a reference of your own; without a tag or digest it would be another tomorrow."""
    cpu: Cpu | None = None
    memory: Memory | None = None
    gpu: Gpus | None = None
    shards: Shards = 1


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
        lines = [f"line {_line(path, fault)}: {fault}" for fault in faults]
        raise ConfigError("\n  ".join([f"{path} is wrong:", *lines]))
    return {stage: StageSettings.model_validate(content.get(stage) or {}) for stage in stages}


def _load(path: Path) -> dict[Any, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is malformed YAML: {error}. Correct it.") from None
    if not isinstance(content, dict | None):
        raise ConfigError(f"{path} holds no mapping; write stages with their settings, such as infer: {{shards: 8}}.")
    return content or {}


def _line(path: Path, fault: str) -> int:
    """Where the key stands that a fault begins with."""
    node: Any = yaml.compose(path.read_text(encoding="utf-8"))
    line = node.start_mark.line
    for part in fault.partition(": ")[0].split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == part), None)
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return int(line) + 1


class _Loader(yaml.SafeLoader):
    """Every scalar but null as its text: `012` is ten to one reader of YAML and twelve to the next, `yes` is true."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(repeated)} twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _faults(stage: str, value: Any, stages: Sequence[str]) -> list[str]:
    if stage not in stages:
        near = nearest(stage, stages, likeness=0.6)
        return [f"{stage}: no such stage; " + (f"did you mean {near}?" if near else f"stages: {', '.join(stages)}.")]
    try:
        StageSettings.model_validate({} if value is None else value)
    except ValidationError as error:
        return [_sentence(finding, stage) for finding in error.errors()]
    return []


def _sentence(finding: Any, stage: str) -> str:
    key = str(finding["loc"][-1]) if finding["loc"] else ""
    if finding["type"] != "extra_forbidden":
        return re.sub(r"String should match pattern '.+?' \(", f"should be {_IMAGE} (", describe(finding, stage))
    known = list(StageSettings.model_fields)
    near = nearest(key, known, likeness=0.6)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}."
    return f"{stage}.{key}: there is no such key; {hint}"
