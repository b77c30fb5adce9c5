"""Names that Kubernetes and Argo accept, and names that are taken."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.errors import ConfigError
from k8s.names import argo_name, label_value, mutex_name, recipe_slug, shortened
from k8s.workflow import LONGEST_NAME, check_names


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("create_dataset", "create-dataset"),
        ("exportONNX", "exportonnx"),
        ("Export__ONNX_", "export-onnx"),
        ("größe", "gr-e"),
    ],
)
def test_a_stage_s_name_is_one_for_pods(stage: str, name: str) -> None:
    assert argo_name(stage) == name


def test_a_stage_s_name_is_no_longer_than_a_label() -> None:
    first, second = (argo_name("polish_" * 20 + end) for end in ("a", "b"))
    assert len(first) <= 63
    assert first != second


def test_a_stage_s_name_of_which_nothing_is_left() -> None:
    with pytest.raises(ConfigError, match="The stage 磨く cannot run on Kubernetes: "):
        argo_name("磨く")


def test_each_kind_of_name() -> None:
    assert recipe_slug("Digits/ASR") == "digits-asr"
    assert recipe_slug("1000h/asr") == "r-1000h-asr"
    assert label_value("digits/asr") == "digits.asr"
    assert len(label_value("a/" * 80)) <= 63


NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
WORDS = st.text(st.sampled_from("aZ9/_.-é ")) | st.text()


@given(WORDS)
def test_whatever_a_recipe_is_called_kubernetes_takes_the_names(recipe: str) -> None:
    generated = f"{shortened(recipe_slug(recipe), LONGEST_NAME)}-x1y2z"
    assert NAME.fullmatch(generated)
    assert generated[0].isalpha()
    assert LABEL.fullmatch(label_value(recipe))


@given(st.from_regex(r"[A-Za-z_]\w*[A-Za-z0-9]\w*", alphabet=st.characters(codec="ascii"), fullmatch=True))
def test_whatever_a_stage_is_called_kubernetes_takes_the_names(stage: str) -> None:
    assert NAME.fullmatch(argo_name(stage))


def test_a_long_name_is_cut_and_still_its_own() -> None:
    long = "a" * 80
    assert shortened("short") == "short"
    assert len(shortened(long)) <= 63
    assert shortened(long) != shortened(long + "b")


def test_a_mutex_is_that_of_one_directory_on_one_claim() -> None:
    assert mutex_name("c", "/workspace/a/exp") == mutex_name("c", "/workspace/a/exp")
    assert mutex_name("c", "/workspace/a/exp") != mutex_name("d", "/workspace/a/exp")
    assert mutex_name("c", "/w/a_b") != mutex_name("c", "/w/a-b")
    assert mutex_name("c", "/w/a", "data") != mutex_name("c", "/w/a")


@pytest.mark.parametrize("what", ["", "data"])
def test_a_mutex_has_a_name_of_any_directory(what: str) -> None:
    name = mutex_name("c", "/workspace/" + "a_B/" * 40, what)
    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)


@pytest.mark.parametrize(
    "stages", [["plan"], ["recipe"], ["report"], ["infer", "infer_shard"], ["infer", "infer_merge"]]
)
def test_names_that_are_taken(stages: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"cannot be called {stages[-1]}"):
        check_names(["train", *stages])


@pytest.mark.parametrize("stages", [["train", "Train"], ["infer", "export_onnx", "export_ONNX"]])
def test_names_that_are_the_same_without_capitals(stages: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"the stages {', '.join(stages[-2:])} would have the same name"):
        check_names(stages)
