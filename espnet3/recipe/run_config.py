"""The run config: all that one run is, in one YAML file that is written once.

`cli` prints it (`run.py --print_config`), the workflow generator puts it on the cluster's volume, and each stage
container loads it. It holds the System, the stages, every slot resolved, and the recipe's own code, which always comes
from here. For checking the slots, see `checks`; for names of files, `files`.

    schema_version: 1
    system: espnet3.systems.asr.system.ASRSystem
    stages: [create_dataset, ...]
    slots: {training_config: {...}, ...}
    recipe: {name: digits/asr, files: {run.py: {sha256: ..., text: ...}, ...}}
"""

import base64
import errno
import hashlib
import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from omegaconf import DictConfig
from pydantic import AfterValidator, BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

from espnet3.config.findings import describe
from espnet3.config.slots import as_plain, frozen_copy
from espnet3.errors import ConfigError
from espnet3.recipe.files import check_travelling_path
from espnet3.recipe.recipe import Recipe
from espnet3.runtime.files import write_bytes
from espnet3.runtime.temporaries import temporary_path
from espnet3.runtime.versions import system_name
from espnet3.runtime.yaml_style import style_of

SCHEMA_VERSION = 1
"""Raised with every added key, which gets a default, so that older run configs load; newer ones are refused."""
LARGEST = 128 * 1024
"""Bytes of a run config, compressed and in base64: a workflow object, which is about 1 MB at most, carries copies."""


_LARGEST_TEXT = 128 * LARGEST
"""Bytes of YAML that a compressed run config may hold: more is not a run config but an attack on memory."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RecipeFile(_Strict):
    """One text file and the hash of its UTF-8 bytes."""

    sha256: str
    text: str

    @model_validator(mode="after")
    def _undamaged(self) -> "RecipeFile":
        if hashlib.sha256(self.text.encode()).hexdigest() != self.sha256:
            raise ValueError("the text does not have the sha256 written beside it; it was changed or damaged")
        return self


class RunRecipe(_Strict):
    """The recipe's name and its own code by relative POSIX path."""

    name: str
    files: dict[Annotated[str, AfterValidator(check_travelling_path)], RecipeFile]

    @model_validator(mode="after")
    def _runnable(self) -> "RunRecipe":
        if "run.py" not in self.files:
            raise ValueError("there is no run.py among the files")
        return self


class RunConfig(_Strict):
    """Immutable and self-contained; equal run configs have equal YAML."""

    schema_version: PositiveInt = SCHEMA_VERSION
    system: str
    """Dotted name of the System class; `run.<name>` for one that run.py itself defines."""
    stages: list[str]
    slots: dict[str, dict[str, Any]]
    recipe: RunRecipe

    def config(self, slot: str) -> DictConfig | None:
        """A fresh copy of a slot's resolved config; None where the run has none."""
        return frozen_copy(self.slots[slot]) if slot in self.slots else None

    def to_yaml(self) -> str:
        """The file's text: the same for the same run, with the code readable as it stands."""
        return yaml.dump(self.model_dump(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)

    def to_compressed(self) -> str:
        """The same in ASCII without spaces or braces, so that nothing on its way takes a part of it for its own."""
        return base64.b64encode(zlib.compress(self.to_yaml().encode(), 9)).decode("ascii")

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name this run."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()[:12]

    @classmethod
    def load(cls, path: Path | str) -> "RunConfig":
        """Read what `to_yaml` or `to_compressed` wrote, now or in an earlier version.

        Raises:
            ConfigError: the file is missing, malformed, of a newer version, or damaged; names the key or the file.
        """
        content = _read(Path(path))
        version = content.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ConfigError(
                f"{path} has schema_version {version}, this espnet3 reads up to {SCHEMA_VERSION}: a newer one wrote "
                "it. Use an image or an installation at least as new as the one that wrote it."
            )
        try:
            return cls.model_validate({"schema_version": None} | content)
        except ValidationError as error:
            findings = "\n  ".join(describe(finding, "run config") for finding in _short(error))
            raise ConfigError(f"{path} is not a valid run config:\n  {findings}\nWrite it again with run.py.") from None

    def unpack(self, directory: Path | str) -> Path:
        """Write the recipe's files into a new or empty folder; one that holds just these files stays as it is.

        Several processes may unpack into the same folder at a time.

        Raises:
            ConfigError: the folder holds something else.
        """
        directory = Path(directory)
        contents = {name: file.text.encode() for name, file in self.recipe.files.items()}
        if not _contents(directory):
            _place(contents, directory)
        if _contents(directory) != contents:
            raise ConfigError(f"{directory} holds other files than this run's recipe; give a new or empty folder.")
        return directory


def build_run_config(
    recipe: Recipe, stages: Sequence[str], slots: Mapping[str, DictConfig], files: Mapping[str, str]
) -> RunConfig:
    """The run config of a recipe.

    Args:
        recipe: the recipe.
        stages: those that the run is to have, in order.
        slots: the configs, resolved.
        files: all code that travels, by relative path.

    Raises:
        ConfigError: the whole is too large to travel.
    """
    run_config = RunConfig(
        system=system_name(recipe.system_cls),
        stages=list(stages),
        slots={slot: as_plain(config) for slot, config in slots.items()},
        recipe=RunRecipe(name=recipe.name, files={name: _file(text) for name, text in sorted(files.items())}),
    )
    _check_size(run_config)
    return run_config


def _file(text: str) -> RecipeFile:
    return RecipeFile(sha256=hashlib.sha256(text.encode()).hexdigest(), text=text)


def _check_size(run_config: RunConfig) -> None:
    size = len(run_config.to_compressed())
    if size > LARGEST:
        files = run_config.recipe.files
        largest = sorted(files, key=lambda name: -len(files[name].text))[:3]
        raise ConfigError(
            f"The run config has {size} bytes compressed, and {LARGEST} may travel. Move data out of src/ and dataset/ "
            f"(largest files: {', '.join(largest)}) or shorten the configs."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(_expanded(path.read_bytes(), path), Loader=_Loader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise ConfigError(f"The run config {path} cannot be read: {error.strerror}. Write one with run.py.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path} is malformed YAML: {error}. Write it again with run.py.") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path} is not a run config: it holds no mapping of names. Write one with run.py.")
    return content


def _expanded(content: bytes, path: Path) -> bytes:
    """YAML from either form; a mapping in YAML needs a colon, which base64 has not."""
    if not content.strip() or not re.fullmatch(rb"[A-Za-z0-9+/=\s]+", content):
        return content
    decompress = zlib.decompressobj()
    try:
        text = decompress.decompress(base64.b64decode(content), _LARGEST_TEXT)
    except (zlib.error, ValueError):
        text = b""
    if not decompress.eof:
        raise ConfigError(f"{path} is a compressed run config that was damaged or cut off. Write it again with run.py.")
    return text


def _short(error: ValidationError) -> list[dict[str, Any]]:
    """The findings without whole files in them."""
    return [dict(finding) | {"input": _shown(finding["input"])} for finding in error.errors()]


def _shown(value: Any) -> Any:
    return value if len(repr(value)) <= 60 else f"{repr(value)[:56]} …"


def _place(contents: Mapping[str, bytes], directory: Path) -> None:
    """Write the files beside, then rename: that fails where another process has filled the folder, and does no harm.

    Not by `replacing_dir`, which would take the folder away from under that process.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(directory)
    try:
        for name, content in contents.items():
            write_bytes(temporary / name, content)
        temporary.rename(directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; in quotes what a YAML reader could take for something else; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = style_of(text)
    block = "\n" in text and style != '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else style)


_Dumper.add_representer(str, _represent)
