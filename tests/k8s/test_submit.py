"""Submitting a run: what is sent, what is printed, and one clear sentence for each thing that can be wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s.__main__ import main
from tests.k8s.api_server import ApiServer, api_server

CLAIM = "GET /api/v1/namespaces/speech/persistentvolumeclaims/espnet3-workspace"
CREATE = "POST /apis/argoproj.io/v1alpha1/namespaces/speech/workflows"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with api_server() as api:
        api.answers[CLAIM] = (200, {"kind": "PersistentVolumeClaim", "metadata": {"name": "espnet3-workspace"}})
        api.answers[CREATE] = (201, {"metadata": {"name": "digits-asr-x1"}})
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        yield api


def test_the_run_is_created_and_the_user_reads_how_to_follow(
    server: ApiServer, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", str(recipe), "--profile", "local", "--stages", "train"]) == 0
    sent: dict[str, Any] = dict(server.requests)[CREATE]
    assert sent["kind"] == "Workflow"
    assert sent["metadata"]["generateName"] == "digits-asr-"
    said = capsys.readouterr().out
    for line in ("created workflow digits-asr-x1", "argo watch -n speech digits-asr-x1", "argo logs", "argo stop"):
        assert line in said


def test_another_namespace(server: ApiServer, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.refuse(CLAIM.replace("speech", "other"), 404, "not found")
    assert main(["submit", str(recipe), "--profile", "local", "-n", "other"]) == 78
    assert "no claim espnet3-workspace in the namespace other" in capsys.readouterr().err


def no_right(server: ApiServer) -> None:
    message = 'workflows.argoproj.io is forbidden: User "u" cannot create resource "workflows" in API group'
    server.refuse(CREATE, 403, message)


def no_quota(server: ApiServer) -> None:
    server.refuse(
        CREATE, 403, 'workflows "digits" is forbidden: exceeded quota: runs, requested: 1, used: 4, limited: 4'
    )


CASES: dict[str, tuple[Callable[[ApiServer], Any], int, str]] = {
    "no right": (no_right, 78, 'cannot create resource "workflows" in API group. Ask an administrator'),
    "no quota": (no_quota, 78, "exceeded quota: runs, requested: 1, used: 4, limited: 4. Wait until other runs"),
    "no Argo": (lambda server: server.answers.pop(CREATE), 78, "knows no workflows. Install Argo Workflows"),
    "no claim": (
        lambda server: server.refuse(CLAIM, 404, 'persistentvolumeclaims "espnet3-workspace" not found'),
        78,
        "There is no claim espnet3-workspace in the namespace speech. Install the chart there",
    ),
    "not logged in": (lambda server: server.refuse(CREATE, 401, "Unauthorized"), 78, "does not know you. Log in"),
    "refused by an admission": (
        lambda server: server.refuse(CREATE, 422, "spec.templates: too many"),
        78,
        "Could not create the workflow in the namespace speech: spec.templates: too many.",
    ),
    "server is busy": (lambda server: server.refuse(CREATE, 503, "etcd is away"), 75, "etcd is away. Run the same"),
}


@pytest.mark.parametrize(("break_it", "code", "said"), CASES.values(), ids=CASES)
def test_each_refusal_is_one_sentence(
    server: ApiServer,
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    break_it: Callable[[ApiServer], Any],
    code: int,
    said: str,
) -> None:  # fmt: skip
    break_it(server)
    assert main(["submit", str(recipe), "--profile", "local"]) == code
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert "HTTP response" not in message


def test_who_may_not_look_for_the_claim_may_still_submit(server: ApiServer, recipe: Path) -> None:
    server.refuse(CLAIM, 403, "forbidden")
    assert main(["submit", str(recipe), "--profile", "local"]) == 0


def test_without_a_kubeconfig(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["submit", str(recipe), "--profile", "local"]) == 78
    assert "There is no cluster to speak to" in capsys.readouterr().err


def test_a_context_that_there_is_not(server: ApiServer, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", str(recipe), "--profile", "local", "--context", "there"]) == 78
    assert "There is no cluster to speak to" in capsys.readouterr().err


def test_a_server_that_does_not_answer(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with api_server() as gone:
        kubeconfig = gone.kubeconfig(tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert main(["submit", str(recipe), "--profile", "local"]) == 75
    assert "the API server does not answer" in capsys.readouterr().err
