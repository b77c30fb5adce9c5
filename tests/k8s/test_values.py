"""Profiles: laid over the chart's values as Helm does, and refused where a key or value is wrong."""

import json
from collections.abc import Callable

import pytest
from jsonschema import Draft202012Validator

from espnet3.errors import ConfigError
from k8s.quantities import CPU, STORAGE, Resource, fault_of
from k8s.values import CHART, PROFILES, merged, read_profile

Write = Callable[[str], str]


@pytest.mark.parametrize("profile", sorted(file.stem for file in PROFILES.glob("*.yaml")))
def test_every_profile_of_ours_is_valid(profile: str) -> None:
    assert read_profile(profile).workspace_claim == "espnet3-workspace"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imagse: {tag: a}", "imagse: there is no such key; did you mean images?"),
        ("pools: {gpu: {nodeSelektor: {a: b}}}", "pools.gpu.nodeSelektor: there is no such key; did you mean nodeSel"),
        ("device: tpu", "device: 'tpu' is not one of ['cpu', 'cuda']"),
        ("retries: {limit: many}", "retries.limit: 'many' is not of type 'integer'"),
        ("environment: {EPOCHS: 3}", "environment.EPOCHS: 3 is not of type 'string'"),
        ("security: {runAsUsr: null}", "security.runAsUsr: there is no such key; did you mean runAsUser?"),
        ("environment: {EPOCHS: null}", "environment.EPOCHS: None is not of type 'string'"),
        ("device: null", "device: null leaves workflows without a value. Give it one, or leave the key out"),
        ("retries: {limit: null}", "retries.limit: null leaves workflows without a value"),
        ("retries: {limit: null}", "the chart's values.yaml, 10."),
        ("pools: null", "pools: null leaves workflows without a value"),
        (
            "environment: {LOG: 'a {{ workflow.nam }}'}",
            "environment.LOG: Argo cannot fill in {{ workflow.nam }}; it knows {{workflow.name}}, {{workflow.namespace",
        ),
        ("annotations: {pod: {a: '{{= sprig.intt(retries) }}'}}", "annotations.pod.a: Argo cannot fill in {{= sprig"),
        ("proxy: {http: 'http://{{host}}:1'}", "proxy.http: Argo cannot fill in {{host}}"),
        (
            "pools: {cpu: {tolerations: [{key: '{{item}}'}]}}",
            "pools.cpu.tolerations.0.key: Argo cannot fill in {{item}}",
        ),
        (
            "pools: {gpu: {spot: {nodeSelector: {kind: it's}}}}",
            'pools.gpu.spot.nodeSelector.kind: "it\'s" does not match',
        ),
        ("pools: {cpu: {nodeSelector: {kind: a/b}}}", "pools.cpu.nodeSelector.kind: 'a/b' does not match"),
        (f"pools: {{cpu: {{nodeSelector: {{kind: {'a' * 64}}}}}}}", "does not match"),
        ("pools: {gpu: {tolerations: [{key: a, value: b c}]}}", "pools.gpu.tolerations.0.value: 'b c' does not match"),
        (
            "pools: {cpu: {largest: {memory: 500m}}}",
            "pools.cpu.largest.memory: should be an amount of memory from 64Mi",
        ),
        (
            "pools: {gpu: {largest: {memory: '16'}}}",
            "largest.memory: should be an amount of memory from 64Mi to 64Ti, suc",
        ),
        ("pools: {gpu: {largest: {memory: 16}}}", "did you mean 16Gi? (given: 16)"),
        ("pools: {gpu: {largest: {memory: 0Gi}}}", "pools.gpu.largest.memory: should be an amount of memory"),
        ("pools: {cpu: {largest: {cpu: '0'}}}", "pools.cpu.largest.cpu: should be an amount of processors from 10m"),
        ("pools: {cpu: {largest: {cpu: 8Gi}}}", "such as 8 or 500m; did you mean 8? (given: '8Gi')"),
        ("pools: {cpu: {largest: {cpu: 8}}}", "pools.cpu.largest.cpu: is a number, which readers of YAML write in se"),
        ("pools: {cpu: {largest: {cpu: 010}}}", 'write "8" (given: 8)'),
        ("pools: {cpu: {largest: {cpu: yes}}}", "pools.cpu.largest.cpu: should be an amount of processors"),
        ("pools: {gpu: {shm: 2}}", "pools.gpu.shm: should be an amount of memory from 64Mi to 64Ti"),
        ("pools: {gpu: {shm: ''}}", "pools.gpu.shm: should be an amount of memory from 64Mi to 64Ti"),
        ("pools: {gpu: {shm: 100m}}", "did you mean 100Mi? (given: '100m')"),
        (
            "workspace: {size: '100'}",
            "workspace.size: should be an amount of bytes from 1Mi to 8Ei, such as 20Gi or 1Ti",
        ),
        ("workspace: {size: 100m}", "workspace.size: should be an amount of bytes"),
        (
            "data: {size: 500GB}",
            "data.size: should be an amount of bytes from 1Mi to 8Ei, such as 20Gi or 1Ti; did you mean",
        ),
        ("quota: {hard: {requests.memory: 500m}}", "quota.hard.requests.memory: should be an amount of bytes"),
        ("quota: {hard: {requests.storage: 16}}", "quota.hard.requests.storage: should be an amount of bytes"),
        ("quota: {hard: {cpu: '010'}}", "quota.hard.cpu: '010' is not valid"),
        ("parallelism: 1.5", "parallelism: 1.5 is not of type 'integer'"),
        ("parallelism: yes", "parallelism: True is not of type 'integer'"),
        ("- a\n- b", "holds no mapping"),
        ("images: [", "malformed YAML"),
        (
            "pools: {gpu: {spot: {enabled: true, nodeSelector: {kind: spot}}}}",
            "pools.gpu.spot.nodeSelector (kind) and pools.gpu.onDemand.nodeSelector (empty) must name the same labels",
        ),
        (
            "pools: {gpu: {anotherNode: true, nodeSelector: {karpenter.sh/nodepool: gpu}}}\n",
            "which makes none for a pod that names hosts to avoid",
        ),
    ],
)
def test_what_is_wrong_is_reported(profile_file: Write, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_profile(profile_file(text))
    assert said in str(error.value)


BYTES = (
    "1Mi",
    "16Gi",
    "0.5Gi",
    "1.5Ti",
    "68M",
    "70000000",
    "16777216Ki",
    "0",
    "0Gi",
    "0.0Gi",
    "16",
    "500m",
    "16Ki",
    "016Gi",
    "16GB",
)
PROCESSORS = ("1", "8", "0.5", "10m", "500m", "4096", "0", "0.0", "0m", "9m", "012", "8Gi", "8k", "-1", "half")


@pytest.mark.parametrize(
    ("kind", "resource", "texts"),
    [("bytes", STORAGE, BYTES), ("processors", CPU, PROCESSORS)],
    ids=["bytes", "processors"],
)
def test_helm_takes_what_the_generator_takes(kind: str, resource: Resource, texts: tuple[str, ...]) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["$defs"][kind]
    taken = [text for text in texts if Draft202012Validator(schema).is_valid(text)]
    assert taken == [text for text in texts if fault_of(text, resource) is None]
    assert 4 < len(taken) < len(texts)


def test_all_faults_are_told_at_once(profile_file: Write) -> None:
    with pytest.raises(ConfigError) as error:
        read_profile(profile_file("imagse: {}\ndevise: cpu\n"))
    assert "did you mean images?" in str(error.value)
    assert "did you mean device?" in str(error.value)


@pytest.mark.parametrize(("name", "said"), [("lokal", "Did you mean local?"), ("a/b.yaml", "There is no profile a/b")])
def test_a_profile_that_there_is_not(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_profile(name)


def test_an_empty_profile_is_the_chart_s_own(profile_file: Write) -> None:
    profile = read_profile(profile_file(""))
    assert profile.device == "cpu"
    assert profile.retries.limit == 10


def test_what_argo_fills_in_may_stand_in_texts(profile_file: Write) -> None:
    text = "{{workflow.namespace}}/{{ workflow.name }}"
    profile = read_profile(profile_file(f"environment: {{RUN: '{text}', BRACES: '{{a: {{b: 1}}}}'}}"))
    assert profile.environment["RUN"] == text


def test_a_quota_may_be_nothing_and_a_pool_without_a_limit(profile_file: Write) -> None:
    text = "quota: {hard: {memory: '0', requests.nvidia.com/gpu: 4}}\npools: {cpu: {largest: {cpu: '', memory: ''}}}\n"
    assert read_profile(profile_file(text)).pools.cpu.largest.cpu == ""


def test_claims_that_exist_already(profile_file: Write) -> None:
    profile = read_profile(profile_file("workspace: {existingClaim: speech}\nfullnameOverride: team\n"))
    assert profile.workspace_claim == "speech"
    assert profile.data_claim == "team-data"


@pytest.mark.parametrize(
    ("below", "above", "both"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1}}, {"a": {"c": None}}, {"a": {"b": 1, "c": None}}),
    ],
    ids=["mappings merge", "lists are replaced", "null removes", "another kind replaces", "null of what there is not"],
)
def test_one_laid_over_the_other(below: dict[str, object], above: dict[str, object], both: dict[str, object]) -> None:
    assert merged(below, above) == both
