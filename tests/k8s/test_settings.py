"""conf/workflow.yaml: what a recipe may say of its stages' containers."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.errors import ConfigError
from k8s.quantities import CPU as PROCESSORS
from k8s.quantities import MEMORY as BYTES
from k8s.quantities import STORAGE, Resource, amount, fault_of
from k8s.settings import StageSettings, read_settings

STAGES = ["train", "infer"]
RESOURCES = [PROCESSORS, BYTES, STORAGE]


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


MEMORY = "memory: should be an amount of memory from 64Mi to 64Ti, such as 512Mi or 16Gi"
CPU = "cpu: should be an amount of processors from 10m to 4096, such as 8 or 500m"
WHOLE = "should be a whole number, written plainly such as 8"
MEANT: dict[str, dict[str, str | None]] = {
    "memory": {
        **dict.fromkeys(["16", "'16'", "1_6", "016", "16GB", "16 GB", "16gb", "16 GiB", "16g", "+16"], "16Gi"),
        "500m": "500Mi",
        "512MB": "512Mi",
        "64M": "64Mi",
        "012Gi": "12Gi",
        "0.5": "0.5Gi",
    },
    "cpu": {"012": "12", "1_0": "10", "8Gi": "8", "8 cores": None, "0.001": None, "5m": None, "0": None},
}
"""{key: {what was written: what the message proposes}}."""
NONSENSE = {
    MEMORY: "0 0Gi 0.0Gi 00 -1Gi -16 +0 16Ki 65Ti 1Ei 9999999999Gi 1e9 0x10 4:30 yes true none '~' '' 2001-01-01 "
    ".inf 1.Gi 1,5Gi Gi \u0661Gi 16Gi16Gi",
    CPU: "0m 0.0 -1 1:30 0x10 0o17 1e3 yes '' 5000 half",
    f"shards: {WHOLE}": "yes true no 1.5 8.0 08 012 0x8 0o7 0b1 1_0 1:30 1e2 -1 +8 '' null ~ [8] {a:1} eight \u0668",
    f"gpu: {WHOLE}": "yes true 1.5 01 -1 0x1 one '' [1]",
    "shards: Input should be greater than or equal to 1": "0",
    "shards: Input should be less than or equal to 400": "401",
    "gpu: Input should be less than or equal to 16": "17",
}
"""{message: what was written}."""
AMOUNTS = [(f"{says.partition(':')[0]}: {text}", says) for says, texts in NONSENSE.items() for text in texts.split()]
AMOUNTS += [
    (f"{key}: {text}", f"{MEMORY if key == 'memory' else CPU}{f'; did you mean {meant}?' if meant else ''} (given: ")
    for key, proposals in MEANT.items()
    for text, meant in proposals.items()
]


@pytest.mark.parametrize(("setting", "said"), AMOUNTS, ids=[setting for setting, _ in AMOUNTS])
def test_amounts_that_no_stage_can_live_with_are_refused(tmp_path: Path, setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, f"train:\n  {setting}\n")
    assert f"workflow.yaml is wrong:\n  line 2: train.{said}" in str(error.value)


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("cpu", ["1", "8", "'8'", "0.5", "1.5", "2.0", "10m", "500m", "4096"]),
        (
            "memory",
            ["64Mi", "16Gi", "0.5Gi", "1.5Gi", "68M", "16G", "1T", "64Ti", "70000000", "17179869184", "16777216Ki"],
        ),
    ],
)
def test_amounts_that_a_stage_may_ask_for(tmp_path: Path, key: str, texts: list[str]) -> None:
    (tmp_path / "conf").mkdir()
    for text in texts:
        (tmp_path / "conf" / "workflow.yaml").write_text(f"train: {{{key}: {text}}}", encoding="utf-8")
        (settings,) = read_settings(tmp_path, ["train"]).values()
        assert getattr(settings, key) == text.strip("'")


def test_half_a_processor_without_its_zero_is_written_as_kubernetes_does(tmp_path: Path) -> None:
    assert read(tmp_path, "train: {cpu: .5}")["train"].cpu == "0.5"


@given(st.text() | st.from_regex(r"[0-9.]{0,6}[mkKMGTPEi]{0,2}", fullmatch=True), st.sampled_from(RESOURCES))
def test_a_proposal_is_never_refused_itself(text: str, resource: Resource) -> None:
    says = fault_of(text, resource)
    proposed = re.findall(r"did you mean (\S+)\?", says or "") + re.split(" or ", resource.examples)
    assert [each for each in proposed if fault_of(each, resource)] == []
    if says is None:
        assert amount(resource.least) <= amount(text) <= amount(resource.most)


def test_what_stages_share_may_be_written_once(tmp_path: Path) -> None:
    settings = read(tmp_path, "train: &large {memory: 64Gi}\ninfer: {<<: *large, shards: 2}\n")
    assert settings["infer"] == StageSettings(memory="64Gi", shards=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inferr: {shards: 8}", "inferr: no such stage; did you mean infer?"),
        ("infer: {shard: 8}", "infer.shard: there is no such key; did you mean shards?"),
        ("infer: {shards: 0}", "infer.shards"),
        ("infer: {shards: 401}", "infer.shards"),
        ("train: {cpu: 2}\n\ninfer:\n  gpu: 1\n  shards: no\n", "line 5: infer.shards: should be a whole number"),
        ("train: {cpu: 2}\ninfer: {}\ntrain: {cpu: 3}\n", "train twice"),
        ("train:\n  cpu: 2\n  cpu: 3\n", "cpu twice"),
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
