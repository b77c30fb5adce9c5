"""A workflow that would be too large for the API server, by its stages, its shards or the recipe's own code."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from espnet3.errors import ConfigError
from espnet3.recipe.run_config import RecipeFile, RunConfig, RunRecipe
from k8s.__main__ import main
from k8s.containers import Cluster
from k8s.images import Digests
from k8s.settings import StageSettings
from k8s.size import LARGEST, check_size, expected_bytes
from k8s.values import read_profile
from k8s.workflow import Kind, build_workflow
from stages._outcome import Outcome
from tests.k8s.conftest import Rendered, template


def workflow(run: RunConfig, stages: list[str], shards: int = 1, kind: Kind = "Workflow") -> dict[str, Any]:
    settings = {stage: StageSettings(shards=shards) for stage in ("collect_stats", "infer")}
    chosen = run.model_copy(update={"stages": stages})
    return build_workflow(chosen, settings, Cluster(read_profile("local"), Digests()), kind)


def own(number: int) -> list[str]:
    return [f"own_{place}" for place in range(number)]


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
@pytest.mark.parametrize(
    ("stages", "shards"),
    [(own(100), 1), ([*own(20), "collect_stats", "infer"], 100), (["infer"], 400)],
    ids=["100 stages", "20 stages and two of 100 shards", "400 shards"],
)
def test_what_fits(digits: RunConfig, stages: list[str], shards: int, kind: Kind) -> None:
    check_size(workflow(digits, stages, shards, kind))


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
@pytest.mark.parametrize(
    ("stages", "shards"),
    [(own(198), 1), (["collect_stats", "infer"], 400)],
    ids=["more templates than Argo takes", "twice 400 shards"],
)
def test_what_does_not(digits: RunConfig, stages: list[str], shards: int, kind: Kind) -> None:
    with pytest.raises(ConfigError, match=r"\d bytes, at most 1048576 are accepted\. Give stages fewer"):
        check_size(workflow(digits, stages, shards, kind))


def test_code_counts_with_its_copies(digits: RunConfig) -> None:
    """Of no pattern: what compresses well would be small however long it is."""
    code = f"X = '{random.Random(0).randbytes(60_000).hex()}'\n"
    file = RecipeFile(sha256=hashlib.sha256(code.encode()).hexdigest(), text=code)
    recipe = RunRecipe(name=digits.recipe.name, files=digits.recipe.files | {"src/large.py": file})
    large = workflow(digits.model_copy(update={"recipe": recipe}), ["infer"], 400)
    assert expected_bytes(large) > expected_bytes(workflow(digits, ["infer"], 400)) + 3 * 60_000
    with pytest.raises(ConfigError, match="A cluster would refuse this workflow"):
        check_size(large)


def test_the_user_reads_what_to_change(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe / "conf" / "workflow.yaml").write_text(
        "infer: {shards: 400}\ncollect_stats: {shards: 400}\n", encoding="utf-8"
    )
    assert main(["render", str(recipe), "--profile", "local"]) == 78
    said = capsys.readouterr().err
    assert "A cluster would refuse this workflow" in said
    assert "bytes, at most 1048576 are accepted" in said


def test_two_hundred_shards_fit_into_an_object(rendered: Rendered) -> None:
    workflow = rendered(settings="infer: {shards: 200}")
    whole = {**workflow, "status": {"nodes": status_nodes(200)}}
    assert len(json.dumps(whole)) < expected_bytes(workflow) < LARGEST
    check_size(workflow)


def test_two_hundred_shards_that_all_fail_fit_as_well(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workflow = rendered(settings="infer: {shards: 200}")
    shard = template(workflow, "infer-shard")["container"]
    assert shard["terminationMessagePolicy"] == "File", "or each brings 2 kB of its log"
    assert template(workflow, "train")["container"]["terminationMessagePolicy"] == "FallbackToLogsOnError"
    monkeypatch.setenv("ESPNET3_SHARD_COUNT", "200")
    monkeypatch.setenv("ESPNET3_SHARD_INDEX", "7")
    monkeypatch.setenv("ESPNET3_OUTCOME_FILE", str(tmp_path / "outcome.json"))
    monkeypatch.setenv("ESPNET3_TERMINATION_LOG", str(tmp_path / "message"))
    Outcome("infer", exit_code=1, message="Traceback (most recent call last):\n" + '  File "a.py"\n' * 900).report()
    nodes = status_nodes(200)
    for node in nodes.values():
        node["message"] = f"main: Error (exit code 1): {(tmp_path / 'message').read_text('utf-8')}"
        node["outputs"]["parameters"] = [OUTCOME | {"value": (tmp_path / "outcome.json").read_text("utf-8")}]
    assert len(json.dumps({**workflow, "status": {"nodes": nodes}}, ensure_ascii=False)) < LARGEST


def status_nodes(shards: int) -> dict[str, Any]:
    """What Argo 4.1 writes of pods that have run: one node for each, and one for its attempts."""
    nodes = {}
    for shard in range(shards):
        for kind, attempt in (("Pod", "(0)"), ("Retry", "")):
            name = f"digits-asr-x1y2z.infer.shards({shard}:{shard}){attempt}"
            key = f"digits-asr-x1y2z-{1_000_000_000 + 2 * shard + len(attempt)}"
            inputs = [{"name": "shard", "value": str(shard)}, {"default": "", "name": "force", "value": ""}]
            nodes[key] = {
                "boundaryID": "digits-asr-x1y2z-1416413909",
                "children": ["digits-asr-x1y2z-2204930476"],
                "displayName": f"shards({shard}:{shard}){attempt}",
                "startedAt": "2026-11-24T00:20:26Z",
                "finishedAt": "2026-11-24T00:20:46Z",
                "hostNodeName": "ip-10-0-123-123.eu-west-1.compute.internal",
                "id": key,
                "inputs": {"parameters": inputs},
                "name": name,
                "nodeFlag": {"retried": True},
                "outputs": {"exitCode": "0", "parameters": [OUTCOME]},
                "phase": "Succeeded",
                "progress": "1000/1000",
                "resourcesDuration": {"cpu": 16, "memory": 665, "nvidia.com/gpu": 20},
                "taskResultSynced": True,
                "templateName": "infer-shard",
                "templateScope": "local/digits-asr-x1y2z",
                "type": kind,
            }
    return nodes


OUTCOME = {
    "name": "outcome",
    "value": '{"stage": "infer", "status": "done", "exit_code": 0, "seconds": 12.273, "attempt": 0, '
    '"peak_memory_bytes": 516333568, "result": null, "message": ""}',
    "valueFrom": {"default": "{}", "path": "/tmp/outcome.json"},
}
