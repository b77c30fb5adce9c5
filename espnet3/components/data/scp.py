"""SCP files: one `<utt_id> <value>` line for each utterance, sorted by utterance.

`infer` writes one for each output, `measure` reads them. The value is everything after the first space and may be
empty, hold spaces or be a path (see `artifacts`); a line break cannot stand in it. What a value means is up to
the readers.
"""

from collections.abc import Mapping
from pathlib import Path

from espnet3.errors import DataError
from espnet3.runtime.files import write_text


def write_scp(path: Path | str, values: Mapping[str, str]) -> None:
    """Replace `path` by the sorted lines of `values`; an empty value leaves `<utt_id> ` with its space.

    Raises:
        DataError: an utterance id is empty or holds white space, or a value holds a line break.
    """
    write_text(path, "".join(f"{scp_line(utt_id, values[utt_id])}\n" for utt_id in sorted(values)))


def read_scp(path: Path | str) -> dict[str, str]:
    """The values by utterance id, in the order of the file; a line without a space is an empty value.

    Raises:
        DataError: the file is missing or not UTF-8, or a line is malformed; names file and line.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(_lines(Path(path)), start=1):
        utt_id, _, value = line.partition(" ")
        if not is_utt_id(utt_id):
            raise DataError(
                f"{path}:{number}: {line!r} does not start with an utterance id. A line is '<utt_id> <value>', with "
                "one space between them. Correct the line, or run infer again."
            )
        if utt_id in values:
            raise DataError(f"{path}:{number}: {utt_id!r} was listed before; an id has one line. Run infer again.")
        values[utt_id] = value
    return values


def scp_line(utt_id: str, value: str) -> str:
    """`<utt_id> <value>`, checked so that `read_scp` gives back the same two.

    Raises:
        DataError: see `write_scp`.
    """
    if not is_utt_id(utt_id):
        raise DataError(f"{utt_id!r} cannot be an utterance id: it has at least one character and no white space.")
    if "\n" in value or "\r" in value:
        raise DataError(
            f"The value of {utt_id} holds a line break, which an SCP file cannot: {value!r}. Write such an output as a "
            "file of its own (output_artifacts)."
        )
    return f"{utt_id} {value}"


def is_utt_id(text: str) -> bool:
    """Whether `text` can be the first field of a line."""
    return bool(text) and not any(character.isspace() for character in text)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. The infer stage writes it: run infer first.") from None
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{number}: this is not UTF-8 text ({error.reason}). Run infer again.") from None
    return text.removesuffix("\n").split("\n") if text else []
