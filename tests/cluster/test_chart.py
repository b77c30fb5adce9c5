"""The chart in a real cluster: installed under `restricted`, its doctor runs, and no data is lost with the release."""

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import install
from tests.cluster.kube import Cluster, Refused, until
from tests.cluster.rights import may

PROFILES = sorted((install.ROOT / "k8s" / "profiles").glob("*.yaml"))
PROOF = "precious.txt"
USER = '--set-json=users=[{"kind": "User", "name": "ada"}]'
Helm = Callable[..., str]


@pytest.fixture(scope="module")
def place(anywhere: Cluster, images: None) -> Iterator[Cluster]:
    """A namespace of its own, because these tests take the release away."""
    with install.fresh_namespace(anywhere) as cluster:
        install.make_volume(cluster, f"{cluster.namespace}-workspace")
        yield cluster


@pytest.fixture(scope="module")
def helm(place: Cluster) -> Helm:
    """Runs Helm's words on the release and returns what it says."""

    def run(verb: str, *words: str) -> str:
        if verb in ("install", "upgrade"):
            return install.helm(place, verb, *words)
        where = [f"--kube-context={place.context}", f"--namespace={place.namespace}"]
        command = [str(install.helm_program()), verb, "espnet3", *words, *where]
        done = subprocess.run(command, env=place.environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)
        return done.stdout

    return run


@pytest.fixture(scope="module")
def release(place: Cluster, helm: Helm) -> Cluster:
    helm("install", "--set=semaphores.gpu=1", "--set=networkPolicy.enabled=true", USER)
    return place


def test_helm_test_runs_the_volume_doctor_under_restricted(release: Cluster, helm: Helm) -> None:
    said = helm("test", "--logs", "--timeout=3m")
    assert re.search(r"rename.*works", said), "the doctor's findings are shown"
    assert release.get("pods", "app.kubernetes.io/component=doctor") == [], "a doctor that found nothing wrong goes"


def test_helm_test_says_why_stages_cannot_write(release: Cluster, helm: Helm) -> None:
    if not release.own:
        pytest.skip("only our own node's volume is known to belong to group 10001")
    stranger = ["--set=security.runAsUser=12345", "--set=security.runAsGroup=12345", "--set=security.fsGroup=null"]
    helm("upgrade", *stranger, USER)
    with pytest.raises(Refused, match="cannot be written"):
        helm("test", "--logs", "--timeout=3m")
    helm("upgrade", USER)


def test_the_cluster_fills_the_executors_token(release: Cluster) -> None:
    def filled() -> str | None:
        data = release.read("secret/espnet3-executor.service-account-token").get("data", {})
        return base64.b64decode(data["token"]).decode() if "token" in data else None

    token = until(filled, 20, "the executor's token")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == f"system:serviceaccount:{release.namespace}:espnet3-executor"


@pytest.mark.parametrize(
    ("verb", "resource", "answer"),
    [
        ("create", "workflows.argoproj.io", True),
        ("create", "jobs.batch", True),
        ("get", "pods/log", True),
        ("create", "pods/exec", False),
        ("get", "persistentvolumeclaims", True),
        ("delete", "persistentvolumeclaims", False),
        ("get", "secrets", False),
        ("list", "secrets", False),
        ("create", "serviceaccounts/token", False),
        ("update", "roles.rbac.authorization.k8s.io", False),
        ("delete", "networkpolicies.networking.k8s.io", False),
        ("update", "resourcequotas", False),
    ],
)
def test_a_named_user_runs_recipes_and_no_more(release: Cluster, verb: str, resource: str, answer: bool) -> None:
    assert may(release, "ada", verb, resource) is answer


def test_data_outlives_an_upgrade_and_the_release(release: Cluster, helm: Helm) -> None:
    """A file on the claim is there after an upgrade, after uninstall, and for the release that takes the claim back."""
    install.make_reader(release)
    install.python(release, f"open({PROOF!r}, 'w').write('model')")
    claim = release.read("persistentvolumeclaim/espnet3-workspace")["metadata"]["uid"]

    helm("upgrade", "--set=semaphores.gpu=3")
    assert release.read("configmap/espnet3-semaphores")["data"] == {"gpu": "3"}
    helm("uninstall", "--wait")
    assert release.get("serviceaccounts", "app.kubernetes.io/part-of=espnet3") == []
    kept = release.read("persistentvolumeclaim/espnet3-workspace")
    assert (kept["metadata"]["uid"], kept["status"]["phase"]) == (claim, "Bound")

    helm("install")
    assert release.read("persistentvolumeclaim/espnet3-workspace")["metadata"]["uid"] == claim
    release.kubectl("delete", f"pod/{install.READER}", "--wait=true")
    install.make_reader(release)
    assert install.python(release, f"print(open({PROOF!r}).read())").split() == [b"model"]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda file: file.stem)
def test_the_api_server_takes_every_profiles_objects(place: Cluster, profile: Path) -> None:
    render = ["template", "dry", str(install.CHART), f"--namespace={place.namespace}", f"--values={profile}"]
    command = [str(install.helm_program()), *render, "--skip-tests", "--set=fullnameOverride=dry"]
    shown = subprocess.run(command, env=place.environment(), capture_output=True, text=True, check=True).stdout
    made = place.kubectl(
        "create", "--dry-run=server", "--validate=strict", "--output=name", "--filename=-", stdin=shown
    )
    assert len(made.split()) == len([item for item in yaml.safe_load_all(shown) if item])


def test_the_api_server_refuses_a_doctor_that_is_not_restricted(release: Cluster) -> None:
    """The namespace does enforce what the tests above pass."""
    render = ["template", "dry", str(install.CHART), "--show-only=templates/tests/doctor.yaml"]
    command = [str(install.helm_program()), *render]
    shown = subprocess.run(command, env=release.environment(), capture_output=True, text=True, check=True).stdout
    loose = shown.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")
    with pytest.raises(Refused, match="violates PodSecurity"):
        release.kubectl("create", "--dry-run=server", "--filename=-", stdin=loose)
