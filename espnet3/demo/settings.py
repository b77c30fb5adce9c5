"""`demo.json`: what a demo's folder says of itself, and where its server is to be found.

`pack` writes it, `app` reads it, and the workflow generator takes the port and the health path from here; importing it
costs nothing more than pydantic.
"""

import json
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from espnet3.errors import DataError
from espnet3.systems.asr.onnx_files import BACKENDS

SETTINGS, MODEL, EXAMPLES, REQUIREMENTS = "demo.json", "model", "examples", "requirements.txt"
SCHEMA_VERSION = 1
PORT = 7860
HEALTH_PATH = "/healthz"
"""Answers 200 from when the model is loaded."""

AUTO = "auto"


def _known(backend: str) -> str:
    if backend not in (AUTO, *BACKENDS):
        raise ValueError(f"{backend!r} is none of {', '.join((AUTO, *BACKENDS))}")
    return backend


class DemoSettings(BaseModel):
    """What the app shows beside the model."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    title: str = ""
    """The model's where left out."""
    description: str = ""
    """Markdown above the app."""
    max_seconds: PositiveFloat = 60.0
    """Longer audio is refused."""
    examples: list[str] = Field(default_factory=list)
    """Audio files to try, relative to the folder."""
    backend: Annotated[str, AfterValidator(_known)] = AUTO


def read_settings(folder: Path) -> DemoSettings:
    """The settings of a demo's folder.

    Raises:
        DataError: the file is damaged, or of a newer version.
    """
    path = folder / SETTINGS
    try:
        settings = DemoSettings.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is damaged ({reason}). Run pack_demo again.") from None
    if settings.schema_version > SCHEMA_VERSION:
        raise DataError(
            f"{path} has version {settings.schema_version}, and this espnet3 reads up to {SCHEMA_VERSION}. Install a "
            "newer espnet3."
        )
    return settings


def best_backend(pack: Path) -> str | None:
    """The way to run a packed model without torch; None where it has no ONNX file."""
    return next((name for name, file in BACKENDS.items() if (pack / file).is_file()), None)
