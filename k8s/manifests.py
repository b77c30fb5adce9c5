"""Kubernetes objects as YAML text, the same for the same objects.

`python -m k8s` prints it. For what the objects say, see `workflow`, `job` and `demo`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from espnet3.runtime.yaml_style import style_of


def to_yaml(manifests: Sequence[Mapping[str, Any]], made_by: str) -> str:
    """The objects one after the other, below a line that says which command made them."""
    documents = [
        yaml.dump(dict(manifest), Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
        for manifest in manifests
    ]
    return f"# Made by: {' '.join(made_by.splitlines())}\n" + "---\n".join(documents)


def plain(value: Any) -> Any:
    """Hera's models as plain values, by Kubernetes' names and without what is not set."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


class _Dumper(yaml.SafeDumper):
    """In quotes what a YAML reader could take for something else; without aliases; lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style_of(text))


_Dumper.add_representer(str, _represent)
