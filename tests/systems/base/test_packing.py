"""A second task brings its own half of a pack by the same hooks: a folder below espnet3/systems is all that it adds."""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from safetensors.numpy import save_file

import espnet3
import espnet3.systems
from espnet3.errors import ConfigError, DataError, Espnet3Error
from espnet3.packs.meta import write_sums
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base.system import BaseSystem
from espnet3.utils.publish_utils import pack_model

SOURCES = {
    "__init__.py": '"""Hears tones."""\n',
    "system.py": """
from espnet3.systems.base.system import BaseSystem

class ToneSystem(BaseSystem):
    pass
""",
    "model.py": """
from pathlib import Path

class Tone:
    def __init__(self, table, weights):
        self.names = dict(line.split() for line in Path(table).read_text().splitlines())
        self.offset = weights["offset"]

    def __call__(self, frequency):
        return self.names[str(int(frequency + self.offset[0]))]
""",
    "packing.py": """
from espnet3.systems.base.packing import BasePacking, CardText

class TonePacking(BasePacking):
    task = "tone-detection"
    parts = ("features", "model")
    allowed = frozenset({"espnet3.components.data.features.LogMel", "espnet3.systems.tone.model.Tone"})
    file_keys = frozenset({"table"})
    backends = {}

    def build(self, pack, backend, device):
        from safetensors.numpy import load_file
        from espnet3.config.instantiate import build

        return build(pack.config()["model"], "model", weights=load_file(pack.file("model.safetensors")))

    def config(self, experiment, pack):
        from espnet3.systems.base.pack_files import with_own_files

        return {part: with_own_files(experiment.training[part], pack, part) for part in self.parts}

    def try_pack(self, experiment, pack):
        from espnet3.packs.loading import load

        return {"heard": load(pack)(440)}

    def card(self):
        return CardText(
            task="Tone detection",
            tags=("tones",),
            usage=lambda about, name, code: f"## Use\\n\\n`load({name!r})(440)` gives {about['heard']}.",
            conditions=lambda about: "Measured by ear.",
        )

PACKING = TonePacking()
""",
}
FEATURES = {"_target_": "espnet3.components.data.features.LogMel", "sample_rate": 8000, "n_mels": 20}
TRAINING = {
    "exp_dir": "exp",
    "features": FEATURES,
    "model": {"_target_": "espnet3.systems.tone.model.Tone", "table": "names.txt"},
}
PUBLICATION = {"exp_tag": "tones", "inference_dir": "exp/test", "pack_model": {"pack_dir": "pack", "tags": ["mine"]}}


@pytest.fixture
def tone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[BaseSystem]]:
    """The System of a task that is installed as long as the test runs; its experiment is in the working directory."""
    for name, text in SOURCES.items():
        write(tmp_path / "systems/tone" / name, text)
    monkeypatch.setattr(espnet3.systems, "__path__", [*espnet3.systems.__path__, str(tmp_path / "systems")])
    monkeypatch.chdir(tmp_path)
    write(Path("exp/config.yaml"), yaml.safe_dump(TRAINING))
    write(Path("exp/test/metrics.json"), json.dumps({"test": {"accuracy": 93.5}}))
    write(Path("names.txt"), "440 a\n494 b\n")
    save_file({"offset": np.zeros(1, np.float32)}, Path("exp/averaged.safetensors"))
    yield importlib.import_module("espnet3.systems.tone.system").ToneSystem
    for name in [name for name in sys.modules if name.startswith("espnet3.systems.tone")]:
        del sys.modules[name]
    vars(espnet3.systems).pop("tone", None)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def packed(system: type[BaseSystem]) -> Path:
    system(training_config=TRAINING, publication_config=PUBLICATION).pack_model()
    return Path("pack")


def test_its_pack_is_made_and_loaded_as_what_the_task_makes_of_it(tone: type[BaseSystem]) -> None:
    pack = packed(tone)
    meta = json.loads((pack / "meta.json").read_text())
    assert meta["task"] == "tone-detection"
    assert meta["system"] == "espnet3.systems.tone.system.ToneSystem"
    assert (meta["sample_rate"], meta["parameters"], meta["heard"]) == (8000, 1, "a")
    assert yaml.safe_load((pack / "inference.yaml").read_text())["model"]["table"] == "model/names.txt"
    assert espnet3.load(pack)(494) == "b"


