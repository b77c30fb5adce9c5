"""Alignments of hypotheses to references with the least edits, and the counts that error rates are made of.

jiwer (rapidfuzz) finds them: substitutions, insertions and deletions cost 1 each (Levenshtein distance), as in Kaldi's
scoring; NIST's sclite weighs a substitution 4 and the others 3, so its split into kinds can differ. For how rates are
summed up over a test set, see `espnet3.components.metrics.edit_rate`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

UNREADABLE, _IN_REFERENCES = "\N{REPLACEMENT CHARACTER}", "\udfff"
"""What `<unk>` reads as, and what stands for it in references meanwhile: half a surrogate pair, which no text has."""

Kind = Literal["equal", "substitute", "insert", "delete"]
Unit = Literal["words", "characters"]


class Edit(NamedTuple):
    """One step of an alignment; `ref` is empty for an insertion, `hyp` for a deletion."""

    kind: Kind
    ref: str
    hyp: str


@dataclass(frozen=True)
class EditCounts:
    """How many tokens were right, and what was done to the others."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """Edits that turn the reference into the hypothesis."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference(self) -> int:
        """Tokens in the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors in percent of the reference's tokens: can exceed 100; infinite for insertions into nothing."""
        if self.reference == 0:
            return float("inf") if self.errors else 0.0
        return 100 * self.errors / self.reference

    def __add__(self, other: "EditCounts") -> "EditCounts":
        return EditCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


@dataclass(frozen=True)
class Alignment:
    """A hypothesis beside its reference, from the first token to the last."""

    edits: tuple[Edit, ...]

    @cached_property
    def counts(self) -> EditCounts:
        """The edits, counted."""
        kinds = [edit.kind for edit in self.edits]
        return EditCounts(*(kinds.count(kind) for kind in ("equal", "substitute", "delete", "insert")))


@dataclass(frozen=True)
class Alignments:
    """Every utterance of a test set, aligned by one metric."""

    name: str
    """Of the metric's rate, such as `wer`."""
    unit: Unit
    utterances: Mapping[str, Alignment]
    """By utterance id, in the order of the test set."""

    def counts(self, utt_ids: Iterable[str] | None = None) -> EditCounts:
        """Summed over `utt_ids`, or over all."""
        chosen = self.utterances if utt_ids is None else utt_ids
        return sum((self.utterances[utt_id].counts for utt_id in chosen), EditCounts())


def align(references: list[str], hypotheses: list[str], unit: Unit) -> list[Alignment]:
    """Align each hypothesis to its reference; empty texts are fine.

    Words are what white space separates. Characters are Unicode code points, with single spaces between words counted
    as characters; a letter with a combining mark counts as two unless the text is normalised (NFC) before. U+FFFD is
    right nowhere: in a hypothesis it is `<unk>`, in a reference a character that was lost, and they are not the same.
    """
    import jiwer

    process: Callable[[list[str], list[str]], Any] = (
        jiwer.process_words if unit == "words" else jiwer.process_characters
    )
    if not references:
        return []
    told = [text.replace(UNREADABLE, _IN_REFERENCES) for text in references]
    result = process([" ".join(text.split()) for text in told], [" ".join(text.split()) for text in hypotheses])
    return [
        Alignment(tuple(edit for chunk in chunks for edit in _edits(chunk, ref, hyp)))
        for ref, hyp, chunks in zip(result.references, result.hypotheses, result.alignments, strict=True)
    ]


def _edits(chunk: Any, ref: list[str], hyp: list[str]) -> Iterable[Edit]:
    pairs = zip_longest(
        ref[chunk.ref_start_idx : chunk.ref_end_idx], hyp[chunk.hyp_start_idx : chunk.hyp_end_idx], fillvalue=""
    )
    return (Edit(chunk.type, left.replace(_IN_REFERENCES, UNREADABLE), right) for left, right in pairs)
