"""Config files as a recipe's user writes them, right and wrong."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from espnet3.config.slots import frozen_copy, load_config, load_slots, resolve_config
from espnet3.errors import ConfigError

Write = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_files(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write_files


def plain(path: Path) -> Any:
    return OmegaConf.to_container(load_config(path), resolve=False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"main.yaml": ""}, {}, id="an empty file is an empty config"),
        pytest.param(
            {"main.yaml": "defaults: [base]\na: 2", "base.yaml": "a: 1\nb: 1"}, {"a": 2, "b": 1}, id="own keys win"
        ),
        pytest.param(
            {"main.yaml": "defaults: [_self_, base]\na: 2", "base.yaml": "a: 1"}, {"a": 1}, id="_self_ first loses"
        ),
        pytest.param(
            {"main.yaml": "defaults: [base]\nm: {x: 2}\nl: [9]", "base.yaml": "m: {x: 1, y: 1}\nl: [1, 2]"},
            {"m": {"x": 2, "y": 1}, "l": [9]},
            id="mappings merge, lists are replaced",
        ),
        pytest.param(
            {"main.yaml": "defaults: [{model: big}]", "model/big.yaml": "size: 9"}, {"model": {"size": 9}}, id="group"
        ),
        pytest.param(
            {"main.yaml": "defaults: [model/big]", "model/big.yaml": "size: 9"}, {"model": {"size": 9}}, id="group/name"
        ),
        pytest.param(
            {"main.yaml": "defaults: [{model@teacher.net: big}]", "model/big.yaml": "size: 9"},
            {"teacher": {"net": {"size": 9}}},
            id="group@package",
        ),
        pytest.param(
            {"main.yaml": "defaults: [{model@_global_: big}]", "model/big.yaml": "size: 9"}, {"size": 9}, id="_global_"
        ),
        pytest.param(
            {
                "main.yaml": "defaults: [{model: big}]",
                "model/big.yaml": "defaults: [{opt@_global_: a}, {opt@_here_: b}]",
                "model/opt/a.yaml": "lr: 1",
                "model/opt/b.yaml": "size: 2",
            },
            {"lr": 1, "model": {"size": 2}},
            id="_global_ and _here_ in a nested list",
        ),
        pytest.param(
            {"main.yaml": "defaults: [{augment: [a, b]}]", "augment/a.yaml": "x: 1", "augment/b.yaml": "y: 2"},
            {"augment": {"x": 1, "y": 2}},
            id="several options of a group",
        ),
        pytest.param({"main.yaml": "defaults: [null, {model: null}]\na: 1"}, {"a": 1}, id="null is nothing"),
        pytest.param({"main.yaml": "defaults:\na: 1"}, {"a": 1}, id="an empty list is nothing"),
        pytest.param(
            {
                "main.yaml": "defaults: [{model: big}]",
                "model/big.yaml": "defaults: [small]\nsize: 9",
                "model/small.yaml": "size: 1\nlayers: 2",
            },
            {"model": {"size": 9, "layers": 2}},
            id="nested, relative to the file that lists it",
        ),
        pytest.param(
            {"sub/main.yaml": "defaults: [../base]", "base.yaml": "a: 1", "main.yaml": "defaults: [sub/../base.yaml]"},
            {"a": 1},
            id="a path with a suffix",
        ),
        pytest.param(
            {"main.yaml": "defaults: [base, base]", "base.yaml": "a: 1"},
            {"a": 1},
            id="the same file twice is not a circle",
        ),
        pytest.param(
            {"main.yaml": "defaults: [base]", "base.yaml": "exp_tag: x_${self_name:}\nl: ['${self_name:}']"},
            {"exp_tag": "x_main", "l": ["main"]},
            id="self_name is the file that is loaded",
        ),
    ],
)
def test_defaults_merge_as_in_hydra(write: Write, files: Mapping[str, str], expected: Any) -> None:
    assert plain(write(files) / "main.yaml") == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({"main.yaml": "a: 1\n\tb: 2"}, r"main\.yaml:2:1: malformed YAML.*Indent with spaces", id="tab"),
        pytest.param({"main.yaml": "a: [1, 2\nb: 3"}, r"main\.yaml:2:2: malformed YAML.*Check", id="open bracket"),
        pytest.param({"main.yaml": "a: 1\nb: 2\na: 3"}, r"main\.yaml:3:1: .*duplicate key a.*Keep one", id="key twice"),
        pytest.param({"main.yaml": "- a"}, r"main\.yaml holds no mapping; a config maps", id="list at the top"),
        pytest.param({"main.yaml": "just words"}, r"main\.yaml holds no mapping", id="a sentence"),
        pytest.param({"main.yaml": "a: ${b"}, r"main\.yaml: .*An interpolation is written", id="open interpolation"),
        pytest.param({"main.yaml": "a: &x\n  b: *x"}, r"main\.yaml: an alias .* its own anchor", id="endless alias"),
        pytest.param({"main.yaml": "a: \x01"}, r"main\.yaml.*control characters", id="control character"),
        pytest.param({"main.yaml": "defaults: base"}, r"main\.yaml:1: `defaults` must be a list", id="no list"),
        pytest.param(
            {"main.yaml": "a: 1\ndefaults: [3]"}, r"main\.yaml:2: cannot read the defaults entry 3", id="a number"
        ),
        pytest.param(
            {"main.yaml": "defaults: [{a: b, c: d}]"}, r"main\.yaml:1: cannot read the defaults", id="two in one"
        ),
        pytest.param(
            {"main.yaml": "defaults: [bose]", "base.yaml": ""},
            r"main\.yaml:1 names 'bose'.*Did you mean .*base\.yaml\?",
            id="a default that is not there",
        ),
        pytest.param(
            {"main.yaml": "defaults: [{model: big}]"},
            r"names 'model/big'.*folder .*model does not exist",
            id="no group",
        ),
        pytest.param({"main.yaml": "defaults: [main]"}, r"circle: .*main\.yaml → .*main\.yaml", id="itself"),
        pytest.param(
            {"main.yaml": "defaults: [a]", "a.yaml": "defaults: [b]", "b.yaml": "defaults: [a]"},
            r"circle: .*a\.yaml → .*b\.yaml → .*a\.yaml\.",
            id="circle of two",
        ),
        pytest.param({"mian.yaml": ""}, r"no config file .*main\.yaml\. Did you mean .*mian\.yaml\?", id="near name"),
        pytest.param({"other.yaml": ""}, r"That folder has: other\.yaml", id="no file"),
        pytest.param({"main.yaml/x": ""}, r"cannot be read: Is a directory", id="a folder"),
    ],
)
def test_wrong_files_name_place_and_cure(write: Write, files: Mapping[str, str], message: str) -> None:
    root = write(files)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(root / "main.yaml")
    assert caught.value.exit_code == 78


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match=r"main\.yaml is not UTF-8"):
        load_config(tmp_path / "main.yaml")


TRAINING = """
exp_tag: ${self_name:}
exp_dir: exp/${exp_tag}
data_dir: ${oc.env:ESPNET3_TEST_UNSET,data}
dataset: {test: [{name: unseen, data_src_args: {manifest: "${data_dir}/test.jsonl"}}]}
seed: 7
language: tr
"""


def slots(root: Path, *names: str) -> Any:
    files = {f"{name}_config": root / f"{name}.yaml" for name in names}
    return {slot: OmegaConf.to_container(config) for slot, config in load_slots(files).items()}


def test_values_are_handed_down_before_interpolations_are_resolved(write: Write) -> None:
    root = write(
        {
            "training.yaml": TRAINING,
            "inference.yaml": "exp_tag:\ninference_dir: ${exp_dir}/greedy",
            "metrics.yaml": "table: ${inference_dir}/table",
            "publication.yaml": "out: ${exp_dir}/${exp_tag}",
        }
    )
    # The order in which slots are given does not matter.
    loaded = slots(root, "publication", "metrics", "inference", "training")
    assert loaded["inference_config"] == {
        "exp_tag": "training",
        "exp_dir": "exp/training",
        "data_dir": "data",
        "inference_dir": "exp/training/greedy",
        "dataset": {"test": [{"name": "unseen", "data_src_args": {"manifest": "data/test.jsonl"}}]},
    }
    assert loaded["metrics_config"]["table"] == "exp/training/greedy/table"
    assert (loaded["metrics_config"]["seed"], loaded["metrics_config"]["language"]) == (7, "tr")
    assert loaded["publication_config"]["out"] == "exp/training/training"
    assert "dataset" not in loaded["publication_config"]


def test_a_slot_keeps_what_it_sets_itself(write: Write) -> None:
    root = write({"training.yaml": TRAINING, "inference.yaml": "exp_dir: elsewhere\ndataset: {test: []}"})
    inference = slots(root, "training", "inference")["inference_config"]
    assert (inference["exp_dir"], inference["dataset"]) == ("elsewhere", {"test": []})


def test_each_slot_has_a_copy_of_its_own(write: Write) -> None:
    root = write({"training.yaml": TRAINING, "inference.yaml": ""})
    loaded = load_slots({"training_config": root / "training.yaml", "inference_config": root / "inference.yaml"})
    loaded["inference_config"].dataset.test[0].name = "changed"
    assert loaded["training_config"].dataset.test[0].name == "unseen"


def test_a_slot_without_a_file_is_left_out(write: Write) -> None:
    root = write({"training.yaml": TRAINING})
    assert set(load_slots({"training_config": root / "training.yaml", "metrics_config": None})) == {"training_config"}


def test_environment_variables_are_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPNET3_TEST_UNSET", "/mnt/data")
    assert slots(write({"training.yaml": TRAINING}), "training")["training_config"]["data_dir"] == "/mnt/data"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param("a: ${b}", ["inference_config.a: "], id="unknown key"),
        pytest.param("m: {l: [1, '${b.c}']}", ["inference_config.m.l.1: "], id="inside a list"),
        pytest.param("a: ${b}\nc: {d: '${e}'}", ["inference_config.a: ", "inference_config.c.d: "], id="all at once"),
        pytest.param("a: ${a}", ["inference_config.a: "], id="itself"),
        pytest.param(
            "a: ${oc.env:ESPNET3_TEST_UNSET}", ["inference_config.a: ", "ESPNET3_TEST_UNSET"], id="environment"
        ),
        pytest.param("a: ${nosuch:1}", ["inference_config.a: ", "nosuch"], id="unknown resolver"),
    ],
)
def test_interpolations_that_fail_are_named_by_dotted_key(write: Write, text: str, keys: list[str]) -> None:
    root = write({"inference.yaml": text})
    with pytest.raises(ConfigError, match=r"inference\.yaml cannot be resolved") as caught:
        load_slots({"inference_config": root / "inference.yaml"})
    assert all(key in str(caught.value) for key in keys)


def test_resolving_leaves_the_given_config_and_gaps_alone() -> None:
    config = OmegaConf.create({"a": "${b}", "b": 1, "c": "???"})
    assert OmegaConf.to_container(resolve_config(config, "training_config")) == {"a": 1, "b": 1, "c": "???"}
    assert OmegaConf.is_interpolation(config, "a")


@given(st.text(alphabet=st.sampled_from("\\${}ab:. "), max_size=12))
def test_resolved_text_stands_for_itself(text: str) -> None:
    assert frozen_copy({"a": text}).a == text


@pytest.mark.parametrize(
    ("key", "place"),
    [
        pytest.param(("a",), "main.yaml:2", id="in the file"),
        pytest.param(("model", "size"), "model/big.yaml:1", id="in a default"),
        pytest.param(("l", "1", "x"), "main.yaml:5", id="in a list"),
        pytest.param(("model", "gone"), "model/big.yaml:1", id="nearest parent of what is not written"),
        pytest.param(("gone",), "main.yaml:1", id="not written at all"),
    ],
)
def test_a_key_is_found_in_its_file(
    write: Write, key: tuple[str, ...], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(
        {"main.yaml": "defaults: [{model: big}]\na: 1\nl:\n- 0\n- x: 1\n", "model/big.yaml": "size: 9\nlayers: 1"}
    )
    monkeypatch.chdir(root)
    assert load_slots({"training_config": Path("main.yaml")}).locate("training_config", key) == place
