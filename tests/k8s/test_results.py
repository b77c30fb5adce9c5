"""Results of a run whose pods are gone: an API server that starts the pod's own command here, and all that can fail."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s import short_pod
from k8s.__main__ import main
from k8s.reader import PART_BYTES
from tests.k8s.api_server import ApiServer, api_server

RUN = "digits-asr-x1"
WORKFLOW = f"GET /apis/argoproj.io/v1alpha1/namespaces/speech/workflows/{RUN}"
PODS = "/api/v1/namespaces/speech/pods"
POD = f"{PODS}/reader-1"
FILES = {
    "exp/bilstm/train.log": "epoch 1\n",
    "exp/bilstm/greedy/metrics.json": '{"test": {"wer": 4.5}}',
    "exp/bilstm/greedy/report.html": "<h1>digits</h1>",
    "data/create_dataset.log": "done\n",
    ".runs/abc/outcome.json": '{"status": "Succeeded"}',
}
NOISE = random.Random(5).randbytes(PART_BYTES + 1000)
"""Does not compress."""
OTHERS = ("exp/bilstm/last.ckpt", "data/train.jsonl", "exp/bilstm/averaged.safetensors", ".runs/abc/run.yaml")


@dataclass
class Node:
    """Where the pod of `results` runs: this machine, with the workspace at the path that the profile names."""

    server: ApiServer
    workspace: Path
    pods: list[dict[str, Any]] = field(default_factory=list)
    deleted: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    log: str = ""

    @property
    def place(self) -> Path:
        """The recipe's folder on the workspace."""
        return self.workspace / "digits" / "asr"

    def write(self, name: str, content: str | bytes) -> None:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def serve(self) -> None:
        self.server.answers |= {
            f"POST {PODS}": self._start,
            f"GET {POD}": lambda _: (200, {"metadata": {"name": "reader-1"}, "status": self.status}),
            f"GET {POD}/log": lambda _: (200, self.log),
            f"DELETE {POD}": self._delete,
        }

    def _start(self, pod: dict[str, Any]) -> tuple[int, Any]:
        self.pods.append(pod)
        words = pod["spec"]["containers"][0]["command"]
        assert words[:4] == ["tini", "-s", "--", "python"]
        done = subprocess.run([sys.executable, *words[4:]], capture_output=True, text=True, check=False)
        self.log = done.stdout + done.stderr
        main_status = {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 0}
        phase = "Failed" if done.returncode else "Succeeded"
        self.status = {"phase": phase, "containerStatuses": [main_status]}
        return 201, {"metadata": {"name": "reader-1"}}

    def _delete(self, _: Any) -> tuple[int, Any]:
        self.deleted += 1
        return 200, {"metadata": {"name": "reader-1"}}


@pytest.fixture
def node(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Node]:
    profile = tmp_path / "cluster.yaml"
    pools = {"cpu": {"nodeSelector": {"pool": "cpu"}, "tolerations": [{"key": "cpu", "operator": "Exists"}]}}
    annotations = {"pod": {"sidecar.example/inject": "false"}}
    values = {"workspace": {"mountPath": str(tmp_path / "workspace")}, "pools": pools, "annotations": annotations}
    profile.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["render", str(recipe), "--profile", str(profile)]) == 0
    workflow = yaml.safe_load(capsys.readouterr().out)
    workflow["metadata"]["name"] = RUN
    with api_server() as server:
        server.answers[WORKFLOW] = (200, workflow)
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "kubeconfig")))
        there = Node(server, tmp_path / "workspace")
        there.serve()
        for name, content in FILES.items():
            there.write(name, content)
        for name in OTHERS:
            there.write(name, "large")
        yield there


