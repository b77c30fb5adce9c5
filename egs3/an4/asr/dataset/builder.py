"""Gets the AN4 corpus and makes its manifests: create_dataset calls it.

AN4 (Carnegie Mellon University, 1991; LICENSE.an4) has 948 training and 130 test utterances, spelled names, addresses,
digits and commands, of 74 and 10 speakers who do not overlap. Its archive has SPHERE files at 16 kHz and, under etc/, a
list of files and one of transcripts for each part. Checking the result is up to create_dataset.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from espnet3.components.data.archive import download, extract
from espnet3.components.data.audio import whole_file
from espnet3.components.data.dataset_builder import DatasetBuilder
from espnet3.components.data.faults import Faults
from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.components.data.text_lines import text_lines
from espnet3.errors import ConfigError, DataError

KEY = "training_config.create_dataset"
SPLITS = ("train", "valid", "test")
_TRANSCRIPT = re.compile(r"(?:<s>)?(?P<text>[^<>()]*?)(?:</s>)?\s*\((?P<name>[^\s()]+)\)")


@dataclass
class An4Builder(DatasetBuilder):
    """`<data_dir>/source/an4` as in the archive, and `<data_dir>/{train,valid,test}.jsonl` that point into it."""

    url: str
    """Where the archive is downloaded from."""
    sha256: str
    """Of the archive at `url`."""
    archive: str | None = None
    """An archive that is there already, in the original layout; it is taken instead of a download."""
    valid_speakers: int = 6
    """Training speakers held out for validation: both sexes, in the proportion of the corpus."""
    seed: int = 0
    """Which speakers those are."""

    def is_source_prepared(self) -> bool:
        """Whether the corpus is extracted."""
        return (self._corpus / "etc").is_dir()

    def prepare_source(self) -> None:
        """Extract the archive, after downloading it if need be.

        Raises:
            ConfigError: there is no file `archive`.
        """
        archive = Path(self.archive) if self.archive else self.data_dir / "an4_sphere.tar.gz"
        if not self.archive:
            download(self.url, archive, self.sha256, f"{KEY}.archive (or ESPNET3_AN4_ARCHIVE)")
        elif not archive.is_file():
            raise ConfigError(
                f"{KEY}.archive: there is no file {archive}. Correct it, or leave it out to download AN4."
            )
        extract(archive, self.data_dir / "source")

    def is_built(self) -> bool:
        """Whether the manifests are there."""
        return all((self.data_dir / f"{split}.jsonl").exists() for split in SPLITS)

    def build(self) -> None:
        """Write the manifests.

        Raises:
            ConfigError: `valid_speakers` is more than the corpus can spare.
            DataError: the lists of the corpus are missing or do not fit its files.
        """
        with Faults() as faults:
            train, test = (list(self._utterances(part, faults)) for part in ("train", "test"))
        held_out = self._held_out(sorted({utterance.speaker for utterance in train}))
        splits = {
            "train": [utterance for utterance in train if utterance.speaker not in held_out],
            "valid": [utterance for utterance in train if utterance.speaker in held_out],
            "test": test,
        }
        for split in SPLITS:
            write_manifest(self.data_dir / f"{split}.jsonl", sorted(splits[split], key=lambda found: found.utt_id))

    @property
    def _corpus(self) -> Path:
        return self.data_dir / "source" / "an4"

    def _utterances(self, part: str, faults: Faults) -> Iterator[Utterance]:
        transcripts, names = (self._corpus / "etc" / f"an4_{part}.{kind}" for kind in ("transcription", "fileids"))
        texts = dict(_transcripts(transcripts, faults))
        for number, line in _lines(names):
            path = self._corpus / "wav" / f"{line}.sph"
            with faults.told_at(f"{names}:{number}"):
                if path.stem not in texts:
                    raise DataError(f"{transcripts} has no transcript of {path.stem}.")
                yield whole_file(path.stem, path, self.data_dir, texts[path.stem], speaker=path.parent.name)

    def _held_out(self, speakers: list[str]) -> set[str]:
        """Speakers for validation: names begin with f or m, and a hash puts them in an order."""
        groups = [sorted((name for name in speakers if name[0] == sex), key=self._rank) for sex in "fm"]
        women = round(self.valid_speakers * len(groups[0]) / len(speakers))
        counts = women, self.valid_speakers - women
        if not all(0 < count < len(group) for count, group in zip(counts, groups, strict=True)):
            raise ConfigError(
                f"{KEY}.valid_speakers is {self.valid_speakers}; of {len(groups[0])} women and {len(groups[1])} men "
                "at least one each must be held out, and at least one each left."
            )
        return {name for count, group in zip(counts, groups, strict=True) for name in group[:count]}

    def _rank(self, speaker: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {speaker}".encode()).digest()


def _transcripts(path: Path, faults: Faults) -> Iterable[tuple[str, str]]:
    """Utterance name and text: lines such as `<s> YES </s> (an251-fash-b)`, with or without the sentence marks."""
    for number, line in _lines(path):
        if found := _TRANSCRIPT.fullmatch(line):
            yield found["name"], " ".join(found["text"].split())
        else:
            faults.add(f"{path}:{number}: {line!r} is not a transcript such as YES (an251-fash-b).")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        yield from text_lines(path)
    except FileNotFoundError:
        raise DataError(f"There is no {path}: the archive is not AN4 in its original layout.") from None
