"""Tab-separated tables, and the listing of errors: text that people and other programs read.

`measure` writes them beside the hypotheses. They hold no times of day and no speeds, so that two runs compare byte by
byte.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from espnet3.components.metrics.alignment import Alignment, Alignments, Edit
from espnet3.components.metrics.scored_set import ScoredSet

LINE_WIDTH = 110
"""Columns of a terminal that a line of the listing fills."""
_MARKS = {"equal": "", "substitute": "S", "insert": "I", "delete": "D"}


def tsv(rows: Sequence[Mapping[str, str | int | float]]) -> str:
    """The rows under a line with their keys; fractions with two decimals; quoted where a tab is inside."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    writer.writerows([f"{cell:.2f}" if isinstance(cell, float) else cell for cell in row.values()] for row in rows)
    return text.getvalue()


def error_listing(scored: ScoredSet, alignments: Alignments) -> str:
    """Every utterance with errors: reference above hypothesis, token by token, and the kind of each edit below.

    Tokens line up on a terminal also where characters are two columns wide or none.
    """
    wrong = {utt_id: found for utt_id, found in alignments.utterances.items() if found.counts.errors}
    head = f"{scored.name}: {len(wrong)} of {len(alignments.utterances)} utterances have errors ({alignments.name})\n"
    return head + "".join(
        f"\n{utt_id} ({scored.utterances[utt_id].speaker}): {_summary(found, alignments.unit)}\n"
        + "".join(f"{line.rstrip()}\n" for line in aligned_lines(found))
        for utt_id, found in wrong.items()
    )


def aligned_lines(alignment: Alignment, width: int = LINE_WIDTH) -> Iterator[str]:
    """Groups of three lines, REF, HYP and the kinds of the edits, each at most `width` columns where tokens allow."""
    for edits in _in_lines(alignment.edits, width - 5):
        sizes = [_size(edit) for edit in edits]
        for title, tokens in (
            ("REF:", [_shown(edit.ref) or "*" * size for edit, size in zip(edits, sizes, strict=True)]),
            ("HYP:", [_shown(edit.hyp) or "*" * size for edit, size in zip(edits, sizes, strict=True)]),
            ("    ", [_MARKS[edit.kind] for edit in edits]),
        ):
            yield " ".join([title, *(_padded(token, size) for token, size in zip(tokens, sizes, strict=True))])


def _summary(alignment: Alignment, unit: str) -> str:
    counts = alignment.counts
    kinds = f"{counts.substitutions} S, {counts.deletions} D, {counts.insertions} I"
    return f"{kinds} in {counts.reference} {unit}"


def _in_lines(edits: Sequence[Edit], width: int) -> Iterator[list[Edit]]:
    line: list[Edit] = []
    used = 0
    for edit in edits:
        if line and used + _size(edit) > width:
            yield line
            line, used = [], 0
        line.append(edit)
        used += _size(edit) + 1
    if line:
        yield line


def _size(edit: Edit) -> int:
    return max(_columns(_shown(edit.ref)), _columns(_shown(edit.hyp)), 1)


def _shown(text: str) -> str:
    """A space, which is a token among characters, is shown as an open box."""
    return "\u2423" if text == " " else text


def _padded(token: str, size: int) -> str:
    return token + " " * (size - _columns(token))


def _columns(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
