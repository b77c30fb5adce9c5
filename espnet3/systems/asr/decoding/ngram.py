"""Word n-gram language models as configs name them: from transcripts or from an ARPA file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from espnet3.components.data.manifest import Manifest
from espnet3.components.data.text import normalise
from espnet3.errors import ConfigError, DataError
from espnet3.systems.asr.decoding.arpa import read_arpa
from espnet3.systems.asr.decoding.backoff import Ngram
from espnet3.systems.asr.decoding.smoothing import SMOOTHINGS, estimate


class WordNgram(Ngram):
    """A word n-gram from the transcripts of manifests, or from an ARPA file.

    Args:
        manifest: a manifest, or several, whose transcripts the model is estimated from; words are what white space
            separates.
        order: words of the longest n-gram.
        smoothing: `witten_bell`, which suits little text, or `kneser_ney`.
        arpa: an ARPA file, in place of `manifest`; its own order counts.

    Raises:
        ConfigError: not one of `manifest` and `arpa`, or an order below 1.
        DataError: a file is missing or malformed, or there is no text.
    """

    def __init__(
        self,
        manifest: str | Iterable[str] | None = None,
        order: int = 4,
        smoothing: Literal["witten_bell", "kneser_ney"] = "witten_bell",
        arpa: str | None = None,
    ) -> None:
        if (manifest is None) == (arpa is None):
            raise ConfigError(
                "A WordNgram needs either manifest (transcripts to learn from) or arpa (a finished model)."
            )
        model = read_arpa(Path(arpa)) if arpa is not None else _from_manifests(manifest, order, smoothing)
        super().__init__(model.order, model.log_probs, model.log_backoffs)


def _from_manifests(manifest: str | Iterable[str] | None, order: int, smoothing: str) -> Ngram:
    if smoothing not in SMOOTHINGS or order < 1:
        raise ConfigError(
            f"A WordNgram has a smoothing of {', '.join(SMOOTHINGS)} and an order of at least 1; "
            f"given: {smoothing}, {order}."
        )
    paths = [manifest] if isinstance(manifest, str) else list(manifest or ())
    sentences = [sentence for path in paths for sentence in _sentences(path)]
    if not any(sentences):
        raise DataError(f"There are no words to learn an n-gram from in {', '.join(paths)}.")
    return estimate(sentences, order, SMOOTHINGS[smoothing])


def _sentences(path: str) -> Iterator[list[str]]:
    return (normalise(utterance.text).split() for utterance in Manifest(path))
