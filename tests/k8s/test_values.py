"""Profiles: laid over the chart's values as Helm does, and refused where a key or value is wrong."""

from collections.abc import Callable

import pytest

from espnet3.errors import ConfigError
from k8s.values import PROFILES, merged, read_profile

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
