"""Finds what is wrong with a single utterance: its text, its times, its audio file.

`espnet3.components.data.validation` hands it the lines of a manifest one after the other; what lies between utterances
(duplicates, splits that share speakers) is checked there.
"""

import unicodedata
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import lru_cache
from pathlib import Path

from espnet3.components.data.audio import AudioInfo, audio_info, channels_named
from espnet3.components.data.audio_check import AudioCheck
from espnet3.components.data.audio_content import ContentCheck
from espnet3.components.data.audio_index_writer import EntrySorter
from espnet3.components.data.containers.sound import TOLERANCE
from espnet3.components.data.invisible import without_invisible
from espnet3.components.data.manifest import Utterance
from espnet3.components.data.text_checks import text_faults
from espnet3.errors import DataError

SHORTEST = 0.01
"""Seconds; a frame of features is longer."""
LONGEST = 3600.0
"""Seconds; a duration beyond is most likely in another unit."""
FILES_REMEMBERED = 100_000
"""Audio files whose header is kept, for manifests that come back to a file."""

Missing = Callable[[str], AbstractSet[str]]
"""Which characters of a text a tokenizer lacks."""


class UtteranceCheck:
    """Looks at one utterance after the other, and at each audio file once.

    Args:
        root: the folder to which the paths of audio are relative.
        missing: tells the characters of a text that the tokenizer lacks, or is the set of those that it has.
        check: compares checksums; None: they are not compared.
        gathered: gets an entry for each utterance whose checksum is right.
    """

    def __init__(
        self,
        root: Path,
        missing: Missing | AbstractSet[str] | None,
        check: AudioCheck | None = None,
        gathered: EntrySorter | None = None,
    ) -> None:
        self._root = root
        self._missing = _complement(missing) if isinstance(missing, AbstractSet) else missing
        self._check = check
        self._gathered = gathered
        self._content = ContentCheck(root) if check else None
        self._info = lru_cache(FILES_REMEMBERED)(self._inspect)

    def problems(self, utterance: Utterance) -> list[str]:
        """Everything wrong with an utterance."""
        problems = _text_problems(utterance)
        if self._missing and (lacking := self._missing(utterance.text)):
            problems.append(f"text holds {_named(lacking)}, which the tokenizer lacks.")
        return problems + self._audio_problems(utterance)

    def warnings(self) -> list[str]:
        """What is worth a look in the audio of the utterances so far, a sentence for each kind."""
        return self._content.warnings() if self._content else []

    def _audio_problems(self, utterance: Utterance) -> list[str]:
        problems = _time_problems(utterance)
        channel = utterance.channel
        info, entry = self._info(utterance.audio, utterance.checksum, channel is None)
        if isinstance(info, str):
            return [*problems, info]
        if channel is not None and not 0 <= channel < info.channels:
            problems.append(f"channel is {channel}, but {utterance.audio} has {channels_named(info.channels)}.")
        if info.sample_rate != utterance.sample_rate:
            problems.append(f"sample_rate is {utterance.sample_rate}, but {utterance.audio} has {info.sample_rate} Hz.")
        if not problems and utterance.start + utterance.duration > info.duration + TOLERANCE:
            problems.append(
                f"start + duration is {utterance.start + utterance.duration:.3f} s, but {utterance.audio} ends at "
                f"{info.duration:.3f} s."
            )
        if self._content and not problems and (found := self._content.problem(utterance, info)):
            problems.append(found)
        if self._check and not entry:
            problems.append(
                f"{utterance.audio} has another checksum than the manifest says: it was changed or damaged. Put the "
                "recording back, or run create_dataset with --force to build the manifest anew."
            )
        if self._gathered and entry:
            self._gathered.add(entry)
        return problems

    def _inspect(self, audio: str, checksum: str, is_mixed: bool) -> tuple[AudioInfo | str, bytes]:
        """What the file holds, or what is wrong with it, and its line for the audio index."""
        path = self._root / audio
        try:
            info, entry = audio_info(path), self._check.entry(audio, checksum) if self._check else None
            if self._content:
                self._content.look_at(audio, info, is_mixed)
            return info, entry.line() if entry else b""
        except DataError as error:
            return str(error), b""
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}.", b""


def checked(utterance: Utterance) -> Utterance:
    """The utterance, for a dataset builder to write; its audio is not looked at.

    Raises:
        DataError: its id, text, speaker or times cannot be right; names all faults, one a line.
    """
    if problems := _text_problems(utterance) + _time_problems(utterance):
        raise DataError("\n".join(problems))
    return utterance


def _text_problems(utterance: Utterance) -> list[str]:
    problems = []
    if utterance.utt_id.split() != [utterance.utt_id]:
        problems.append(f"utt_id is {utterance.utt_id!r}: it must not be empty or hold white space.")
    elif "/" in utterance.utt_id or "\0" in utterance.utt_id or utterance.utt_id in {".", ".."}:
        problems.append(f"utt_id is {utterance.utt_id!r}, which cannot name a file. Leave out slashes.")
    elif without_invisible(utterance.utt_id) != utterance.utt_id:
        problems.append(f"utt_id is {utterance.utt_id!r}: it must not hold characters that nobody sees.")
    problems += text_faults(utterance.text)
    if not utterance.speaker.strip():
        problems.append("speaker is empty. Where it is not known, give each recording a name of its own.")
    if not utterance.audio or "\0" in utterance.audio:
        problems.append("audio is empty or holds a NUL; it must be a path.")
    if not utterance.checksum.startswith("sha256:") or len(utterance.checksum) != 71:
        problems.append(f"checksum is {utterance.checksum!r}; it must be sha256: and 64 hexadecimal digits.")
    return problems


def _time_problems(utterance: Utterance) -> list[str]:
    problems = []
    if not SHORTEST <= utterance.duration <= LONGEST:
        problems.append(f"duration is {utterance.duration:g} s; it must be from {SHORTEST} to {LONGEST:g}.")
    if not 0 <= utterance.start < float("inf"):
        problems.append(f"start is {utterance.start:g} s; it must be 0 or more.")
    if utterance.sample_rate <= 0:
        problems.append(f"sample_rate is {utterance.sample_rate} Hz; it must be more than 0.")
    return problems


def _named(characters: Iterable[str]) -> str:
    return ", ".join(
        f"{char!r} (U+{ord(char):04X} {unicodedata.name(char, 'unnamed')})" if len(char) == 1 else repr(char)
        for char in sorted(characters)
    )


def _complement(characters: AbstractSet[str]) -> Missing:
    return lambda text: set(text) - characters
