"""Finds everything that is wrong with manifests and their audio, at once, with file and line.

create_dataset checks what a builder made (`check_manifest` for each, then `check_splits` over all), and whoever has a
tokenizer can ask `validate_manifest` for the characters that it lacks. With checksums, audio is listened to as well
(`audio_content`). Nothing is changed here.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.audio_check import AudioCheck
from espnet3.components.data.audio_index_writer import EntrySorter
from espnet3.components.data.faults import KEPT
from espnet3.components.data.manifest import Manifest, Utterance, parse_line
from espnet3.components.data.text import normalise
from espnet3.components.data.text_checks import TextNotes
from espnet3.components.data.utterance_checks import LONGEST, Missing, UtteranceCheck
from espnet3.errors import DataError

Hashes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in a manifest, or, as a warning, worth a look."""

    path: Path
    line: int
    """From 1; 0 means the whole file."""
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else f"{self.path}"
        return f"{place}: {self.message}"


@dataclass
class ManifestReport:
    """What a manifest holds and what is wrong with it."""

    path: Path
    problems: list[Problem] = field(default_factory=list)
    """The first `KEPT`."""
    unlisted: int = 0
    """How many problems there are beyond those, as where every line of a million is wrong."""
    utterances: int = 0
    seconds: float = 0.0
    speakers: set[str] = field(default_factory=set)
    ids: Hashes = field(default_factory=lambda: np.empty(0, np.int64))
    """Hash of each line's utt_id (0 for a malformed line): a million texts themselves would not fit."""
    texts: Hashes = field(default_factory=lambda: np.empty(0, np.int64))
    """Hash of each text, in the form in which texts are compared."""
    warnings: list[Problem] = field(default_factory=list)
    """What is worth a look in the texts: one for each kind, with the first line that has it."""

    def add(self, line: int, message: str) -> None:
        """Put down what is wrong with a line."""
        if len(self.problems) < KEPT:
            self.problems.append(Problem(self.path, line, message))
        else:
            self.unlisted += 1


def validate_manifest(
    path: Path | str, missing: Missing | AbstractSet[str] | None = None, with_checksums: bool = False
) -> list[Problem]:
    """The problems of a manifest, in the order of its lines; `check_manifest` tells more."""
    return check_manifest(Path(path), missing, with_checksums).problems


def check_manifest(
    path: Path,
    missing: Missing | AbstractSet[str] | None = None,
    with_checksums: bool = False,
    gathered: EntrySorter | None = None,
) -> ManifestReport:
    """Look at every line of a manifest and at the audio that it names.

    Args:
        path: the manifest.
        missing: tells the characters of a text that the tokenizer lacks, or is the set of those that it has.
        with_checksums: compare the checksums of the audio files, and listen to them; those are hashed that neither the
            audio index nor this process knows as they are.
        gathered: gets an entry for each utterance whose checksum is right.
    """
    report = ManifestReport(path)
    try:
        manifest = Manifest(path)
    except DataError as error:
        report.add(0, str(error))
        return report
    checksums = AudioCheck(path) if with_checksums else None
    check = UtteranceCheck(manifest.root, missing, checksums, gathered)
    _fill(report, manifest, check)
    report.problems += [Problem(path, 0, warning, is_warning=True) for warning in check.warnings()]
    if not len(manifest):
        report.add(0, "holds no utterance.")
    for line, message in _duplicates(manifest, report.ids):
        report.add(line, message)
    report.problems.sort()
    return report


def check_splits(splits: Mapping[str, Sequence[ManifestReport]]) -> list[Problem]:
    """What the splits of a config have in common and should not.

    The same utt_id twice in one split is an error. The same speaker, text or utt_id in two splits is a warning that
    names how many: scores are then too good, but some corpora are made that way. Test sets (`test set ...`) are not
    compared with each other.
    """
    problems = [problem for reports in splits.values() for problem in _duplicates_across(reports)]
    for (one, reports), (other, others) in combinations(splits.items(), 2):
        if not (one.startswith("test ") and other.startswith("test ")):
            problems += [
                Problem(others[0].path, 0, f"{one} and {other} share {shared}.", is_warning=True)
                for shared in _overlaps(reports, others)
            ]
    return problems


def _fill(report: ManifestReport, manifest: Manifest, check: UtteranceCheck) -> None:
    ids, texts, notes = array("q"), array("q"), TextNotes()
    for number, line in enumerate(manifest.lines(), start=1):
        parsed = parse_line(line)
        if isinstance(parsed, Utterance):
            report.utterances += 1
            report.seconds += parsed.duration if 0 < parsed.duration < LONGEST else 0.0
            report.speakers.add(parsed.speaker)
            texts.append(hash(normalise(parsed.text)))
            notes.add(number, parsed.text)
        ids.append(hash(parsed.utt_id) if isinstance(parsed, Utterance) else 0)
        messages = check.problems(parsed) if isinstance(parsed, Utterance) else parsed
        for message in messages:
            report.add(number, message)
    report.ids, report.texts = np.asarray(ids, np.int64), np.asarray(texts, np.int64)
    report.warnings = [Problem(report.path, line, message, is_warning=True) for line, message in notes.messages()]


def _repeated(hashes: Hashes) -> NDArray[np.intp]:
    """Where the values stand that occur more than once, in their order."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return np.flatnonzero((counts[inverse] > 1) & (hashes != 0))


def _duplicates(manifest: Manifest, ids: Hashes) -> Iterator[tuple[int, str]]:
    first: dict[str, int] = {}
    for index in _repeated(ids):
        utt_id = manifest[int(index)].utt_id
        line = first.setdefault(utt_id, int(index) + 1)
        if line != index + 1:
            yield int(index) + 1, f"utt_id {utt_id!r} is on line {line} too."


def _duplicates_across(reports: Sequence[ManifestReport]) -> list[Problem]:
    problems = []
    for one, other in combinations(reports, 2):
        shared = len(np.intersect1d(one.ids, other.ids))
        if shared:
            message = f"{shared} utt_id are in {one.path} too, which is in the same split."
            problems.append(Problem(other.path, 0, message))
    return problems


def _overlaps(reports: Sequence[ManifestReport], others: Sequence[ManifestReport]) -> list[str]:
    if {report.path for report in reports} & {report.path for report in others}:
        return ["a manifest"]
    speakers = set().union(*(report.speakers for report in reports))
    shared_speakers = speakers & set().union(*(report.speakers for report in others))
    found = []
    if shared_speakers:
        found.append(_counted(len(shared_speakers), "speaker"))
    for name, what in (("texts", "text"), ("ids", "utt_id")):
        one, other = (_joined(group, name) for group in (reports, others))
        if shared := int(np.isin(other, one).sum()):
            found.append(f"{_counted(len(np.intersect1d(one, other)), what)} ({shared} of {len(other)} utterances)")
    return found


def _joined(reports: Sequence[ManifestReport], name: str) -> Hashes:
    return np.concatenate([np.empty(0, np.int64), *(getattr(report, name) for report in reports)])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
