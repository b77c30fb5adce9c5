"""What metrics compare: columns of a test set, and the SCP files that infer wrote.

`measure` calls `read_inputs`. Every utterance of the test set must be there exactly once, and no other: an error rate
over a part of a test set looks like a good one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path

from espnet3.components.data.dataset import SpeechDataset
from espnet3.components.data.manifest import Utterance
from espnet3.components.data.scp import read_scp
from espnet3.errors import ConfigError, DataError

COLUMN = "dataset:"
"""Prefix of an input that is a column of the manifest."""
NAMED = 5
"""So many utterances are named in a message."""


def read_utterances(test_name: str, dataset: SpeechDataset) -> dict[str, Utterance]:
    """The utterances of a test set by id, in its order.

    Raises:
        DataError: it is empty, or an id is there twice.
    """
    utterances: dict[str, Utterance] = {}
    for index in range(len(dataset)):
        utterance = dataset.utterance(index)
        if utterance.utt_id in utterances:
            raise DataError(f"Test set {test_name}: {utterance.utt_id!r} is there twice; ids must be unique in a set.")
        utterances[utterance.utt_id] = utterance
    if not utterances:
        raise DataError(f"Test set {test_name} is empty, so there is nothing to measure.")
    return utterances


def read_inputs(
    inputs: Mapping[str, str], utterances: Mapping[str, Utterance], folder: Path, key: str
) -> dict[str, dict[str, str]]:
    """{input: {utt_id: value}}, in the order of the test set.

    Args:
        inputs: {input: `dataset:<column>` or the name of an SCP file without its ending}.
        utterances: the test set.
        folder: where infer wrote the test set's files.
        key: of `inputs` in the config, for messages.

    Raises:
        ConfigError: there is no such column.
        DataError: an SCP file is missing or malformed, or has other utterances than the test set.
    """
    return {
        name: _column(source.removeprefix(COLUMN), utterances, f"{key}.{name}")
        if source.startswith(COLUMN)
        else _output(folder / f"{source}.scp", utterances)
        for name, source in inputs.items()
    }


def _column(column: str, utterances: Mapping[str, Utterance], key: str) -> dict[str, str]:
    columns = [field.name for field in fields(Utterance)]
    if column not in columns:
        raise ConfigError(f"{key}: a test set has no column {column!r}; it has {', '.join(columns)}.")
    return {utt_id: str(getattr(utterance, column)) for utt_id, utterance in utterances.items()}


def _output(path: Path, utterances: Mapping[str, Utterance]) -> dict[str, str]:
    values = read_scp(path)
    missing = [utt_id for utt_id in utterances if utt_id not in values]
    extra = [utt_id for utt_id in values if utt_id not in utterances]
    if missing or extra:
        findings = [f"it lacks {_names(missing)}"] * bool(missing) + [f"it has in addition {_names(extra)}"] * bool(
            extra
        )
        raise DataError(
            f"{path} and its test set do not have the same utterances: {'; '.join(findings)}. Run infer again for this "
            "test set, or correct dataset.test in the metrics config."
        )
    return {utt_id: values[utt_id] for utt_id in utterances}


def _names(utt_ids: Iterable[str]) -> str:
    listed = list(utt_ids)
    more = ", ..." if len(listed) > NAMED else ""
    return f"{len(listed)} ({', '.join(listed[:NAMED])}{more})"
