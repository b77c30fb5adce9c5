"""Packing a recipe whose model is its own: the code goes along, and nothing that only this machine has."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import espnet3
from espnet3.components.data.scp import read_scp
from espnet3.errors import ConfigError, DataError
from espnet3.packs.meta import write_sums
from espnet3.recipe.recipe import activated
from espnet3.systems.asr.system import ASRSystem
from tests.packs.experiment import BILSTM, make_experiment, tree, with_pack

PACK = Path("exp/pack")
SOURCES = {
    "src/__init__.py": "",
    "src/model.py": "from src.parts.base import Base\n\n\nclass Own(Base):\n    pass\n",
    "src/parts/base.py": "from espnet3.systems.asr.models.bilstm import BiLSTMCTC as Base\n\n__all__ = ['Base']\n",
}
CODE = ["src/model.py", "src/parts/base.py"]


@pytest.fixture(scope="session")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ASRSystem]:
    """The folder of a measured experiment of a recipe with its own model, and its System."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with activated(folder):
        return folder, make_experiment(folder, {**BILSTM, "_target_": "src.model.Own"})


@pytest.fixture
def own(
    own_model: tuple[Path, ASRSystem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, ASRSystem]]:
    """A copy of it as the active recipe, on a machine that keeps bytecode, as most do."""
    folder, system = own_model
    shutil.copytree(folder, tmp_path / "work", copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    with activated(tmp_path / "work"):
        yield tmp_path / "work", system


def test_the_recipes_own_model_is_packed_without_traces_of_this_machine(own: tuple[Path, ASRSystem]) -> None:
    system = with_pack(own[1], code=CODE, onnx={"export": True, "int8": True})
    system.pack_model()
    before = tree(PACK)
    system.pack_model()
    assert tree(PACK) == before
    assert sorted(name for name in before if name.startswith("src/")) == sorted(SOURCES)
    assert not sys.dont_write_bytecode


def test_a_stranger_loads_it_where_the_code_is_trusted(own: tuple[Path, ASRSystem], tmp_path: Path) -> None:
    with_pack(own[1], code=CODE).pack_model()
    shutil.copytree(PACK, tmp_path / "pack")
    with activated(tmp_path):
        with pytest.raises(DataError, match="trust_code=True"):
            espnet3.load(tmp_path / "pack")
        model = espnet3.load(tmp_path / "pack", device="cpu", trust_code=True)
    assert [model(f"data/a{number}.wav") for number in range(3)] == [
        *read_scp(Path("exp/greedy/test/hyp.scp")).values()
    ]


def test_its_onnx_copies_need_no_code(own: tuple[Path, ASRSystem], tmp_path: Path) -> None:
    system = with_pack(own[1], code=CODE, onnx={"export": True})
    system.publication_config.pack_demo = {"pack_dir": "exp/demo"}
    system.pack_model()
    system.pack_demo()
    shutil.copytree("exp/demo/model", tmp_path / "pack")
    with activated(tmp_path):
        model = espnet3.load(tmp_path / "pack", backend="onnx")
    assert [model(f"data/a{number}.wav") for number in range(3)] == [
        *read_scp(Path("exp/greedy/test/hyp.scp")).values()
    ]


def test_code_of_other_parts_is_needed_by_onnx_too(own: tuple[Path, ASRSystem]) -> None:
    with_pack(own[1], code=CODE, onnx={"export": True}).pack_model()
    config = (PACK / "inference.yaml").read_text()
    target = "espnet3.systems.asr.preprocessor.SpeechTextPreprocessor"
    assert target in config
    (PACK / "inference.yaml").write_text(config.replace(target, "src.model.Own"))
    write_sums(PACK)
    with pytest.raises(DataError, match=r"preprocessor\._target_ is 'src\.model\.Own', which a pack may not build"):
        espnet3.load(PACK, backend="onnx")


LEFT_BEHIND = [
    pytest.param({}, "training_config.model._target_ is src.model.Own.*Add src/model.py", id="none"),
    pytest.param({"code": ["src/parts/base.py"]}, "Add src/model.py.*base.py", id="another file alone"),
]


@pytest.mark.parametrize(("settings", "message"), LEFT_BEHIND)
def test_a_pack_without_the_code_that_it_needs_is_refused(
    own: tuple[Path, ASRSystem], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        with_pack(own[1], **settings).pack_model()
    assert not tree(PACK)


PLACES = [
    pytest.param("publication_config.model.decoder", "src.decoder.Own", "src/decoder.py", id="decoder"),
    pytest.param("publication_config.model.decoder.lms.0", "src.lm.Lm", "src/lm.py", id="in a list"),
    pytest.param("publication_config.model", "src.parts.Recogniser", "src/parts/__init__.py", id="package"),
    pytest.param("publication_config.model", "src.parts.base.Base.made", "src/parts/base.py", id="method"),
]


@pytest.mark.parametrize(("key", "target", "file"), PLACES)
def test_code_that_is_left_behind_is_named_wherever_the_config_has_it(
    own: tuple[Path, ASRSystem], key: str, target: str, file: str
) -> None:
    Path(file).touch()
    system = with_pack(own[1], code=["src/model.py"])
    node: Any = {"_target_": target}
    if key.endswith(".0"):
        key, node = key.removesuffix(".0"), [node]
    OmegaConf.update(system.publication_config, key.removeprefix("publication_config."), node, force_add=True)
    with pytest.raises(ConfigError, match=rf"{key}[.\d]*\._target_ is {target}.*Add {file}"):
        system.pack_model()


def test_a_target_that_the_recipe_does_not_have_is_named(own: tuple[Path, ASRSystem]) -> None:
    Path("src/__init__.py").unlink()
    system = with_pack(own[1], code=CODE)
    system.publication_config.model.decoder = {"_target_": "src.nothing.Own"}
    with pytest.raises(ConfigError, match=r"model\.decoder\._target_ is src\.nothing\.Own, but .* has no such module"):
        system.pack_model()


def test_bytecode_is_kept_again_after_a_pack_that_fails(own: tuple[Path, ASRSystem]) -> None:
    with pytest.raises(ConfigError, match=r"pack_model\.code lacks src\.parts"):
        with_pack(own[1], code=["src/model.py"]).pack_model()
    assert not sys.dont_write_bytecode
