"""k8s/README.md, followed line by line by somebody who has a cluster with Argo and types what it says."""

import dataclasses
import hashlib
import json
import secrets
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import argo as programs
from tests.cluster import install, page
from tests.cluster.kube import Cluster, pod_of, until
from tests.cluster.page import Reader, rows

pytestmark = pytest.mark.slow
COMMANDS = rows()


@pytest.fixture(scope="module")
def reader(argo: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody in a namespace that they make themselves."""
    if not argo.own:
        pytest.skip("the page is followed in our own cluster")
    folder = tmp_path_factory.mktemp("reader")
    cluster = dataclasses.replace(argo, namespace=f"espnet3-test-{secrets.token_hex(3)}")
    recipe = page.small(folder / "digits" / "asr")
    try:
        yield Reader(cluster, recipe.folder, folder)
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=true", "--timeout=120s", timeout=150)
        install.renew_volumes(cluster)


@pytest.fixture(scope="module")
def submitted(reader: Reader) -> str:
    """The run that the page begins with, while it goes on."""
    for command in page.block():
        if command.startswith("make "):
            continue
        said = reader.types(command)
        if command.startswith("kubectl create namespace"):
            restricted = "pod-security.kubernetes.io/enforce=restricted"
            reader.cluster.kubectl("label", "namespace", reader.cluster.namespace, restricted)
    assert "created workflow digits-asr-" in said
    return said.split()[2]


@pytest.fixture(scope="module")
def finished(reader: Reader, submitted: str) -> str:
    """The same run when it is over."""
    (watch,) = COMMANDS["watch"]
    assert "Succeeded" in reader.types(watch, submitted, 600)
    return submitted


def state(reader: Reader, name: str) -> tuple[str, list[str]]:
    """How a run ended, and the templates of its pods."""
    found = programs.finished(reader.cluster, name, 300)
    return found["phase"], list(dict.fromkeys(node["templateName"] for node in programs.nodes(found)))


def latest(reader: Reader) -> str:
    """The run that was submitted last."""
    return str(reader.cluster.get(programs.KIND)[-1]["metadata"]["name"])


def test_from_nothing_to_a_run(reader: Reader, finished: str) -> None:
    (logs,) = COMMANDS["read logs"]
    assert "DONE train" in reader.types(logs, finished)


def test_results(reader: Reader, finished: str) -> None:
    (command,) = COMMANDS["fetch metrics, report, logs"]
    paths = [Path(line) for line in reader.types(command, finished).split()]
    names = {path.name for path in paths}
    assert {"metrics.json", "report.html", "train.log", "outcome.json"} <= names
    metrics = next(reader.folder / path for path in paths if path.name == "metrics.json")
    scores = json.loads(metrics.read_text(encoding="utf-8"))["unseen"]
    assert scores["wer_reference_words"] > 0


def test_data_come_onto_the_volume(reader: Reader, finished: str) -> None:
    corpus = reader.folder / "corpus.tar.gz"
    corpus.write_bytes(secrets.token_bytes(1 << 20))
    show, wait, copy, remove = COMMANDS["bring data onto a volume"]
    reader.types(show)
    reader.types(wait)
    reader.typed.append(copy)
    reader.types(copy.replace("FILE", corpus.name))
    counted = reader.cluster.kubectl("exec", "espnet3-shell", "--", "sha256sum", f"/workspace/{corpus.name}")
    assert counted.split()[0] == hashlib.sha256(corpus.read_bytes()).hexdigest()
    reader.types(remove)


@pytest.mark.parametrize(
    ("to", "pods"),
    [
        ("see the workflow first", ["plan", "report"]),
        ("keep it in the cluster", ["plan", "report"]),
        ("run some stages of it", ["plan", "report"]),
        ("redo a stage that is done", ["plan", "measure", "report"]),
        ("run one stage without the plan", ["train", "report"]),
    ],
)
def test_submitted_again(reader: Reader, finished: str, to: str, pods: list[str]) -> None:
    if to != "see the workflow first":
        reader.types(COMMANDS["see the workflow first"][0])
    for command in COMMANDS[to]:
        reader.types(command)
    assert state(reader, latest(reader)) == ("Succeeded", pods)


def test_a_stage_without_argo(reader: Reader, finished: str) -> None:
    (command,) = COMMANDS["run one stage without Argo"]
    for _ in range(2):  # as after a failure, too
        job = next(word for word in reader.types(command).split() if word.startswith("job.batch/"))
        reader.cluster.kubectl("wait", "--for=condition=Complete", job, "--timeout=60s")
        assert "already done" in reader.cluster.kubectl("logs", job)


def test_a_stopped_run_goes_on_with_retry(reader: Reader, finished: str) -> None:
    config = reader.recipe / "conf" / "training.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("max_epochs: 3", "max_epochs: 40"), encoding="utf-8")
    for command in COMMANDS["see the workflow first"]:
        reader.types(command)
    config.write_text(text, encoding="utf-8")
    name = latest(reader)
    training = f"workflows.argoproj.io/workflow={name},espnet3.org/stage=train"
    until(lambda: pod_of(reader.cluster, training), 120, "a pod that trains")
    (stop,), (retry, *_) = COMMANDS["stop where it can go on"], COMMANDS["go on after a failure"]
    reader.types(stop, name)
    assert state(reader, name)[0] == "Failed"
    reader.types(retry, name)
    phase, pods = state(reader, name)
    assert phase == "Succeeded"
    assert "pack-demo" in pods


def test_the_demo_answers(reader: Reader, finished: str) -> None:
    show, forward = COMMANDS["show the packed demo"]
    reader.types(show)
    reader.cluster.kubectl("rollout", "status", "deployment/digits-asr-demo", "--timeout=180s", timeout=200)
    process = reader.starts(forward)
    try:
        assert "Spoken digits" in until(answer, 30, "the demo's page")
    finally:
        process.terminate()
        process.wait()


def answer() -> str | None:
    """The demo's first page, as soon as it is there."""
    try:
        with urllib.request.urlopen("http://localhost:8080/", timeout=10) as response:
            return str(response.read().decode())
    except OSError:
        time.sleep(0.5)
        return None


@pytest.fixture
def labelled(reader: Reader) -> Iterator[str]:
    """A node made by hand."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "rack"}}
    reader.cluster.apply(node)
    yield "rack"
    reader.cluster.kubectl("delete", "node", "rack")


def test_nodes_and_tokens_are_named_as_the_page_says(reader: Reader, labelled: str) -> None:
    token = reader.folder / "token"
    token.write_text("hf_not_a_token", encoding="utf-8")
    said = [command for command in page.everywhere() if command.startswith(("kubectl label", "kubectl taint"))]
    for command in said:
        reader.typed.append(command)
        reader.types(command.replace(" N ", f" {labelled} "))
    spec = reader.cluster.read(f"node/{labelled}")
    assert spec["metadata"]["labels"]["example.com/pool"] == "gpu"
    assert {"key": "nvidia.com/gpu", "effect": "NoSchedule"} in spec["spec"]["taints"]
    (secret,) = [command for command in page.everywhere() if command.startswith("kubectl create secret")]
    reader.typed.append(secret)
    reader.types(secret.replace("FILE", str(token)))
    assert "token" in reader.cluster.read("secret/hub")["data"]


def test_every_command_of_the_page_is_followed_or_marked(reader: Reader) -> None:
    """Runs last: what the tests above have not typed is untested and has to say so."""
    elsewhere = ("make ", "ctr ", "argo lint ")
    left = [command for command in page.everywhere() if command not in reader.typed]
    assert [command for command in left if not command.startswith(elsewhere)] == []
