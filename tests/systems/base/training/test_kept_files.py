"""A trained model reads what it was trained with, whatever becomes of the originals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from espnet3.components.data.tokenizer import CharTokenizer
from espnet3.errors import DataError
from espnet3.systems.asr.decoding.greedy import GreedyDecoder
from espnet3.systems.asr.inference import Recogniser
from espnet3.systems.asr.parts import build_preprocessor
from espnet3.systems.base.kept_files import keep_files, load_training_config, locate_files
from espnet3.systems.base.training import train

Config = dict[str, Any]
MakeConfig = Callable[..., Config]
PREPROCESSOR = {"_target_": "espnet3.systems.asr.preprocessor.SpeechTextPreprocessor"}
LEXICON = "espnet3.components.data.lexicon.LexiconTokenizer"


@pytest.fixture
def shared(make_config: MakeConfig, tmp_path: Path) -> Config:
    """A training whose tokenizer and lexicon other experiments overwrite."""
    CharTokenizer(str(tmp_path / "characters.json")).train(["abcd"])
    (tmp_path / "words.dic").write_text("ab AA B\n")
    return make_config(
        trainer__max_epochs=1,
        tokenizer__path=str(tmp_path / "characters.json"),
        auxiliary_tokenizer={"_target_": LEXICON, "path": str(tmp_path / "words.dic")},
        model={
            "_target_": "espnet3.systems.asr.models.bilstm.BiLSTMCTC",
            "hidden_size": 12,
            "num_layers": 2,
            "stack_after": 1,
            "auxiliary_layer": 1,
            "channels": [4, 4, 4],
            "normalize": "utterance",
        },
    )


def overwrite(folder: Path) -> None:
    """What another experiment does to the files that both name."""
    CharTokenizer(str(folder / "characters.json")).train(["dcxy"])
    (folder / "words.dic").write_text("xy X YY Z\n")


def symbols(exp_dir: Path) -> list[list[str]]:
    preprocessor = build_preprocessor(load_training_config(exp_dir))
    return [preprocessor.tokenizer.symbols, preprocessor.auxiliary_tokenizer.symbols]


def test_another_experiments_tokenizer_does_not_reach_a_trained_model(shared: Config, tmp_path: Path) -> None:
    train(shared)
    before = symbols(tmp_path / "exp")
    overwrite(tmp_path)
    assert symbols(tmp_path / "exp") == before
    recogniser = Recogniser(str(tmp_path / "exp"), GreedyDecoder(), device="cpu")
    assert recogniser.preprocessor.tokenizer.symbols[2:-1] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("place", ["elsewhere", "exp/checkpoints.1"], ids=["moved", "set aside"])
def test_the_files_go_with_the_training(shared: Config, tmp_path: Path, place: str) -> None:
    train(shared)
    before = symbols(tmp_path / "exp")
    if place == "elsewhere":
        (tmp_path / "exp").rename(tmp_path / place)
    overwrite(tmp_path)
    if place != "elsewhere":
        CharTokenizer(str(tmp_path / "characters.json")).train(["abcd "])
        train(shared)
        assert symbols(tmp_path / "exp") != before
    assert symbols(tmp_path / place) == before


def test_a_kept_file_that_is_gone_is_named(shared: Config, tmp_path: Path) -> None:
    train(shared)
    (tmp_path / "exp/files/tokenizer/characters.json").unlink()
    with pytest.raises(DataError, match=r"exp/files/tokenizer/characters\.json is missing.*trained with.*--force"):
        load_training_config(tmp_path / "exp")


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        pytest.param({"path": "data/a.json"}, {"path": "exp/files/tokenizer/a.json"}, id="a path stays relative"),
        pytest.param({"path": "data/none.json"}, {"path": "data/none.json"}, id="no file"),
        pytest.param({"kind": "bpe"}, {"kind": "bpe"}, id="a word that is a file's name, too"),
        pytest.param({"path": "data"}, {"path": "data"}, id="a folder"),
        pytest.param(
            {"paths": ["data/a.json", "other/a.json"]},
            {"paths": ["exp/files/tokenizer/a.json", "exp/files/tokenizer/1-a.json"]},
            id="two files of one name",
        ),
    ],
)
def test_files_are_copied_and_nothing_else(
    part: Config, kept: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/a.json", "other/a.json", "bpe"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name)
    config = {"exp_dir": "exp", "features": {}, "tokenizer": part, "preprocessor": PREPROCESSOR, "own": "data/a.json"}
    assert keep_files(config, Path("exp")) == {**config, "tokenizer": kept}
    assert locate_files({**config, "tokenizer": kept}, Path("exp"))["tokenizer"] == kept
    contents = {path.read_text() for path in Path("exp").rglob("*.json")}
    assert contents == {text for text in _flat(part) if Path(text).is_file() and "/" in text}


def _flat(node: Any) -> list[str]:
    return [node] if isinstance(node, str) else [text for child in _children(node) for text in _flat(child)]


def _children(node: Any) -> list[Any]:
    return list(node.values()) if isinstance(node, dict) else list(node)
