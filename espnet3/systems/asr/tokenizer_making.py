"""Making the tokenizer where no train_tokenizer stage has: the first thing that ASRSystem's train does.

A note beside the tokenizer's file says what it was made from, so that train makes it anew when its settings or the
transcripts have changed. A file that somebody else made, the stage or a user, has no such note and is left alone.
"""

import json
import logging
from pathlib import Path

from omegaconf import DictConfig

from espnet3.components.data.tokenizer import TokenizerConfig, train_tokenizer
from espnet3.config.sections import read_config
from espnet3.pipeline.fingerprint import config_inputs
from espnet3.runtime.files import sha256, write_text

log = logging.getLogger(__name__)

_UNFINISHED = "not finished"


def make_missing_tokenizer(config: DictConfig) -> None:
    """Make the file that `training_config.tokenizer.path` names, unless it is there and up to date.

    Raises:
        ConfigError: the tokenizer's options do not fit the transcripts.
        DataError: there is no text, or a manifest is missing.
    """
    settings = read_config(TokenizerConfig, config, "training_config")
    given = settings.tokenizer.get("path")
    if not isinstance(given, str) or not given:
        return
    path = Path(given)
    if path.exists() and not _is_own(path):
        return
    source = _source(settings)
    if path.exists() and _read_note(path) == {"made": sha256(path), "of": source}:
        return
    log.info("There is no up-to-date tokenizer %s: making it from the training transcripts.", path)
    _write_note(path, _UNFINISHED, source)
    train_tokenizer(config)
    _write_note(path, sha256(path), source)


def _source(settings: TokenizerConfig) -> str:
    """A hash of what the tokenizer is made from: its settings and the transcripts, by the manifests' contents."""
    references = [reference.model_dump() for reference in settings.dataset.train]
    return config_inputs(
        {"tokenizer": settings.tokenizer, "train": references}, without=("tokenizer.path",)
    ).fingerprint


def _is_own(path: Path) -> bool:
    """Whether the file is what train made of it, or began to make."""
    note = _read_note(path)
    return note is not None and note["made"] in (_UNFINISHED, sha256(path))


def _write_note(path: Path, made: str, source: str) -> None:
    write_text(_note(path), json.dumps({"made": made, "of": source}) + "\n")


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.made.json")


def _read_note(path: Path) -> dict[str, str] | None:
    """What the tokenizer was made from; None where train has not made it, or the note cannot be read."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        return {"made": str(note["made"]), "of": str(note["of"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None
