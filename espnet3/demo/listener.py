"""What the app does with a recording: check it, recognise it, and say how long that took. Knows no browser."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.audio import audio_info, read_audio, whole_file
from espnet3.demo.page import token_line, token_table, waveform
from espnet3.errors import DataError
from espnet3.systems.asr.transcriber import SpeechToText


@dataclass(frozen=True)
class Heard:
    """What is shown of a recording."""

    text: str
    timing: str
    """Markdown."""
    details: str
    """HTML: waveform and tokens."""


@dataclass(frozen=True)
class Listener:
    """A model that listens to recordings of at most `max_seconds`."""

    model: SpeechToText
    max_seconds: float
    engine: str
    """What runs the model, for the timing line."""

    def problem(self, path: Path) -> str | None:
        """Why an audio file cannot be recognised; None where it can."""
        try:
            self._read(path)
        except DataError as error:
            return str(error)
        return None

    def hear(self, path: Path) -> Heard:
        """Recognise an audio file.

        Raises:
            DataError: it is not readable audio, empty, or too long; names the file, not where the server keeps it.
        """
        samples, rate = self._read(path)
        seconds = len(samples) / rate
        start = time.perf_counter()
        transcript = self.model.transcribe(samples, rate, tokens=True)
        took = time.perf_counter() - start
        timing = (
            f"{seconds:.2f} s of speech, recognised in {took:.2f} s: {seconds / max(took, 1e-6):.0f} times as fast as "
            f"it was spoken ({self.engine})."
        )
        tokens = transcript.tokens
        details = [waveform(samples, rate, tokens), token_line(tokens), token_table(tokens)] if tokens else []
        return Heard(transcript.text, timing, "".join(details) or waveform(samples, rate, ()))

    def _read(self, path: Path) -> tuple[NDArray[np.float32], int]:
        try:
            seconds = audio_info(path).duration
            if seconds > self.max_seconds:
                raise DataError(f"{path} has {seconds:.0f} s; this demo takes at most {self.max_seconds:g} s.")
            return read_audio(whole_file("audio", path, path.parent, "", ""), path.parent)
        except DataError as error:
            raise DataError(str(error).replace(f"{path.parent}/", "")) from None
