"""conf/workflow.yaml: what a recipe may say of its stages' containers."""

from pathlib import Path

import pytest

from espnet3.errors import ConfigError
from k8s.settings import StageSettings, read_settings

STAGES = ["train", "infer"]


def read(tmp_path: Path, text: str) -> dict[str, StageSettings]:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "workflow.yaml").write_text(text, encoding="utf-8")
    return read_settings(tmp_path, STAGES)


def test_without_a_file_all_is_default(tmp_path: Path) -> None:
    assert read_settings(tmp_path, STAGES) == {"train": StageSettings(), "infer": StageSettings()}


def test_stages_that_are_not_wanted_now_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "workflow.yaml").write_text("infer: {shards: 8}\n", encoding="utf-8")
    assert read_settings(tmp_path, ["train"], STAGES) == {"train": StageSettings()}


def test_what_it_says(tmp_path: Path) -> None:
    settings = read(tmp_path, "infer: {shards: 8, cpu: 2}\ntrain: {image: my.registry/own:1, memory: 64Gi, gpu: 4}\n")
    assert settings["infer"] == StageSettings(shards=8, cpu="2")
    assert settings["train"] == StageSettings(image="my.registry/own:1", memory="64Gi", gpu=4)


@pytest.mark.parametrize(
    "image",
    ["data", "own:1", "reg.example.com:5000/speech/own:1.2-a", f"own@sha256:{'0a' * 32}", f"own:1@sha256:{'0a' * 32}"],
)
def test_images_that_it_may_name(tmp_path: Path, image: str) -> None:
    assert read(tmp_path, f"train: {{image: '{image}'}}")["train"].image == image


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inferr: {shards: 8}", "inferr: no such stage; did you mean infer?"),
        ("infer: {shard: 8}", "infer.shard: there is no such key; did you mean shards?"),
        ("infer: {shards: 0}", "infer.shards"),
        ("infer: {shards: 401}", "infer.shards"),
        ("train: {memory: 16 GB}", "train.memory: should be an amount such as 500m or 16Gi"),
        (
            "train: {image: reg.example.com/own}",
            "train.image: should be one of the project's images, or a reference with",
        ),
        ("train: {image: 'reg.example.com:5000/own'}", "train.image: should be one of the project's images"),
        ("train: {image: 'own:{{workflow.name}}'}", "train.image: should be one of the project's images"),
        ("train: {image: own@sha256:12}", "train.image: should be one of the project's images"),
        ("train: 8", "train"),
        ("[train]", "holds no mapping"),
        ("train: {", "malformed YAML"),
    ],
)
def test_what_is_wrong_is_reported(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert said in str(error.value)
    assert "workflow.yaml" in str(error.value)