def test_its_card_says_what_the_task_says(tone: type[BaseSystem]) -> None:
    card = (packed(tone) / "README.md").read_text()
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["pipeline_tag"] == "tone-detection"
    assert header["tags"] == ["espnet3", "tones", "mine"]
    assert header["model-index"][0]["results"][0]["task"]["name"] == "Tone detection"
    assert "Measured by ear.\n\n| test set |" in card
    assert "| test |  | accuracy | 93.50 |  |" in card
    assert "`load('path/to/this/folder')(440)` gives a." in card
    assert not re.search("speech|decoder|WER", card)


def test_the_task_is_found_by_what_the_configs_name_where_no_system_is_given(tone: type[BaseSystem]) -> None:
    pack_model(OmegaConf.create(TRAINING), OmegaConf.create(PUBLICATION))
    assert json.loads(Path("pack/meta.json").read_text())["task"] == "tone-detection"


def test_a_system_of_the_recipe_is_of_the_task_of_the_class_that_it_is_made_of(tone: type[BaseSystem]) -> None:
    own = type("Own", (tone,), {"__module__": "src.system"})
    assert json.loads((packed(own) / "meta.json").read_text())["system"] == "src.system.Own"


def test_packs_of_the_other_task_are_read_beside_it(trained: tuple[Path, ASRSystem], tone: type[BaseSystem]) -> None:
    assert type(espnet3.load(trained[0] / "exp/pack", device="cpu")).__name__ == "SpeechToText"


def edited(name: str, **values: Any) -> Callable[[Path], None]:
    """Other values at dotted places of a file of the pack, with sums that fit."""

    def edit(pack: Path) -> None:
        content = yaml.safe_load((pack / name).read_text())
        for place, value in values.items():
            *parents, last = place.split("__")
            node = content
            for parent in parents:
                node = node[parent]
            node[last] = value
        (pack / name).write_text(json.dumps(content))
        write_sums(pack)

    return edit


GREEDY = "espnet3.systems.asr.decoding.greedy.GreedyDecoder"
REFUSED = [
    pytest.param(
        edited("inference.yaml", model___target_=GREEDY),
        {},
        DataError,
        r"model\._target_ is '.*GreedyDecoder', which a pack may not build; .*: LogMel, Tone\.",
        id="a class of another task",
    ),
    pytest.param(
        edited("inference.yaml", model__table="names.txt"), {}, DataError, "is not a file of the pack", id="a file"
    ),
    pytest.param(edited("meta.json", task="automatic-speech-recognition"), {}, DataError, "tokenizer", id="its task"),
    pytest.param(lambda pack: None, {"backend": "onnx"}, ConfigError, "'onnx' is none of auto, torch", id="a backend"),
]


@pytest.mark.parametrize(("damage", "arguments", "kind", "message"), REFUSED)
def test_what_the_task_does_not_allow_is_refused(
    tone: type[BaseSystem],
    damage: Callable[[Path], None],
    arguments: dict[str, str],
    kind: type[Espnet3Error],
    message: str,
) -> None:
    pack = packed(tone)
    damage(pack)
    with pytest.raises(kind, match=message):
        espnet3.load(pack, **arguments)  # type: ignore[arg-type]


def test_where_the_task_is_not_installed_its_pack_is_refused(
    tone: type[BaseSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = packed(tone).absolute()
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"task is 'tone-detection', .* reads packs of automatic-speech-recognition\."):
        espnet3.load(pack)


def test_an_experiment_of_no_task_is_refused(tone: type[BaseSystem]) -> None:
    write(Path("exp/config.yaml"), yaml.safe_dump({**TRAINING, "model": {"_target_": "src.model.Own"}}))
    with pytest.raises(
        ConfigError, match=r"BaseSystem is of no task that packs its models, as asr, tone of .* override"
    ):
        packed(BaseSystem)
    assert not Path("pack").exists()
