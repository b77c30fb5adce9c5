"""Which code counts for which stage, by what it does."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from espnet3.pipeline.code import Code
from espnet3.pipeline.syntax import syntax_digest
from espnet3.recipe.recipe import load_recipe
from espnet3.systems.asr.system import ASRSystem

STAGES = ["create_dataset", "train_tokenizer", "collect_stats", "train", "infer", "measure", "pack_model"]
FILES = {
    "run.py": 'from src.system import RecipeSystem\nDEFAULT_STAGES = ["train"]\nSYSTEM_CLS = RecipeSystem\n',
    "src/__init__.py": "",
    "src/system.py": "from espnet3.systems.asr.system import ASRSystem\n\n\nclass RecipeSystem(ASRSystem):\n    pass\n",
    "src/model.py": "from src import text\nfrom src.layers import Layer\n\n\nclass Net(Layer):\n    SIZE = 3\n\n"
    "    def forward(self):\n        return text.clean(self.SIZE)\n\n\nclass Other:\n    pass\n",
    "src/layers.py": "class Layer:\n    def __init__(self, size: int = 1):\n        self.size = size\n",
    "src/text.py": "def clean(x):\n    return x\n\n\ndef unused(x):\n    return x\n",
    "src/words.txt": "one\n",
    "dataset/__init__.py": "from dataset.builder import Builder as DatasetBuilder\nfrom dataset.data import Dataset\n",
    "dataset/builder.py": "class Builder:\n    def build(self):\n        return 1\n",
    "dataset/data.py": "class Dataset:\n    pass\n",
}
NET = {"training_config.model._target_": "src.model.Net"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "corpus/asr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "corpus/asr"


def code_of(folder: Path, stage: str, settings: dict[str, Any], system: Any = ASRSystem) -> dict[str, str]:
    files = load_recipe(folder).files
    return Code(folder, files).of_stage(system, stage, settings)


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text() if (folder / name).exists() else ""
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1) if old else text + new)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_a_model_counts_with_all_that_it_uses(recipe: Path) -> None:
    own = {name for name in code_of(recipe, "train", NET) if name.startswith("src")}
    assert own == {"src.model.Net", "src.layers.Layer", "src.text.clean", "src/words.txt"}


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        pytest.param("src/model.py", "SIZE = 3", "SIZE = 4", {"src.model.Net"}, id="the class"),
        pytest.param("src/model.py", "SIZE = 3", "SIZE = 3  # three", set(), id="a comment"),
        pytest.param("src/model.py", "    SIZE", '    """A net."""\n\n    SIZE', set(), id="a docstring"),
        pytest.param("src/model.py", "return text", "return    text", set(), id="the layout"),
        pytest.param("src/model.py", "class Other:\n    pass", "class Other:\n    x = 1", set(), id="another class"),
        pytest.param("src/layers.py", "= 1", "= 2", {"src.layers.Layer"}, id="a base's default"),
        pytest.param("src/text.py", "return x", "return x + 1", {"src.text.clean"}, id="a function of a module"),
        pytest.param("src/text.py", "def unused(x):\n    return x", "def unused(x):\n    pass", set(), id="unused"),
        pytest.param(
            "src/text.py", "", "print(clean(1))\n", {"src.text (module level)"}, id="what runs when it is imported"
        ),
        pytest.param(
            "src/text.py", "", "LIMIT = unused(3)\n", {"src.text (module level)"}, id="a constant of a module"
        ),
        pytest.param("src/text.py", "", "if __name__ == '__main__':\n    clean(2)\n", set(), id="what runs alone"),
        pytest.param("src/words.txt", "one", "two", {"src/words.txt"}, id="a file beside the code"),
        pytest.param("src/more.py", "", "x = 1\n", set(), id="a further module"),
        pytest.param("run.py", "", "x = 1\n", set(), id="run.py"),
        pytest.param("src/README.md", "", "Read me.\n", set(), id="prose"),
        pytest.param("LICENSE.corpus", "", "Free.\n", set(), id="a licence"),
    ],
)
def test_code_counts_by_what_it_does(recipe: Path, name: str, old: str, new: str, expected: set[str]) -> None:
    before = code_of(recipe, "train", NET)
    edit(recipe, name, old, new)
    assert changed(before, code_of(recipe, "train", NET)) == expected


@pytest.mark.parametrize(
    "line",
    ["importlib.import_module(x)", "__import__(x)", "eval(x)", "exec(x)"],
)
def test_code_that_loads_other_code_by_a_computed_name_uses_all_of_its_recipe(recipe: Path, line: str) -> None:
    edit(recipe, "src/text.py", "return x", f"return {line}")
    names = code_of(recipe, "train", NET)
    assert {name for name in FILES if name.startswith("src/")} <= {*names}


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("create_dataset", {"dataset.builder.Builder"}),
        ("collect_stats", {"dataset.data.Dataset"}),
        ("pack_model", set()),
    ],
)
def test_of_a_dataset_module_a_stage_uses_the_builder_or_the_dataset(
    recipe: Path, stage: str, expected: set[str]
) -> None:
    assert {name for name in code_of(recipe, stage, {}) if name.startswith("dataset")} == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("src.model.Net", True),
        (["a", "src.model.Net"], True),
        ("src/model.py", True),
        ("espnet3.src.Net", False),
        ("my-src.wav", False),
        ("data/src/model.py", False),
        ("src", False),
        (3, False),
    ],
)
def test_settings_name_what_they_depend_on(recipe: Path, value: Any, expected: bool) -> None:
    names = code_of(recipe, "pack_model", {"publication_config.x": value})
    assert any(re.match(r"src[./]model", name) for name in names) == expected


@pytest.mark.parametrize(
    ("body", "touched"),
    [
        pytest.param("pass", [], id="nothing"),
        pytest.param("def export_debug(self):\n        pass", [], id="a further stage"),
        pytest.param("def _helper(self):\n        pass", [], id="a helper of its own"),
        pytest.param("def train(self):\n        pass", ["train"], id="a stage"),
        pytest.param("stage_specs = {**ASRSystem.stage_specs}", [], id="declarations"),
        pytest.param("config_models = {}", [], id="checks of configs"),
        pytest.param("def __init__(self, **slots):\n        super().__init__(**slots)", STAGES, id="the constructor"),
        pytest.param("def __getattr__(self, name):\n        return 1", STAGES, id="attributes"),
        pytest.param("def _need(self, slot, stage):\n        pass", STAGES, id="a helper of the base"),
    ],
)
def test_a_system_of_the_recipe_reaches_what_it_overrides(recipe: Path, body: str, touched: list[str]) -> None:
    before = {stage: code_of(recipe, stage, {}, load_recipe(recipe).system_cls) for stage in STAGES}
    text = FILES["src/system.py"].replace("    pass", f"    {body}")
    # In a folder of its own: a recipe's modules are imported once a process.
    other = recipe.parents[1] / "other/asr"
    for name, content in {**FILES, "src/system.py": text}.items():
        path = other / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    after = {stage: code_of(other, stage, {}, load_recipe(other).system_cls) for stage in STAGES}
    assert [stage for stage in STAGES if after[stage] != before[stage]] == touched
    assert all({"src/model.py", "src/system.py"} <= {*after[stage]} for stage in touched)


BILSTM = "espnet3.systems.asr.models.bilstm.BiLSTMCTC"
LIBRARY = [
    ("train", NET, "espnet3.components.training.loop.TrainingLoop", True),
    ("train", NET, "espnet3.systems.base.training_session.build_model", True),
    ("train", NET, "espnet3.systems.asr.models.bilstm.BiLSTMCTC", False),
    (
        "train",
        {"m": "espnet3.systems.asr.models.bilstm.BiLSTMCTC"},
        "espnet3.systems.asr.models.bilstm.BiLSTMCTC",
        True,
    ),
    ("train", {"m": "espnet3.systems.asr.models.bilstm.BiLSTMCTC"}, "espnet3.components.modeling.ctc.CTCLoss", True),
    ("collect_stats", {}, "espnet3.components.training.loop.TrainingLoop", False),
    ("collect_stats", {}, "espnet3.systems.base.collect_stats.StatsProvider", True),
    ("measure", {}, "espnet3.systems.base.report.render_report", True),
    ("infer", {}, "espnet3.systems.base.report.render_report", False),
    ("pack_model", {}, "espnet3.systems.base.training.train", False),
]


@pytest.mark.parametrize(("stage", "settings", "name", "expected"), LIBRARY)
def test_of_the_library_a_stage_uses_what_its_method_leads_to(
    recipe: Path, stage: str, settings: dict[str, Any], name: str, expected: bool
) -> None:
    assert (name in code_of(recipe, stage, settings)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_what_decides_how_a_stage_runs_is_left_out(recipe: Path, stage: str) -> None:
    plumbing = r"espnet3\.(errors|runtime|config|pipeline|recipe|parallel)\."
    assert not [name for name in code_of(recipe, stage, NET) if re.match(plumbing, name)]


def digests(sources: Iterable[str]) -> set[str]:
    return {syntax_digest(ast.parse(source)) for source in sources}


def test_a_digest_tells_programs_apart_and_not_how_they_are_written() -> None:
    assert len(digests(["x = 1", "x = 2", "y = 1", "x = '1'", "x: int = 1", "x = -1", "x += 1", "x = 1.0"])) == 8
    assert len(digests(["def f(a, b=1):\n  return a", "def f( a,b = 1 ): # c\n\n  'd'\n  return (a)"])) == 1
    assert len(digests(["f(a, *b)", "f(a, b)", "f(a, **b)", "f(b, a)", "f((a, b))"])) == 5
