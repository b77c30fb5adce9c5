"""ESPnet3 Systems: the library. It knows neither containers nor Kubernetes; importing it costs nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from espnet3.systems.asr.transcriber import SpeechToText

__all__ = ["load"]


def load(
    model: "str | Path",
    *,
    backend: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    trust_code: bool = False,
) -> "SpeechToText":
    """A packed model that turns speech into text: `espnet3.load("owner/name")("speech.wav")`.

    See `espnet3.packs.loading.load` for the arguments and what it raises.
    """
    from espnet3.packs.loading import load as load_pack

    loaded: SpeechToText = load_pack(model, backend=backend, device=device, revision=revision, trust_code=trust_code)
    return loaded
