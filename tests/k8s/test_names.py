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
    assert recipe_slug("digits/asr") == "digits-asr"
    assert recipe_slug("mini-an4/asr") == "mini-an4-asr"
    assert recipe_slug("digits") == "digits"
    assert recipe_slug("1000h/asr") == "r-1000h-asr"
    assert label_value("digits/asr") == "digits.asr"
    assert len(label_value("a/" * 80)) <= 63


ALIKE = [
    ["digits/asr", "Digits/asr", "DIGITS/ASR", "digits/Asr", "digits/asr/", "/digits/asr", "digits//asr"],
    ["digits-8k/asr", "digits_8k/asr", "digits.8k/asr", "digits 8k/asr", "digits+8k/asr", "digits--8k/asr"],
    ["a-b/c", "a/b-c", "a-b-c", "a/b/c", "a_b/c", "a.b.c", "a.b/c", "a/b.c"],
    ["grosse/asr", "größe/asr", "Größe/asr", "gro\u0308ße/asr", "gr-e/asr", "gr e/asr"],
    ["1000h/asr", "r-1000h/asr", "r_1000h/asr", "R-1000h/asr"],
    ["数字/asr", "数位/asr", "asr", "-/asr", "_/asr", "r/asr"],
    ["", "recipe", "数字", "Recipe", "_", "🎤"],
    ["a" * 70 + "/asr", "a" * 70 + "/tts", "a" * 71 + "/asr", "A" * 70 + "/asr"],
    ["straße/asr", "strasse/asr", "STRASSE/asr", "\u017ftrasse/asr"],
    ["an4/asr", "an4\udce9/asr", "an4é/asr"],
]


@pytest.mark.parametrize("recipes", ALIKE, ids=lambda recipes: recipes[0][:12] or "empty")
def test_recipes_whose_names_look_alike_have_objects_of_their_own(recipes: list[str]) -> None:
    slugs = [shortened(recipe_slug(recipe), LONGEST_NAME) for recipe in recipes]
    labels = [label_value(recipe) for recipe in recipes]
    assert len({*slugs}) == len({*labels}) == len(recipes)
    assert [slug for slug in slugs if not NAME.fullmatch(slug) or not slug[0].isalpha()] == []
    assert [label for label in labels if not LABEL.fullmatch(label)] == []


def test_a_name_that_was_changed_does_not_pass_for_one_that_was_not() -> None:
    changed, label = recipe_slug("X/asr"), label_value("ä/asr")
    assert re.fullmatch(r"x-asr-[0-9a-f]{8}", changed)
    assert recipe_slug(changed.replace("-asr-", "-asr/")) != changed
    assert label_value(label) != label


NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
WORDS = st.text(st.sampled_from("aZ9/_.-é ")) | st.text()
CLOSE = st.text(st.sampled_from("aA1r-_./é"), max_size=6)


@given(WORDS)
def test_whatever_a_recipe_is_called_kubernetes_takes_the_names(recipe: str) -> None:
    generated = f"{shortened(recipe_slug(recipe), LONGEST_NAME)}-x1y2z"
    assert NAME.fullmatch(generated)
    assert generated[0].isalpha()
    assert LABEL.fullmatch(label_value(recipe))


@given(CLOSE | WORDS, CLOSE | WORDS)
def test_two_recipes_never_share_a_name(one: str, other: str) -> None:
    assert (recipe_slug(one) == recipe_slug(other)) == (one == other)
    assert (label_value(one) == label_value(other)) == (one == other)


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
