"""What a trained model reads beside its weights, kept with it: the tokenizer's file, the lexicon.

train copies these files into `exp_dir/files/<part>/` and names the copies in the config that it leaves. So infer and
pack_model read what the model was trained with, whatever another experiment makes of the originals. Folders, and what
only training reads, stay where they are.
"""

import inspect
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from espnet3.components.training.record import KEPT
from espnet3.config.instantiate import prepare
from espnet3.config.slots import replace_texts, texts_in
from espnet3.errors import DataError
from espnet3.runtime.files import remove, replacing_dir

OF_TRAINING = ("augment", "feature_augment")
"""Parts of a preprocessor that nothing but training uses."""


def preprocessor_parts(config: Mapping[str, Any]) -> list[str]:
    """The keys of a training config that its preprocessor is built from, without augmentation."""
    node = config["preprocessor"]
    wanted = inspect.signature(prepare(node, "training_config.preprocessor")).parameters
    return [name for name in wanted if name not in node and name not in OF_TRAINING and config.get(name)]


def keep_files(config: Mapping[str, Any], exp_dir: Path) -> dict[str, Any]:
    """Copy the files that the preprocessor reads into `exp_dir`; `config` with the copies in their place."""
    parts = {name: config[name] for name in (*preprocessor_parts(config), "preprocessor")}
    targets = {name: _targets(node, Path(name)) for name, node in parts.items()}
    home = exp_dir / KEPT
    if not any(targets.values()):
        remove(home)
        return dict(config)
    with replacing_dir(home) as folder:
        for source, target in (pair for each in targets.values() for pair in each.items()):
            (folder / target).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / target)
    named = {name: {source: str(home / target) for source, target in each.items()} for name, each in targets.items()}
    return {**config, **{name: _renamed(node, named[name]) for name, node in parts.items()}}


def load_training_config(exp_dir: Path) -> dict[str, Any]:
    """The config that train wrote, with the files that train kept for the model.

    Raises:
        DataError: there is none: nothing was trained there; or a file that the model was trained with is gone.
    """
    path = exp_dir / "config.yaml"
    if not path.is_file():
        raise DataError(
            f"{path} does not exist: there is no trained model in {exp_dir}. Run train, or correct exp_dir."
        )
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(config, dict)
    return locate_files({str(key): value for key, value in config.items()}, exp_dir)


def locate_files(config: Mapping[str, Any], exp_dir: Path) -> dict[str, Any]:
    """A config read from `exp_dir`, which may have been moved since, with its kept files named where they are.

    Raises:
        DataError: one of them is gone.
    """
    home = Path(str(config.get("exp_dir") or exp_dir)) / KEPT

    def located(text: str) -> str:
        if not Path(text).is_relative_to(home):
            return text
        path = exp_dir / KEPT / Path(text).relative_to(home)
        if not path.exists():
            raise DataError(
                f"{path} is missing: it is what the model in {exp_dir} was trained with. Put it back, or train again "
                "with --force."
            )
        return str(path)

    return {key: replace_texts(node, located) for key, node in config.items()}


def _targets(node: Any, folder: Path) -> dict[str, Path]:
    """For each text in `node` that names a file, where in the folder of kept files its copy goes."""
    targets: dict[str, Path] = {}
    for text in texts_in(node):
        if text not in targets and _is_file(text):
            target = folder / Path(text).name
            targets[text] = folder / f"{len(targets)}-{target.name}" if target in targets.values() else target
    return targets


def _is_file(text: str) -> bool:
    # A word such as `bpe` is a setting, even where a file of that name lies about.
    if not re.search(r"[./]", text):
        return False
    try:
        return Path(text).is_file()
    except OSError:  # too long for a path
        return False


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    return replace_texts(node, lambda text: names.get(text, text))
