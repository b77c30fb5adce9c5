"""Outputs that are files of their own: arrays, audio and structured values, one file for each utterance.

`infer` makes one writer for each key of `output_artifacts`, from `{type: npy | wav | json, ...}` or from
`{_target_: ...}`. The files lie in `<inference_dir>/<test set>/<key>/`, and the SCP holds their paths relative to its
own folder, so that a result can be moved as a whole. A writer turns a value into bytes; writing them whole or not at
all is done here.
"""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from espnet3.config.artifact_types import WRITERS, as_targets
from espnet3.config.instantiate import build
from espnet3.errors import ConfigError, DataError
from espnet3.runtime.files import write_bytes


class ArtifactWriter(Protocol):
    """What a `_target_` of `output_artifacts` builds."""

    suffix: str
    """Ending of the file name, with its dot."""

    def encode(self, value: Any) -> bytes:
        """The file's content; the same value gives the same bytes."""


@dataclass(frozen=True)
class NpyWriter:
    """An array of any shape and type that is not `object`."""

    suffix: str = ".npy"

    def encode(self, value: Any) -> bytes:
        """The array as numpy's own format."""
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(value), allow_pickle=False)
        return buffer.getvalue()


@dataclass(frozen=True)
class WavWriter:
    """Audio in [-1, 1] of shape (samples,) or (samples, channels), as 16-bit PCM unless `subtype` says otherwise."""

    sample_rate: int
    """In Hz."""
    subtype: str = "PCM_16"
    suffix: str = ".wav"

    def encode(self, value: Any) -> bytes:
        """The audio as a RIFF WAVE file."""
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, np.asarray(value), self.sample_rate, subtype=self.subtype, format="WAV")
        return buffer.getvalue()


@dataclass(frozen=True)
class JsonWriter:
    """Numbers, text, lists and mappings; keys are sorted."""

    indent: int | None = None
    suffix: str = ".json"

    def encode(self, value: Any) -> bytes:
        """The value as UTF-8 JSON."""
        return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=self.indent) + "\n").encode()


def artifact_writer(key: str, settings: Mapping[str, Any]) -> ArtifactWriter:
    """The writer of one key of `output_artifacts`.

    Raises:
        ConfigError: neither a known `type` nor a `_target_`, or arguments that the writer does not take.
    """
    targets = dict(as_targets({key: settings}))
    if "_target_" not in settings and key not in targets:
        raise ConfigError(
            f"inference_config.output_artifacts.{key} needs a type of {', '.join(WRITERS)}, or a _target_; "
            f"given: {dict(settings)}."
        )
    writer: ArtifactWriter = build(targets.get(key, dict(settings)), f"inference_config.output_artifacts.{key}")
    return writer


def write_artifact(folder: Path, utt_id: str, value: Any, writer: ArtifactWriter) -> str:
    """Write one file into `folder` and return its name.

    Raises:
        DataError: the writer cannot take the value.
    """
    name = file_name(utt_id) + writer.suffix
    try:
        content = writer.encode(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{utt_id}: {type(writer).__name__} cannot write a {type(value).__name__}: {error}") from error
    write_bytes(folder / name, content)
    return name


def file_name(utt_id: str) -> str:
    """`utt_id`, all but letters, digits, `_`, `-` and `.` percent-encoded: different ids have different names."""
    return re.sub(r"[^\w.\-]", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), utt_id)
