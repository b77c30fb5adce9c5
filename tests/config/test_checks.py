"""Every fault of a recipe's configs is found before the first stage, with its place and the cure."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from espnet3.config.checks import check_slots
from espnet3.config.slots import load_slots
from espnet3.systems.base.system import BaseSystem

TRAINING = """
exp_dir: exp/a
data_dir: data
stats_dir: data/stats
dataset:
  train: [{data_src_args: {manifest: train.jsonl}}]
  test: [{name: unseen, data_src_args: {manifest: test.jsonl}}]
create_dataset: {data_dir: data, speakers: 3}
features: {_target_: src.parts.Features, rate: 8000}
preprocessor: {_target_: src.parts.Preprocessor}
model: {_target_: src.Model, hidden_size: 4, layers: 2}
optimizer: {_target_: torch.optim.AdamW, lr: 0.1}
"""
INFERENCE = """
inference_dir: ${exp_dir}/greedy
model: {_target_: src.parts.make, decoder: {_target_: src.parts.Decoder.with_beam, beam: 3}}
"""
PARTS = '''
"""Targets of the test's configs; importing this fails, because nothing may."""
from abc import ABC
from dataclasses import dataclass, field
from typing import ClassVar

import torch

raise RuntimeError("a check has imported a target")

class Features:
    def __init__(self, rate=16000, *, window="hann"): ...

class Inherited(Features): ...

class Preprocessor(ABC): ...

@dataclass
class Base:
    data_dir: str
    kind: ClassVar[str] = "base"

@dataclass(frozen=True)
class Fields(Base):
    size: int = 1
    hidden: int = field(init=False, default=0)

class Anything:
    def __init__(self, rate, **options): ...

class Network(torch.nn.Module): ...

class Told(torch.nn.Module):
    def __init__(self, rate, **settings):
        self.fields = Fields(**settings)

class Kept(torch.nn.Module):
    def __init__(self, **settings):
        self.fields, self.settings = Fields(**settings), settings

class Meta(metaclass=type): ...

class Decoder:
    @classmethod
    def with_beam(cls, beam): ...

def make(decoder): ...

@make
def decorated(a): ...

Alias = Features
if torch:
    class Conditional:
        def __init__(self, a): ...
