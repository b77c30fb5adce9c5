"""Copying what a run is for, its metrics, report and logs, from the claim to this machine.

`python -m k8s results` calls it. A pod of the run's own image mounts the workspace read-only, prints the files as an
archive (`reader`) and is deleted; they are read from its log. So the run's own pods may be long gone, and nobody needs
the right to enter a pod. Models and data stay where they are.
"""

import base64
import binascii
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from espnet3.errors import ConfigError, DataError, TryAgain
from k8s import reader
from k8s.api import SECONDS, Connection, message_of, telling
from k8s.short_pod import WAIT_SECONDS, run_pod
from k8s.submit import GROUP, PLURAL, VERSION

READ_SECONDS = 600
"""For the pod to read what it prints, when it has started."""


@dataclass(frozen=True)
class FinishedRun:
    """What a Workflow object says of a run."""

    name: str
    spec: Mapping[str, Any]
    directory: str
    """The recipe's folder in the pods."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The run config, as plain values."""
        artifacts = self._template("plan")["inputs"]["artifacts"]
        content: Mapping[str, Any] = yaml.safe_load(zlib.decompress(base64.b64decode(artifacts[0]["raw"]["data"])))
        return content

    @property
    def last(self) -> Mapping[str, Any]:
        """The template of the exit handler, which every run has: a small pod with the volume."""
        return self._template("report")

    @property
    def folders(self) -> list[str]:
        """Where the run wrote, relative to its directory, and its own folder."""
        slots = self.config["slots"].values()
        keys = ("exp_dir", "inference_dir", "data_dir", "stats_dir")
        named = [str(slot[key]) for slot in slots for key in keys if slot.get(key)]
        return list(dict.fromkeys([*named, ".runs"]))

    def _template(self, name: str) -> Mapping[str, Any]:
        template: Mapping[str, Any] = next(each for each in self.spec["templates"] if each["name"] == name)
        return template


def fetch_results(run: str, directory: Path, connection: Connection) -> list[Path]:
    """Copy the files of a run into `directory`; gives their paths there.

    Raises:
        ConfigError: there is no such run, or a right is lacking.
        DataError: the run has left nothing to copy, or its files cannot be read.
        TryAgain: the pod that prints the files does not come up, or files change while they are read.
    """
    finished = _read(run, connection)
    first, wanted = _part(finished, 0, connection)
    archive = first
    for number in range(1, wanted["parts"]):
        further, head = _part(finished, number, connection)
        if head != wanted:
            break
        archive += further
    if hashlib.sha256(archive).hexdigest() != wanted["sha256"]:
        raise TryAgain(f"Files of the run {run} changed while they were read. Run the same command again.")
    paths = _unpack(archive, directory)
    if not paths:
        raise DataError(f"The run {run} has left no metrics, report or logs in {finished.directory} yet.")
    return paths


def _read(run: str, connection: Connection) -> FinishedRun:
    from kubernetes.client import ApiException

    with telling(f"read the workflow {run}"):
        try:
            workflow = connection.custom.get_namespaced_custom_object(
                GROUP, VERSION, connection.namespace, PLURAL, run, _request_timeout=SECONDS
            )
        except ApiException as error:
            if error.status == 404 and message_of(error):
                raise ConfigError(
                    f"There is no workflow {run} in the namespace {connection.namespace}. `argo list` shows those that "
                    "there are; one that ended long ago is gone (ttl in the profile), and its files are still on the "
                    "volume: submit the recipe again, and ask for the results of that run."
                ) from None
            raise
    metadata = workflow["metadata"]
    annotations = metadata.get("annotations") or {}
    if "espnet3.org/directory" not in annotations:
        raise ConfigError(
            f"The workflow {run} was not made by `python -m k8s`: it lacks the annotation espnet3.org/directory. "
            "Name a run that `python -m k8s submit` or a rendered workflow has created."
        )
    spec = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec") or workflow["spec"]
    return FinishedRun(run, spec, annotations["espnet3.org/directory"])


def _part(run: FinishedRun, number: int, connection: Connection) -> tuple[bytes, dict[str, Any]]:
    """One part of the archive, and what is said of the whole."""
    phase, text = run_pod(_pod(run, number), connection)
    lines = text.splitlines()
    if phase == "Failed":
        raise DataError(f"The files of the run cannot be read: {lines[-1] if lines else 'the pod says nothing'}.")
    try:
        begin = next(place for place, line in enumerate(lines) if line.startswith("{"))
        content = base64.b64decode("".join(lines[begin + 1 : lines.index(".", begin)]), validate=True)
        return content, json.loads(lines[begin])
    except (StopIteration, ValueError, binascii.Error):
        raise TryAgain("What the reading pod printed came in part only. Run the same command again.") from None


def _pod(run: FinishedRun, number: int) -> dict[str, Any]:
    """Like the exit handler's, with the volumes read-only."""
    own = run.last["container"]
    container = {key: own[key] for key in ("image", "imagePullPolicy", "resources", "securityContext")}
    mounts = [mount | {"readOnly": True} for mount in own["volumeMounts"] if mount["name"] != "tmp"]
    source = Path(reader.__file__).read_text(encoding="utf-8")
    command = ["tini", "-s", "--", "python", "-c", source, run.directory, str(number), *run.folders]
    of_run = {
        key: run.spec[key] for key in ("securityContext", "serviceAccountName", "imagePullSecrets") if key in run.spec
    }
    of_template = {
        key: run.last[key] for key in ("nodeSelector", "tolerations", "priorityClassName") if key in run.last
    }
    metadata = run.spec.get("podMetadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "generateName": f"{run.name[:40]}-results-"},
        "spec": {
            **of_run,
            **of_template,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": WAIT_SECONDS + READ_SECONDS,
            "containers": [{"name": "main", "command": command, "volumeMounts": mounts, **container}],
            "volumes": [each for each in run.spec["volumes"] if each["name"] in {mount["name"] for mount in mounts}],
        },
    }


def _unpack(archive: bytes, directory: Path) -> list[Path]:
    """Regular files only, and none outside of `directory`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        members = [member for member in files.getmembers() if member.isfile()]
        if members:
            directory.mkdir(parents=True, exist_ok=True)
        files.extractall(directory, members=members, filter="data")
    return [directory / member.name for member in members]
