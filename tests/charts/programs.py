"""Helm and kubeconform, built from their pinned Go modules, and the schemas of Kubernetes' objects.

`make tools` runs this once (two to five minutes). The tests of the chart and of the cluster ask `program` and `schemas`
for the results and skip where there are none; the cache folder keeps these under a name that changes with the pins.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
TOOLS = Path(__file__).parent / "tools"
KUBERNETES = Path(__file__).parent.parent / "cluster" / "onenode" / "kubernetes"
HOW = "helm is not built; `make tools` builds it"


def folder() -> Path:
    """Where the programs are or would be."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    pins = b"".join((module / name).read_bytes() for module in (TOOLS, KUBERNETES) for name in ("go.mod", "go.sum"))
    return home / "espnet3-tools" / hashlib.sha256(pins).hexdigest()[:12]


def program(name: str) -> Path | None:
    """The built program, or None where `make tools` has not run."""
    path = folder() / name
    return path if path.exists() else None


def schemas() -> Path:
    """The folder with one JSON Schema a kind."""
    return folder() / "schemas"


def main() -> None:
    """Build what is missing."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if shutil.which("go") is None:
        sys.exit("The chart's tools are built by Go 1.26 or newer, and `go` is not on PATH: install it from go.dev/dl.")
    target = folder()
    if program("helm") is None:
        log.info("Building Helm and kubeconform; this takes two to five minutes, once")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as built:
            _build(Path(built))
            shutil.copytree(built, target, dirs_exist_ok=True)
    _write_schemas(schemas())
    log.info("%s", target)


def _build(out: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    command = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", f"{out}/", "tool"]
    subprocess.run(command, cwd=TOOLS, env=environment, check=True)


def _write_schemas(out: Path) -> None:
    """One file a kind, `pod-v1.json`, that refers to the closed definitions of all types."""
    download = ["go", "mod", "download", "-json", "k8s.io/kubernetes"]
    answer = json.loads(subprocess.run(download, cwd=KUBERNETES, capture_output=True, check=True).stdout)
    specification = Path(answer["Dir"]) / "api" / "openapi-spec" / "swagger.json"
    definitions: dict[str, Any] = json.loads(specification.read_text(encoding="utf-8"))["definitions"]
    out.mkdir(exist_ok=True)
    for name, kind in _kinds(definitions):
        (out / f"{kind}.json").write_text(
            json.dumps({"$ref": f"definitions.json#/definitions/{name}"}), encoding="utf-8"
        )
    closed = {name: _closed(name, definition) for name, definition in definitions.items()}
    (out / "definitions.json").write_text(json.dumps({"definitions": closed}), encoding="utf-8")


def _kinds(definitions: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each type that is an object of its own, with the file name that kubeconform looks for."""
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            group = kind["group"].split(".")[0]
            yield name, "-".join(part for part in (kind["kind"].lower(), group, kind["version"]) if part)


def _closed(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """No key but the known ones; amounts and ports may be numbers or strings."""
    if name.endswith((".Quantity", ".IntOrString")):
        return {"type": ["string", "number"]}
    return {**definition, "additionalProperties": False} if "properties" in definition else definition


if __name__ == "__main__":
    main()