'''
DATASET = """
from dataclasses import dataclass

@dataclass
class DatasetBuilder:
    data_dir: str
    speakers: int = 1

class Dataset:
    def __init__(self, manifest): ...
"""
FILES = {
    "src/__init__.py": "from .parts import Features as Renamed, Gone\nfrom src.models import *\n",
    "src/parts.py": PARTS,
    "src/models.py": "class Model:\n    def __init__(self, hidden_size, layers=1): ...\n",
    "src/broken.py": "a = 1\ndef (:\n",
    "src/lazy.py": "def __getattr__(name): ...\n",
    "src/deep/nested.py": "class Here: ...\n",
    "dataset/__init__.py": "from dataset.builder import Dataset, DatasetBuilder\n",
    "dataset/builder.py": DATASET,
    "conf/training.yaml": TRAINING,
    "conf/inference.yaml": INFERENCE,
}
Check = Callable[..., list[str]]


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)

    def run(training: str = "", inference: str = "", stages: tuple[str, ...] = ("train", "infer")) -> list[str]:
        write(tmp_path, {"conf/training.yaml": TRAINING + training, "conf/inference.yaml": INFERENCE + inference})
        slots = load_slots({f"{name}_config": Path(f"conf/{name}.yaml") for name in ("training", "inference")})
        return [str(finding) for finding in check_slots(BaseSystem, slots, stages, tmp_path)]

    return run


def test_sound_configs_have_no_findings(check: Check) -> None:
    assert check() == []


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        pytest.param(
            "optimzer: {lr: 1}",
            "conf/training.yaml:13: training_config.optimzer: did you mean optimizer?",
            id="a near miss at the top",
        ),
        pytest.param(
            "trainer: {max_epoch: 3}",
            "conf/training.yaml:13: training_config.trainer.max_epoch: did you mean max_epochs?",
            id="a near miss in a section",
        ),
        pytest.param(
            "num_workers: many",
            "conf/training.yaml:13: training_config.num_workers: needs a whole number, and 'many' is text.",
            id="a wrong type",
        ),
        pytest.param("seed: -1", "training_config.seed: Input should be greater than or equal to 0", id="out of range"),
        pytest.param(
            "extra: {inside: [1, {_target_: src.parts.Featurs}]}",
            "conf/training.yaml:13: training_config.extra.inside.1._target_: src.parts.Featurs does not resolve: "
            "src.parts has no Featurs; did you mean Features?",
            id="a target at any depth",
        ),
        pytest.param("exp_tag: ???", "training_config.exp_tag: is ???: it has no value yet", id="a gap"),
        pytest.param(
            "audio: /path/to/audio", "training_config.audio: /path/to/audio is a placeholder; give", id="a placeholder"
        ),
        pytest.param("hub: {hf_token: hf_abc}", "training_config.hub.hf_token: is a secret", id="a secret"),
        pytest.param(
            "hub: {passwords: [{me: open}]}", "training_config.hub.passwords: is a secret", id="a secret in a list"
        ),
        pytest.param(
            "corpus: ['https://me:open@example.org']",
            "training_config.corpus.0: holds what is a secret in an address or in the environment",
            id="a password in an address",
        ),
        pytest.param("recipe_dir: gone", "training_config.recipe_dir: ", id="a folder that is not there"),
        pytest.param(
            "augment: [{_taget_: src.parts.Features}]", "augment.0._taget_: did you mean _target_?", id="_taget_"
        ),
    ],
)
def test_one_fault_is_one_finding(check: Check, lines: str, finding: str) -> None:
    (found,) = check(lines)
    assert finding in found


def test_the_finding_of_a_fault_names_the_place_that_set_it(check: Check, tmp_path: Path) -> None:
    write(tmp_path, {"conf/base.yaml": "trainer:\n  max_epochs: none\n"})
    (found,) = check("defaults: [base]")
    assert found.startswith("conf/base.yaml:2: training_config.trainer.max_epochs: ")


def test_all_faults_are_found_at_once(check: Check) -> None:
    found = check("seed: x\ntrainer: {max_epoch: 3}\nscheduler: {_target_: nosuch.Thing}", "output_key: [hyp]")
    assert [line.split(": ")[1] for line in found] == [
        "training_config.trainer.max_epoch",
        "training_config.seed",
        "training_config.scheduler._target_",
        "inference_config.output_key",
    ]


def test_a_missing_key_is_named_by_its_dotted_name() -> None:
    slots = {"training_config": OmegaConf.create({"trainer": {}}), "metrics_config": None}
    found = {str(finding) for finding in check_slots(BaseSystem, slots, ["train"], ".")}
    assert {f"training_config: training_config.{key} is missing." for key in ("exp_dir", "dataset", "model")} < found


def test_a_misspelt_key_is_not_reported_missing_as_well() -> None:
    config = OmegaConf.create({"optimzer": {}})
    found = [finding.message for finding in check_slots(BaseSystem, {"training_config": config}, ["train"], ".")]
    assert "training_config.optimzer: did you mean optimizer?" in found
    assert "training_config.optimizer is missing." not in found


def test_only_the_slots_of_the_given_stages_are_checked(check: Check) -> None:
    assert check(inference="output_key: []", stages=("train", "export_debug")) == []
    assert check("seed: x", stages=("export_debug",)) == []


def test_a_secret_is_found_in_every_slot(check: Check) -> None:
    (found,) = check(inference="password: open", stages=("train",))
    assert "inference_config.password: is a secret" in found


@pytest.mark.parametrize(("value", "told"), [("hunter22", True), ("hunter2", False)], ids=["long", "short"])
def test_a_secret_is_known_by_its_value(check: Check, monkeypatch: pytest.MonkeyPatch, value: str, told: bool) -> None:
    monkeypatch.setenv("MY_PASSWORD", value)
    found = check("note: by ${oc.env:MY_PASSWORD}")
    assert [line.split(": ")[1] for line in found] == ["training_config.note"] * told
    assert value not in str(found)


def test_what_a_slot_inherits_is_reported_once(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TRAINING", TRAINING.replace("name: unseen", "name: 3"))
    (found,) = check()
    assert "training_config.dataset.test.0.name: " in found
    (found,) = check(stages=("infer",))
    assert "inference_config.dataset.test.0.name: " in found


def test_what_a_slot_sets_itself_is_its_own_fault(check: Check) -> None:
    found = check(inference="dataset: {test: [{name: 3, data_src: gone/asr}]}")
    keys = [line.split(": ")[1] for line in found]
    assert keys == ["inference_config.dataset.test.0.name", "inference_config.dataset.test.0.data_src"]


TARGETS = [
    ("src.parts.Features", "window: x", None),
    ("src.parts.Features", "windw: x", "src.parts.Features takes no windw; did you mean window?"),
    ("src.parts.Features", "zzz: x", "src.parts.Features takes no zzz; it takes rate, window."),
    ("src.parts.Features", "_partial_: true", None),
    ("src.parts.Inherited", "window: x", None),
    ("src.parts.Inherited", "zzz: x", "src.parts.Inherited takes no zzz; it takes rate, window."),
    ("src.parts.Preprocessor", "zzz: x", "src.parts.Preprocessor takes no zzz; it takes nothing."),
    ("src.parts.Fields", "data_dir: x", None),
    ("src.parts.Fields", "kind: x", "src.parts.Fields takes no kind; it takes data_dir, size."),
    ("src.parts.Fields", "hidden: 1", "takes no hidden"),
    ("src.parts.Anything", "zzz: x", None),
    ("src.parts.Network", "zzz: x", None),
    ("src.parts.Told", "rate: 1, size: 2", None),
    ("src.parts.Told", "sizes: 2", "src.parts.Told takes no sizes; did you mean size?"),
    ("src.parts.Kept", "zzz: x", None),
    ("espnet3.systems.asr.models.conformer_ctc.ConformerCTC", "num_layer: 1", "did you mean num_layers?"),
    ("src.parts.Meta", "zzz: x", None),
    ("src.parts.Alias", "zzz: x", "takes no zzz"),
    ("src.parts.Conditional", "b: x", "takes no b; it takes a."),
    ("src.parts.decorated", "zzz: x", None),
    ("src.parts.make", "zzz: x", "takes no zzz; it takes decoder."),
    ("src.parts.Decoder.with_beam", "beem: 3", "takes no beem; did you mean beam?"),
    ("src.parts.Decoder.with_bean", "a: 3", "has no method with_bean; did you mean with_beam?"),
    ("src.Renamed", "windw: x", "takes no windw"),
    ("src.Model", "zzz: x", "takes no zzz; it takes hidden_size, layers."),
    ("src.parts.Features.rate", "a: 1", "has no method rate"),
    ("src.Gone", "a: 1", "src.parts has no Gone"),
    ("src.parts", "a: 1", "src.parts is a module; name a class or function in it"),
    ("src.prats.Features", "a: 1", "there is no module src.prats; did you mean parts?"),
    ("src.broken.Thing", "a: 1", "src/broken.py:2: invalid syntax"),
    ("src.lazy.Anything", "a: 1", None),
    ("src.deep.nested.Here", "a: 1", "takes no a; it takes nothing."),
    ("src.deep.nested.Gone", "a: 1", "src.deep.nested has no Gone; its names are Here."),
    ("espnet3.config.findings.Finding", "wher: 1", "takes no wher; did you mean where?"),
    ("espnet3.nosuch.Thing", "a: 1", "there is no module espnet3.nosuch"),
    ("pathlib.Path", "a: 1", None),
    ("torch.optim.AdamW", "a: 1", "torch.optim.AdamW takes no a; it takes params, lr"),
    ("torch.optim.AdamW", "weight_deca: 1", "did you mean weight_decay?"),
    ("torch.optim.NoSuchOptimizer", "a: 1", None),
    ("torch.nn.LSTM", "a: 1", None),
    ("hera.workflows.Workflow", "nmae: a", "did you mean name?"),
    ("yaml.CSafeLoader", "a: 1", "takes no a; it takes stream."),
    ("troch.optim.AdamW", "a: 1", "there is no package troch (did you mean torch?), and no extra brings it."),
    ("no_such_package.Thing", "a: 1", "there is no package no_such_package, and no extra brings it."),
    ("dict", "a: 1", "'dict' is not a dotted name"),
    ("src.parts.", "a: 1", "'src.parts.' is not a dotted name"),
    ("[1]", "a: 1", "[1] is not a dotted name"),
]


@pytest.mark.parametrize(("target", "argument", "message"), TARGETS, ids=[f"{t} {a}" for t, a, _ in TARGETS])
def test_targets_are_judged_by_their_source(check: Check, target: str, argument: str, message: str | None) -> None:
    found = check(f"own: {{_target_: {target}, {argument}}}")
    assert len(found) == (message is not None)
    assert not message or message in found[0]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        pytest.param(
            ("speakers: 3", "speaker: 3"),
            "training_config.create_dataset.speaker: dataset.DatasetBuilder takes no speaker; did you mean speakers?",
            id="an argument of the builder",
        ),
        pytest.param(
            ("{manifest: test.jsonl}", "{manifst: test.jsonl}"),
            "dataset.test.0.data_src_args.manifst: dataset.Dataset takes no manifst; did you mean manifest?",
            id="an argument of the dataset",
        ),
        pytest.param(
            ("{name: unseen,", "{data_src: no-such/asr, name: unseen,"),
            "training_config.dataset.test.0.data_src: egs3.no_such.asr.dataset.Dataset does not resolve",
            id="a corpus that is not there",
        ),
        pytest.param(
            ("{name: unseen,", "{"),
            "conf/training.yaml:7: training_config.dataset.test.0.name: is missing; a test set needs a name",
            id="a test set without a name",
        ),
        pytest.param(
            ("test: [", "test: [{name: unseen}, "),
            "training_config.dataset.test.1.name: 'unseen' names two test sets",
            id="two test sets of one name",
        ),
        pytest.param(
            ("{name: unseen,", "{data_sr: x, name: unseen,"),
            "training_config.dataset.test.0.data_sr: did you mean data_src?",
            id="a near miss in a list",
        ),
    ],
)
def test_dataset_references_are_checked(
    check: Check, changes: tuple[str, str], finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "TRAINING", TRAINING.replace(*changes))
    (found,) = check()
    assert finding in found


@pytest.mark.parametrize(
    ("node", "finding"),
    [
        ("{type: wav, sample_rate: '8000'}", None),
        (
            "{type: wav, sample_rate: fast}",
            "output_artifacts.hyp.sample_rate: needs a whole number, and 'fast' is text.",
        ),
        (
            "{type: wav, rate: 8000}",
            "output_artifacts.hyp.rate: espnet3.components.data.artifacts.WavWriter takes no rate",
        ),
        ("{type: [wav]}", None),
        ("{_target_: src.parts.Features, rate: 1}", None),
        ("{_target_: src.parts.Features, rates: 1}", "output_artifacts.hyp.rates: src.parts.Features takes no rates"),
    ],
)
def test_writers_of_artifacts_are_checked(check: Check, node: str, finding: str | None) -> None:
    found = check(inference=f"output_artifacts: {{hyp: {node}}}")
    assert len(found) == (finding is not None)
    assert not finding or finding in found[0]


def test_a_recipe_without_a_dataset_module_is_told_once(check: Check, tmp_path: Path) -> None:
    for file in (tmp_path / "dataset").iterdir():
        file.unlink()
    (found,) = check()
    assert "training_config.dataset.train.0: dataset.Dataset does not resolve" in found


def test_checking_imports_neither_torch_nor_a_target() -> None:
    code = (
        "import sys, espnet3.config.checks, espnet3.recipe.run_config;"
        "heavy = {'torch', 'lightning', 'numpy', 'src'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
