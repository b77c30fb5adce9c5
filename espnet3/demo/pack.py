"""pack_demo and upload_demo: a folder that is a whole demo, and its way to a Space. `BaseSystem` calls them.

The folder holds the app's entry, its pinned requirements, the packed model, examples, a card, and this package itself:
it runs in the demo image, in a Space, and wherever its requirements are installed. The same pack gives the same bytes.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

import espnet3
from espnet3.demo.card import DESCRIPTION, card
from espnet3.demo.settings import (
    EXAMPLES,
    MODEL,
    REQUIREMENTS,
    SETTINGS,
    DemoSettings,
    best_backend,
    read_settings,
)
from espnet3.errors import ConfigError, DataError
from espnet3.packs.meta import CARD
from espnet3.packs.pack import Pack, read_pack, refuse_foreign
from espnet3.publishing.privacy import refuse_private
from espnet3.runtime.files import remove_leftovers, replacing_dir
from espnet3.runtime.leases import lease
from espnet3.systems.asr.onnx_files import BACKENDS
from espnet3.systems.base.config import PublicationConfig, read_config
from espnet3.systems.base.publication_config import PackDemo

log = logging.getLogger(__name__)

SLOT = "publication_config"
PACKAGE = Path(espnet3.__file__).parent
_OF_PACKAGE = (".py", ".html", "py.typed", REQUIREMENTS)
"""Endings and names of what the package consists of."""
APP = '''"""The entry of a Space: serves this folder. Takes --host and --port."""

import sys
from pathlib import Path

from espnet3.demo.app import main

sys.exit(main([str(Path(__file__).parent), "--host", "0.0.0.0", *sys.argv[1:]]))
'''


def pack_demo(publication_config: DictConfig) -> None:
    """Write a demo of what pack_model made to `pack_demo.pack_dir`; it takes an earlier one's place whole.

    Raises:
        ConfigError: pack_demo is not set, its folder holds something else, the pack has no ONNX model, or the demo
            would hold what is private.
        DataError: there is no pack, it is damaged, or an example is missing.
    """
    settings = read_config(PublicationConfig, publication_config, SLOT)
    asked = _asked(settings)
    pack = read_pack(Path(settings.pack_model.pack_dir), builds_model=False)
    backend = best_backend(pack.dir)
    if backend is None:
        raise ConfigError(
            f"{pack.dir} has no {' or '.join(BACKENDS.values())}, and a demo runs without torch. Set "
            f"{SLOT}.pack_model.onnx.export to true and run pack_model again."
        )
    folder = Path(asked.pack_dir)
    refuse_foreign(folder, SETTINGS, "demo", f"{SLOT}.pack_demo.pack_dir")
    examples = _examples(asked, Path(settings.recipe_dir))
    shown = DemoSettings(
        title=asked.title or pack.meta.title,
        description=asked.description or DESCRIPTION,
        max_seconds=asked.max_seconds,
        examples=[f"{EXAMPLES}/{name}" for name in examples],
        backend=backend,
    )
    about = card(asked, pack.meta, _pinned("gradio"), settings.upload_model.repo)
    with lease(folder):
        remove_leftovers(folder.parent, nested=False, name=folder.name)
        with replacing_dir(folder) as demo:
            _write(demo, shown, pack, examples)
            (demo / CARD).write_text(about, encoding="utf-8")
            refuse_private(demo, leave_out=PACKAGE.name)
    log.info("%s: %s, %d examples. Try it: python -m espnet3.demo.app %s", folder, backend, len(examples), folder)


def upload_demo(publication_config: DictConfig) -> None:
    """Upload what pack_demo made to its Space on a Hub; see `publication_config.upload_demo`.

    Raises:
        ConfigError: there is no token, the Hub refuses it or the Space, or the folder holds what pack_demo did not
            write, or what is private.
        DataError: there is no packed demo, or it is damaged.
        TryAgain: the Hub cannot be reached, is overloaded, or somebody else changed the Space.
    """
    from espnet3.publishing.difference import local_files, refuse_strays
    from espnet3.publishing.upload import upload

    settings = read_config(PublicationConfig, publication_config, SLOT)
    folder = Path(_asked(settings).pack_dir)
    if not (folder / SETTINGS).is_file():
        raise DataError(f"{folder} holds no packed demo. Run pack_demo first.")
    members = _members(folder)
    # Trying the demo with its own app.py leaves bytecode, which is not a fault and goes nowhere.
    present = [name for name in local_files(folder) if "__pycache__" not in name.split("/")]
    refuse_strays(present, members, str(folder), "pack_demo")
    if settings.upload_demo.repo is not None:
        refuse_private(folder, leave_out=PACKAGE.name, members=members)
    upload(folder, settings.upload_demo, "space", f"{SLOT}.upload_demo", members)


def _members(folder: Path) -> set[str]:
    """Names of all that pack_demo writes."""
    model = {f"{MODEL}/{name}" for name in read_pack(folder / MODEL, builds_model=False).members}
    package = {f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}" for path in _package_files()}
    return {SETTINGS, "app.py", CARD, REQUIREMENTS, *read_settings(folder).examples, *model, *package}


def _asked(settings: PublicationConfig) -> PackDemo:
    if settings.pack_demo is None:
        raise ConfigError(
            f"{SLOT}.pack_demo is not set: give it a pack_dir, where the demo is written, or leave the stage out of "
            "--stages."
        )
    return settings.pack_demo


def _examples(asked: PackDemo, recipe_dir: Path) -> dict[str, Path]:
    """The examples by the names that they get, which do not collide."""
    found: dict[str, Path] = {}
    for given in asked.examples:
        path = next((each for each in (Path(given), recipe_dir / given) if each.is_file()), None)
        if path is None:
            raise DataError(f"{SLOT}.pack_demo.examples: there is no file {given}, here or in {recipe_dir}.")
        if path.name in found:
            raise ConfigError(f"{SLOT}.pack_demo.examples: two files are called {path.name}. Rename one.")
        found[path.name] = path
    return found


def _write(demo: Path, shown: DemoSettings, pack: Pack, examples: dict[str, Path]) -> None:
    text = json.dumps(shown.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    (demo / SETTINGS).write_text(text, encoding="utf-8")
    (demo / "app.py").write_text(APP, encoding="utf-8")
    shutil.copyfile(PACKAGE / "demo" / REQUIREMENTS, demo / REQUIREMENTS)
    for name in pack.members:
        _copy(pack.dir / name, demo / MODEL / name)
    for name, path in examples.items():
        _copy(path, demo / EXAMPLES / name)
    for path in _package_files():
        _copy(path, demo / "espnet3" / path.relative_to(PACKAGE))


def _package_files() -> Iterator[Path]:
    """What the package consists of: a developer's tree holds more, such as an editor's copies and notebooks."""
    for path in sorted(PACKAGE.rglob("*")):
        hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(PACKAGE).parts)
        if path.is_file() and not hidden and (path.suffix in _OF_PACKAGE or path.name in _OF_PACKAGE):
            yield path


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _pinned(package: str) -> str:
    """The version of a package in the demo's requirements."""
    lines = (PACKAGE / "demo" / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith(f"{package}=="))
