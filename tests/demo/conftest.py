"""A model that was trained for an instant on notes and likes to talk, packed with its ONNX copy, and the demo of it."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.hub.fixtures import alone, hub
from tests.systems.base.training.conftest import base_config, write_split

__all__ = ["alone", "hub"]


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A trained and packed model: the publication config, whose folders are beside the corpus."""
    from espnet3.components.data.tokenizer import CharTokenizer
    from espnet3.systems.base.training import train
    from espnet3.utils.publish_utils import pack_model

    corpus = tmp_path_factory.mktemp("notes")
    (corpus / "dataset").mkdir()
    (corpus / "dataset/__init__.py").write_text(
        "from espnet3.components.data.dataset import ManifestDataset as Dataset\n\n__all__ = ['Dataset']\n"
    )
    for split, count in (("train", 24), ("valid", 6), ("test", 4)):
        write_split(corpus, split, count)
    CharTokenizer(str(corpus / "characters.json")).train(["abcd"])
    training = base_config(corpus, corpus / "exp")
    training["trainer"]["max_epochs"] = 1
    training["dataset"]["test"] = [{"name": "test", "data_src_args": {"manifest": str(corpus / "test.jsonl")}}]
    train(OmegaConf.create(training))
    prefer_symbols(corpus / "exp/averaged.safetensors")
    publication = {
        "exp_dir": str(corpus / "exp"),
        "recipe_dir": str(corpus),
        "model": {
            "_target_": "espnet3.systems.asr.inference.Recogniser",
            "exp_dir": str(corpus / "exp"),
            "decoder": {"_target_": "espnet3.systems.asr.decoding.greedy.GreedyDecoder"},
        },
        "pack_model": {"pack_dir": str(corpus / "model_pack"), "title": "Notes", "onnx": {"export": True}},
        "pack_demo": {
            "pack_dir": str(corpus / "demo_pack"),
            "title": "Name the notes",
            "description": "Play three notes.",
            "examples": ["test-000.wav", "test-001.wav"],
            "max_seconds": 5,
        },
    }
    pack_model(OmegaConf.create(training), OmegaConf.create(publication))
    return publication


def prefer_symbols(weights: Path) -> None:
    """Make a model that knows nothing yet write something, rather than blanks."""
    from safetensors.torch import load_file, save_file

    values = load_file(weights)
    name = next(name for name in values if name.endswith("ctc.linear.bias"))
    values[name][0] -= 5
    save_file(values, weights)


@pytest.fixture(scope="session")
def demo(notes: dict[str, Any]) -> Path:
    """The packed demo."""
    from espnet3.demo.pack import pack_demo

    pack_demo(OmegaConf.create(notes))
    return Path(notes["pack_demo"]["pack_dir"])
