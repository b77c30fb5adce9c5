"""Makes the manifests that the other stages read; create_dataset calls it. Fill it in for a new corpus.

As it stands it reads a table of any corpus: tab-separated, with the columns `split` (train, valid or test), `utt_id`,
`audio` (a path, relative to the table), `speaker` and `text`. Keep it and write such a table, or read the corpus's own
files in `build`. Checking the manifests and the audio is up to create_dataset.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from espnet3.components.data.audio import whole_file
from espnet3.components.data.dataset_builder import DatasetBuilder
from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.errors import DataError

SPLITS = ("train", "valid", "test")
COLUMNS = ("split", "utt_id", "audio", "speaker", "text")


@dataclass
class RecipeBuilder(DatasetBuilder):
    """`<data_dir>/{train,valid,test}.jsonl` from a table; its fields are keys of `create_dataset` in training.yaml."""

    table: str
    """The tab-separated table."""

    def is_source_prepared(self) -> bool:
        """Whether the corpus is there."""
        return Path(self.table).is_file()

    def prepare_source(self) -> None:
        """Fetch the corpus; a table cannot be fetched.

        Raises:
            DataError: there is no table.
        """
        raise DataError(f"There is no table {self.table}. Write one, or set training_config.create_dataset.table.")

    def is_built(self) -> bool:
        """Whether the manifests are there."""
        return all((self.data_dir / f"{split}.jsonl").is_file() for split in SPLITS)

    def build(self) -> None:
        """Write the manifests, in the table's order.

        Raises:
            DataError: a column is missing, or an audio file cannot be read.
        """
        rows = list(self._rows())
        for split in SPLITS:
            write_manifest(
                self.data_dir / f"{split}.jsonl", (self._utterance(row) for row in rows if row["split"] == split)
            )

    def _rows(self) -> Iterator[dict[str, str]]:
        with Path(self.table).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if missing := [column for column in COLUMNS if column not in (reader.fieldnames or [])]:
                raise DataError(
                    f"{self.table}:1: no column {', '.join(missing)}; the columns are {', '.join(COLUMNS)}."
                )
            for row in reader:
                if row["split"] not in SPLITS:
                    raise DataError(
                        f"{self.table}:{reader.line_num}: split is {row['split']!r}; use {', '.join(SPLITS)}."
                    )
                yield row

    def _utterance(self, row: dict[str, str]) -> Utterance:
        path = (Path(self.table).parent / row["audio"]).resolve()
        return whole_file(row["utt_id"], path, self.data_dir.resolve(), row["text"], row["speaker"])
