"""What was taken for what, counted over a test set: the report shows the most frequent."""

from collections import Counter
from dataclasses import dataclass

from espnet3.components.metrics.alignment import Alignments, Kind


@dataclass(frozen=True)
class Confusion:
    """A token of the reference (empty for an insertion), what stood for it (empty for a deletion), and how often."""

    ref: str
    hyp: str
    count: int


def most_frequent(alignments: Alignments, kind: Kind, limit: int) -> list[Confusion]:
    """The `limit` most frequent edits of a kind, the most frequent first, equally frequent ones by their tokens."""
    counts = Counter(
        (edit.ref, edit.hyp)
        for alignment in alignments.utterances.values()
        for edit in alignment.edits
        if edit.kind == kind
    )
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Confusion(ref, hyp, count) for (ref, hyp), count in ranked[:limit]]
