"""Which of a recipe's files, and which of its System's methods, reach which stage."""

from collections.abc import Mapping
from typing import Any

import pytest

from espnet3.pipeline.code import code_of, recipe_digests
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base.stage import StageSpec

FILES = {"src/system.py": "1", "src/model.py": "2", "dataset/builder.py": "3", "egs3/an4/asr/dataset/a.py": "4"}
SRC = {"src/system.py", "src/model.py"}
DATA = {"dataset/builder.py", "egs3/an4/asr/dataset/a.py"}
STAGES = ["create_dataset", "train_tokenizer", "collect_stats", "train", "infer", "measure", "pack_model"]


def files_of(stage: str, settings: Mapping[str, Any], system: Any = ASRSystem) -> set[str]:
    code = code_of(system, stage, settings, FILES)
    return {key.removeprefix("file:") for key in code if key.startswith("file:")}


def recipe_system(module: str = "src.system", bases: tuple[type, ...] = (ASRSystem,), **body: Any) -> type[Any]:
    return type("RecipeSystem", bases, {"__module__": module, "__doc__": "One.", **body})


def method(self: Any) -> None:
    """Any method."""


@pytest.mark.parametrize("stage", STAGES)
def test_data_come_through_the_dataset_module(stage: str) -> None:
    assert files_of(stage, {}) == (set() if stage == "pack_model" else DATA)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("src.model.Net", SRC),
        (["a", "src.model.Net"], SRC),
        ({"deep": ["src.model.Net"]}, SRC),
        (['{"_target_": "src.model.Net"}'], SRC),
        ("src/model.py", SRC),
        ("dataset.text.Upper", {"dataset/builder.py"}),
        ("egs3.an4.asr.dataset.text.Upper", {"egs3/an4/asr/dataset/a.py"}),
        ("espnet3.src.Net", set()),
        ("my-src.wav", set()),
        ("data/src/model.py", set()),
        ("src", set()),
        (3, set()),
    ],
)
def test_settings_name_what_they_depend_on(value: Any, expected: set[str]) -> None:
    assert files_of("pack_model", {"publication_config.x": value}) == expected


@pytest.mark.parametrize(
    ("body", "touched"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"export_debug": method}, [], id="a further stage"),
        pytest.param({"_helper": method}, [], id="a helper of its own"),
        pytest.param({"train": method}, ["train"], id="a stage"),
        pytest.param({"train": method, "infer": method}, ["train", "infer"], id="two stages"),
        pytest.param({"stage_specs": {**ASRSystem.stage_specs, "export": StageSpec()}}, [], id="declarations"),
        pytest.param({"config_models": {}}, [], id="checks of configs"),
        pytest.param({"__init__": method}, STAGES, id="the constructor"),
        pytest.param({"__getattr__": method}, STAGES, id="attributes"),
        pytest.param({"exp_dir": "elsewhere"}, STAGES, id="a property of the base"),
        pytest.param({"_need": method}, STAGES, id="a helper of the base"),
    ],
)
@pytest.mark.parametrize("module", ["src.system", "src"])
def test_a_system_of_the_recipe_reaches_what_it_overrides(
    body: dict[str, Any], touched: list[str], module: str
) -> None:
    system = recipe_system(module, **body)
    assert [stage for stage in STAGES if files_of(stage, {}, system) >= SRC] == touched
    names = {stage: code_of(system, stage, {}, FILES)["system"] for stage in STAGES}
    own, library = f"{module}.RecipeSystem", "espnet3.systems.asr.system.ASRSystem"
    assert names == {stage: own if stage in touched else library for stage in STAGES}


def test_a_stage_of_the_recipe_depends_on_its_own_code() -> None:
    assert files_of("export_debug", {}, recipe_system(export_debug=method)) == SRC


def test_what_a_mixin_or_a_base_in_src_overrides_counts() -> None:
    mixin = type("Mixin", (), {"__module__": "src.mixins", "train": method})
    middle = recipe_system(bases=(mixin, ASRSystem))
    assert files_of("train", {}, recipe_system(bases=(middle,))) == SRC | DATA
    assert files_of("collect_stats", {}, recipe_system(bases=(middle,))) == DATA


def test_a_system_of_run_py_counts_as_the_recipes() -> None:
    for module in ("__main__", "_recipe_0123"):
        assert code_of(recipe_system(module, train=method), "train", {}, {})["system"] == "run.RecipeSystem"
        assert code_of(recipe_system(module), "train", {}, {})["system"].startswith("espnet3.")


@pytest.mark.parametrize(
    "line", ["from src.text import clean", "import src.text", "    from src import text", 'load("src.text")']
)
def test_what_a_dataset_module_imports_counts_with_it(line: str) -> None:
    texts = {"dataset/builder.py": f"{line}\n", "src/text.py": "a", "src/model.py": "b"}
    digests = recipe_digests(texts)
    assert {*digests} == {*texts, "dataset imports src/text.py", "dataset imports src/model.py"}
    before, after = (
        code_of(ASRSystem, "train", {}, recipe_digests({**texts, "src/text.py": text})) for text in ("a", "changed")
    )
    assert [key for key in before if before[key] != after[key]] == ["file:dataset imports src/text.py"]


@pytest.mark.parametrize("text", ["# the src of it\n", "from mysrc import a\n", "from srcs import a\n"])
def test_other_words_are_no_imports(text: str) -> None:
    assert {*recipe_digests({"dataset/builder.py": text, "src/a.py": ""})} == {"dataset/builder.py", "src/a.py"}