def fetched(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def test_they_are_read_by_a_pod_of_its_own(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", RUN, str(tmp_path / "here")]) == 0
    assert fetched(tmp_path / "here") == FILES
    assert sorted(capsys.readouterr().out.split()) == sorted(str(tmp_path / "here" / name) for name in FILES)
    assert (len(node.pods), node.deleted) == (1, 1)


def test_it_asks_for_few_rights(node: Node, tmp_path: Path) -> None:
    assert main(["results", RUN, str(tmp_path / "here")]) == 0
    asked = {request for request, _ in node.server.requests}
    assert asked == {WORKFLOW, f"POST {PODS}", f"GET {POD}", f"GET {POD}/log", f"DELETE {POD}"}


def test_the_pod_is_restricted_and_stands_where_the_exit_handler_stood(node: Node, tmp_path: Path) -> None:
    assert main(["results", RUN, str(tmp_path / "here")]) == 0
    (pod,) = node.pods
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["volumeMounts"] == [
        {"name": "workspace", "mountPath": str(node.workspace), "readOnly": True},
    ]
    assert [volume["name"] for volume in spec["volumes"]] == ["workspace"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["nodeSelector"] == {"pool": "cpu"}
    assert spec["tolerations"] == [{"key": "cpu", "operator": "Exists"}]
    assert pod["metadata"]["annotations"] == {"sidecar.example/inject": "false"}
    assert pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "espnet3"


def test_what_is_too_much_for_one_log_comes_in_parts(node: Node, tmp_path: Path) -> None:
    node.write("exp/bilstm/train.log", NOISE)
    assert main(["results", RUN, str(tmp_path / "here")]) == 0
    assert (tmp_path / "here/exp/bilstm/train.log").read_bytes() == NOISE
    assert (len(node.pods), node.deleted) == (2, 2)


def test_files_that_change_between_two_parts_are_reported(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = node.server.answers[f"POST {PODS}"]
    assert callable(start)
    node.write("exp/bilstm/train.log", NOISE)

    def start_and_change(pod: Any) -> tuple[int, Any]:
        answer: tuple[int, Any] = start(pod)
        node.write("exp/bilstm/greedy/report.html", "new")
        return answer

    node.server.answers[f"POST {PODS}"] = start_and_change
    assert main(["results", RUN, str(tmp_path / "here")]) == 75
    assert "changed while they were read" in capsys.readouterr().err
    assert not (tmp_path / "here").exists()


def test_a_link_is_not_followed(node: Node, tmp_path: Path) -> None:
    (node.place / "exp/bilstm/secret.log").symlink_to("/etc/passwd")
    assert main(["results", RUN, str(tmp_path / "here")]) == 0
    assert fetched(tmp_path / "here") == FILES


def nothing_yet(node: Node) -> None:
    for name in FILES:
        (node.place / name).unlink()


def no_folder(node: Node) -> None:
    node.workspace.rename(node.workspace.with_name("elsewhere"))


def shown(node: Node, status: dict[str, Any]) -> None:
    """A pod that never comes to run."""
    node.server.answers[f"GET {POD}"] = (200, {"metadata": {"name": "reader-1"}, "status": status})


def no_image(node: Node) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    status = {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    shown(node, {"phase": "Pending", "containerStatuses": [status]})


def no_node(node: Node) -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    shown(node, {"phase": "Pending", "conditions": [condition]})


def evicted(node: Node) -> None:
    shown(node, {"phase": "Failed", "message": "The node was low on resource"})


def cut(node: Node) -> None:
    node.server.answers[f"GET {POD}/log"] = lambda _: (200, node.log[:200])


def refused(node: Node, request: str, status: int, message: str) -> None:
    node.server.refuse(request, status, message)


NO_RIGHT = 'pods is forbidden: User "ada" cannot create resource "pods" in API group ""'
CASES: dict[str, tuple[Any, int, str]] = {
    "no such run": (
        lambda node: refused(node, WORKFLOW, 404, f'workflows.argoproj.io "{RUN}" not found'),
        78,
        f"There is no workflow {RUN} in the namespace speech. `argo list` shows",
    ),
    "no Argo": (lambda node: node.server.answers.pop(WORKFLOW), 78, "knows no workflows. Install Argo"),
    "a workflow of somebody else": (
        lambda node: node.server.answers.update({WORKFLOW: (200, {"metadata": {"name": RUN}, "spec": {}})}),
        78,
        "was not made by `python -m k8s`",
    ),
    "no right to read runs": (
        lambda node: refused(node, WORKFLOW, 403, 'User "ada" cannot get resource "workflows"'),
        78,
        'cannot get resource "workflows". Ask an administrator',
    ),
    "no right to start pods": (
        lambda node: refused(node, f"POST {PODS}", 403, NO_RIGHT),
        78,
        f"Could not create a pod that reads the volume: {NO_RIGHT}. Ask an administrator",
    ),
    "no quota": (
        lambda node: refused(node, f"POST {PODS}", 403, "pods is forbidden: exceeded quota: pods, used: 5"),
        78,
        "exceeded quota: pods, used: 5. Wait until other runs",
    ),
    "no right to read logs": (
        lambda node: refused(node, f"GET {POD}/log", 403, 'User "ada" cannot get resource "pods/log"'),
        78,
        "Could not read the log of the pod reader-1",
    ),
    "no image": (no_image, 78, "The pod reader-1 cannot start (ImagePullBackOff)"),
    "no node": (no_node, 75, "did not start within 0 s (0/3 nodes are available)"),
    "evicted before it began": (evicted, 78, "cannot start (The node was low on resource)"),
    "half a log": (cut, 75, "came in part only"),
    "nothing written yet": (nothing_yet, 66, f"The run {RUN} has left no metrics, report or logs"),
    "never planned": (no_folder, 66, "The files of the run cannot be read: FileNotFoundError"),
}


@pytest.mark.parametrize(("break_it", "code", "said"), CASES.values(), ids=CASES)
def test_each_failure_is_one_sentence_and_leaves_nothing(
    node: Node,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    break_it: Any,
    code: int,
    said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(short_pod, "WAIT_SECONDS", 0)
    break_it(node)
    assert main(["results", RUN, str(tmp_path / "here")]) == code
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert not (tmp_path / "here").exists()
    assert node.deleted == len(node.pods), "no pod stays"


def test_a_run_of_a_template_is_read_as_well(node: Node, tmp_path: Path) -> None:
    answer = node.server.answers[WORKFLOW]
    assert not callable(answer)
    workflow = json.loads(json.dumps(answer[1]))
    workflow["status"] = {"storedWorkflowTemplateSpec": workflow.pop("spec")}
    node.server.answers[WORKFLOW] = (200, workflow | {"spec": {"workflowTemplateRef": {"name": "digits-asr"}}})
    assert main(["results", RUN, str(tmp_path / "here")]) == 0
    assert fetched(tmp_path / "here") == FILES
