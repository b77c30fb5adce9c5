"""Makes the manifests that the other stages read; create_dataset calls it. Fill it in for a new corpus.

As it stands it reads a table of any corpus: tab-separated, with the columns `split` (train, valid or test), `utt_id`,
`audio` (a path, relative to the table), `speaker` and `text`, and `channel` where recordings have several that are not
to be mixed: a number from 0, or `each` for an utterance of each channel. Keep it and write such a table, or read the
corpus's own files in `_utterances`. Rows that cannot be used are told all at once; checking the manifests and the audio
is up to create_dataset.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from espnet3.components.data.audio import whole_file
from espnet3.components.data.channels import of_channels
from espnet3.components.data.dataset_builder import DatasetBuilder
from espnet3.components.data.faults import Faults
from espnet3.components.data.manifest import Utterance, write_splits
from espnet3.components.data.table import Row, read_table
from espnet3.components.data.utterance_checks import checked
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
            DataError: names all rows and recordings that cannot be used, with their lines.
        """
        write_splits(self.data_dir, SPLITS, self._utterances())

    def _utterances(self) -> Iterator[tuple[str, Utterance]]:
        """Every utterance with its split."""
        with Faults() as faults:
            for row in read_table(Path(self.table), COLUMNS, faults):
                with faults.told_at(row.place):
                    split = row.choice("split", SPLITS)
                    yield from ((split, utterance) for utterance in self._utterances_of(row))

    def _utterances_of(self, row: Row) -> list[Utterance]:
        path = Path(os.path.realpath(Path(self.table).parent / row["audio"]))
        whole = checked(whole_file(row["utt_id"], path, self.data_dir.resolve(), row["text"], row["speaker"]))
        return of_channels(whole, path, row.fields.get("channel", ""))
