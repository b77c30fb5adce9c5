import sys
from pathlib import Path
from typing import Any

import pytest

from espnet3.components.data.dataset import CombinedDataset
from espnet3.components.data.dataset_reference import load_datasets, load_test_sets, module_name
from espnet3.config.sections import DatasetReference
from espnet3.errors import ConfigError, DataError, Espnet3Error
from espnet3.recipe.recipe import activated
from tests.components.data.corpus import record, write_lines

MODULE = "from espnet3.components.data.dataset import ManifestDataset as Dataset\n"
TRANSFORM = """
class Lower:
    def __init__(self, suffix): self.suffix = suffix
    def __call__(self, sample): return sample | {"text": sample["text"].lower() + self.suffix}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/__init__.py").write_text(MODULE)
    write_lines(tmp_path / "one.jsonl", [record(0), record(1)])
    write_lines(tmp_path / "two.jsonl", [record(2)])
    return tmp_path


def reference(recipe: Path, manifest: str = "one", **fields: Any) -> DatasetReference:
    return DatasetReference(**{"data_src_args": {"manifest": str(recipe / f"{manifest}.jsonl")}} | fields)


def ids(data: CombinedDataset) -> list[str]:
    return [data.utterance(i).utt_id for i in range(len(data))]


def test_the_recipes_own_dataset_needs_no_name(recipe: Path) -> None:
    assert ids(load_datasets([reference(recipe), reference(recipe, "two")], recipe)) == ["u0", "u1", "u2"]


@pytest.mark.parametrize("source", ["digits/asr", "egs3.digits.asr.dataset"])
def test_another_recipes_dataset_is_named(recipe: Path, source: str) -> None:
    assert ids(load_datasets([reference(recipe, "two", data_src=source)], recipe)) == ["u2"]


def test_a_module_outside_of_egs3_is_named(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (recipe / "my_corpora").mkdir()
    (recipe / "my_corpora/calls.py").write_text(MODULE)
    monkeypatch.syspath_prepend(recipe)
    assert len(load_datasets([reference(recipe, data_src="my_corpora.calls")], recipe)) == 2
    for name in [name for name in sys.modules if name.startswith("my_corpora")]:
        monkeypatch.delitem(sys.modules, name)


NAMES = {
    "mini_an4/asr": "egs3.mini_an4.asr.dataset",
    "mini-an4/asr-v2": "egs3.mini_an4.asr_v2.dataset",
    "a.b": "a.b",
    "a": "a",
}


@pytest.mark.parametrize(("source", "module"), NAMES.items())
def test_what_a_source_stands_for(source: str, module: str) -> None:
    assert module_name(source, "dataset.train.0") == module


def test_test_sets_come_by_name_and_in_order(recipe: Path) -> None:
    sets = load_test_sets([reference(recipe, name="ü one"), reference(recipe, "two", name="two")], recipe)
    assert {name: len(data) for name, data in sets.items()} == {"ü one": 2, "two": 1}
    assert list(sets) == ["ü one", "two"]


def test_a_transform_is_built_and_used(recipe: Path) -> None:
    transform = {"_target_": "dataset.Lower", "suffix": "!"}
    (recipe / "dataset/__init__.py").write_text(MODULE + TRANSFORM)
    with activated(recipe):
        data = load_datasets([reference(recipe, transform=transform)], recipe)
    assert data[1]["text"] == "text 1!"
    assert data.utterance(1).utt_id == "u1"


def test_a_transform_that_cannot_be_built_is_named_by_its_key(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.train\.0\.transform: .*no_such"):
        load_datasets([reference(recipe, transform={"_target_": "espnet3.no_such.Thing"})], recipe)


FAULTS: dict[str, tuple[dict[str, Any], type[Espnet3Error], str]] = {
    "no such recipe": (
        {"data_src": "nowhere/asr"},
        ConfigError,
        "dataset.train.0.data_src: there is no module egs3.nowhere",
    ),
    "no such module": (
        {"data_src": "no_such.module"},
        ConfigError,
        "there is no module no_such.module for 'no_such.module'",
    ),
    "no name": ({"data_src": "a b"}, ConfigError, "dataset.train.0.data_src is 'a b'; it must be <corpus>/<system>"),
    "too deep": ({"data_src": "a/b/c"}, ConfigError, "must be <corpus>/<system>"),
    "no Dataset": (
        {"data_src": "json"},
        ConfigError,
        "dataset.train.0: the dataset module json .* must export Dataset",
    ),
    "no manifest": (
        {"data_src_args": {}},
        ConfigError,
        "dataset.train.0.data_src_args: missing a required argument: 'manifest'",
    ),
    "other argument": (
        {"data_src_args": {"manifest": "m", "split": "train"}},
        ConfigError,
        "data_src_args.split: espnet3.components.data.dataset.ManifestDataset takes no split; it takes manifest.",
    ),
    "missing manifest": (
        {"data_src_args": {"manifest": "/nowhere/m.jsonl"}},
        DataError,
        "dataset.train.0.data_src_args: There is no manifest /nowhere/m.jsonl. Run create_dataset",
    ),
}


@pytest.mark.parametrize(("fields", "kind", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_reference_is_named_by_its_key(
    recipe: Path, fields: dict[str, Any], kind: type[Exception], expected: str
) -> None:
    with pytest.raises(kind, match=expected):
        load_datasets([reference(recipe, **fields)], recipe)


def test_an_error_inside_a_dataset_module_comes_through(recipe: Path) -> None:
    (recipe / "dataset/__init__.py").write_text("import no_such_package\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load_datasets([reference(recipe)], recipe)


def test_a_dataset_that_lacks_something_is_refused(recipe: Path) -> None:
    (recipe / "dataset/__init__.py").write_text("class Dataset(list):\n    def __init__(self, manifest): pass\n")
    with pytest.raises(ConfigError, match=r"dataset\.Dataset lacks durations, utterance\. Subclass"):
        load_datasets([reference(recipe)], recipe)


def test_a_recipe_without_dataset_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no module dataset"):
        load_datasets([reference(tmp_path)], tmp_path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["one", None], r"dataset\.test\.1\.name is missing"),
        (["one", "one"], r"the name 'one' is used 2 times"),
        (["one", "../two"], r"'\.\./two' cannot name a folder"),
        (["one", ".two"], r"cannot name a folder"),
        ([], r"dataset\.test is empty"),
    ],
    ids=["missing", "twice", "slash", "dot", "none"],
)
def test_names_of_test_sets_are_checked(recipe: Path, names: list[str | None], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_test_sets([reference(recipe).model_copy(update={"name": name}) for name in names], recipe)


def test_a_split_without_datasets_is_refused(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.valid is empty: list at least one dataset"):
        load_datasets([], recipe, "dataset.valid")
