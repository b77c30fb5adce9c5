"""ARPA files: the plain text format that n-gram toolkits share.

`WordNgram(arpa=...)` reads one, of whatever toolkit; `write_arpa` makes a model available to others. The format has
base 10 logarithms, `\\data\\` with the number of n-grams of each order, then a section for each order and `\\end\\`.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from espnet3.components.data.text import composed
from espnet3.components.data.text_lines import text_lines
from espnet3.errors import DataError
from espnet3.runtime.files import replacing
from espnet3.systems.asr.decoding.backoff import UNKNOWN, Ngram, Words

_NEVER = -99.0
"""The format's logarithm of zero."""


def read_arpa(path: Path) -> Ngram:
    """The model in a file; a model without `<unk>` gives unknown words no probability.

    Raises:
        DataError: the file is missing or malformed; names file and line.
    """
    log_probs: dict[Words, float] = {}
    log_backoffs: dict[Words, float] = {}
    order = 0
    for number, line in _content(path):
        if header := re.fullmatch(r"\\(\d+)-grams:", line):
            order = int(header[1])
        elif order:
            try:
                words, log_prob, log_backoff = _parse(line, order)
            except ValueError as error:
                raise DataError(f"{path}:{number}: {error} Correct the line, or make the file again.") from None
            if words in log_probs:
                raise DataError(
                    f"{path}:{number}: {' '.join(words)!r} was listed before, maybe in another Unicode form, which is "
                    "the same word here. Make the file again, from texts in NFC."
                )
            log_probs[words] = log_prob
            if log_backoff is not None:
                log_backoffs[words] = log_backoff
    if not order:
        raise DataError(f"{path} has no n-grams: an ARPA file has a section '\\1-grams:'. Is it another kind of file?")
    log_probs.setdefault((UNKNOWN,), -math.inf)
    return Ngram(order, log_probs, log_backoffs)


def write_arpa(path: Path | str, model: Ngram) -> None:
    """Replace the file at `path`; n-grams are sorted, so the same model gives the same bytes."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _lines(model))


def _content(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines that say something, up to the end mark."""
    if not path.is_file():
        raise DataError(f"There is no language model {path}. Correct the path (arpa).")
    try:
        for number, line in text_lines(path):
            text = composed(line.strip())
            if text == "\\end\\":
                return
            if text and text != "\\data\\":
                yield number, text
    except DataError as error:
        raise DataError(f"{error} An ARPA file is text; is it a binary model?") from None
    raise DataError(f"{path} does not end with '\\end\\': it was cut short. Make the file again.")


def _parse(line: str, order: int) -> tuple[Words, float, float | None]:
    fields = line.split()
    if len(fields) not in (order + 1, order + 2):
        raise ValueError(
            f"{line!r} is not a {order}-gram: a log probability, {order} words and perhaps a log back-off."
        )
    backoff = _natural(fields[order + 1]) if len(fields) == order + 2 else None
    return tuple(fields[1 : order + 1]), _natural(fields[0]), backoff


def _natural(text: str) -> float:
    base_10 = float(text)
    return -math.inf if base_10 <= _NEVER else base_10 * math.log(10)


def _lines(model: Ngram) -> Iterator[str]:
    levels: list[list[Words]] = [[] for _ in range(model.order)]
    for ngram in model.log_probs:
        levels[len(ngram) - 1].append(ngram)
    yield "\\data\\"
    yield from (f"ngram {size}={len(level)}" for size, level in enumerate(levels, start=1))
    for size, level in enumerate(levels, start=1):
        yield from ("", f"\\{size}-grams:")
        yield from (_line(model, ngram) for ngram in sorted(level))
    yield from ("", "\\end\\")


def _line(model: Ngram, ngram: Words) -> str:
    backoff = model.log_backoffs.get(ngram)
    fields = [_base_10(model.log_probs[ngram]), " ".join(ngram), *([] if backoff is None else [_base_10(backoff)])]
    return "\t".join(fields)


def _base_10(natural: float) -> str:
    return f"{_NEVER if natural == -math.inf else natural / math.log(10):.10g}"
