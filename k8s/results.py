"""Copying what a run is for, its metrics, report and logs, from the claim to this machine.

`python -m k8s results` calls it. A pod of the run's own image mounts the workspace read-only, hands the files over as
one archive, and is deleted. Models and data stay where they are.
"""

import base64
import io
import shlex
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from espnet3.errors import ConfigError, DataError, TryAgain
from k8s.api import SECONDS, Connection, telling
from k8s.submit import GROUP, PLURAL, VERSION

PATTERNS = ("*.log", "metrics*.json", "report.html", "utterances.tsv", "speakers.tsv", "errors.txt", "outcome.json")
WAIT_SECONDS = 180
_HOPELESS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")


@dataclass(frozen=True)
class FinishedRun:
    """What a Workflow object tells of a run."""

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
    def container(self) -> Mapping[str, Any]:
        """That of the exit handler, which every run has."""
        container: Mapping[str, Any] = self._template("finish")["container"]
        return container

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
        DataError: the run has left nothing to copy.
        TryAgain: the pod that hands the files over does not come up.
    """
    finished = _read(run, connection)
    with _helper(finished, connection) as pod:
        archive = _exec(pod, _command(finished), connection)
    paths = _unpack(archive, directory)
    if not paths:
        raise DataError(f"The run {run} has left no metrics, report or logs in {finished.directory} yet.")
    return paths


def _read(run: str, connection: Connection) -> FinishedRun:
    with telling(f"read the workflow {run}"):
        workflow = connection.custom.get_namespaced_custom_object(
            GROUP, VERSION, connection.namespace, PLURAL, run, _request_timeout=SECONDS
        )
    metadata = workflow["metadata"]
    annotations = metadata.get("annotations") or {}
    if "espnet3.org/directory" not in annotations:
        raise ConfigError(f"The workflow {run} is none of `python -m k8s`: it does not say where it works.")
    spec = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec") or workflow["spec"]
    return FinishedRun(run, spec, annotations["espnet3.org/directory"])


def _command(run: FinishedRun) -> list[str]:
    names = " -o ".join(f"-name {shlex.quote(pattern)}" for pattern in PATTERNS)
    folders = " ".join(shlex.quote(folder) for folder in run.folders)
    find = f"find {folders} -type f \\( {names} \\) -print0 2>/dev/null | sort -z -u"
    tar = "tar --null --files-from=- --create --gzip | base64 --wrap=0"
    return ["sh", "-c", f"cd {shlex.quote(run.directory)} && {find} | {tar}"]


@contextmanager
def _helper(run: FinishedRun, connection: Connection) -> Iterator[str]:
    """A pod that mounts the run's workspace and waits."""
    with telling("create a pod that reads the volume"):
        created = connection.core.create_namespaced_pod(connection.namespace, _pod(run), _request_timeout=SECONDS)
    name = str(created.metadata.name)
    try:
        _wait(name, connection)
        yield name
    finally:
        with telling(f"delete the pod {name}"):
            connection.core.delete_namespaced_pod(
                name, connection.namespace, grace_period_seconds=0, _request_timeout=SECONDS
            )


def _pod(run: FinishedRun) -> dict[str, Any]:
    container = {key: run.container[key] for key in ("image", "imagePullPolicy", "resources", "securityContext")}
    mounts = [mount | {"readOnly": True} for mount in run.container["volumeMounts"] if mount["name"] != "tmp"]
    volumes = [volume for volume in run.spec["volumes"] if volume["name"] in {mount["name"] for mount in mounts}]
    keys = ("securityContext", "serviceAccountName", "imagePullSecrets")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{run.name[:40]}-results-", "labels": {"app.kubernetes.io/part-of": "espnet3"}},
        "spec": {
            **{key: run.spec[key] for key in keys if key in run.spec},
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 600,
            "containers": [{"name": "main", "command": ["sleep", "600"], "volumeMounts": mounts, **container}],
            "volumes": volumes,
        },
    }


def _wait(name: str, connection: Connection) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        with telling(f"look at the pod {name}"):
            pod = connection.core.read_namespaced_pod(name, connection.namespace, _request_timeout=SECONDS)
        if pod.status.phase == "Running":
            return
        reason = _waits_for(pod)
        if reason in _HOPELESS or pod.status.phase == "Failed":
            raise ConfigError(f"The pod {name} cannot start ({reason}); `kubectl describe pod {name}` tells more.")
        time.sleep(0.5)
    raise TryAgain(f"The pod {name} did not start within {WAIT_SECONDS} s ({reason}). Run the same command again.")


def _waits_for(pod: Any) -> str:
    waiting = [each.state.waiting for each in pod.status.container_statuses or [] if each.state and each.state.waiting]
    conditions = [each.message for each in pod.status.conditions or [] if each.status == "False" and each.message]
    return str(waiting[0].reason if waiting else (conditions or [pod.status.message or pod.status.phase])[0])


def _exec(pod: str, command: list[str], connection: Connection) -> bytes:
    from kubernetes.client import CoreV1Api
    from kubernetes.stream import stream

    # A client of its own: stream() turns every later request of a client into a socket.
    core = CoreV1Api(type(connection.client)(connection.client.configuration))
    with telling(f"read files through the pod {pod}"):
        answer = stream(
            core.connect_get_namespaced_pod_exec,
            pod,
            connection.namespace,
            command=command,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        answer.run_forever()
        texts, complaint = answer.read_stdout() or "", answer.read_stderr() or ""
    if answer.returncode:
        raise DataError(f"The files of the run cannot be read: {complaint.strip() or answer.returncode}.")
    return base64.b64decode(texts)


def _unpack(archive: bytes, directory: Path) -> list[Path]:
    """Regular files only, and none outside of `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        members = [member for member in files.getmembers() if member.isfile()]
        files.extractall(directory, members, filter="data")
    return [directory / member.name for member in members]
