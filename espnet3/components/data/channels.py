"""Utterances of single channels, for dataset builders whose corpus has a speaker or a microphone in each.

A manifest line without a channel means all of them, mixed (`espnet3.components.data.manifest`).
"""

from dataclasses import replace
from pathlib import Path

from espnet3.components.data.audio import audio_info, channels_named
from espnet3.components.data.manifest import Utterance
from espnet3.errors import DataError

EACH = "each"


def of_channels(utterance: Utterance, path: Path, wanted: str) -> list[Utterance]:
    """The utterance as a table wants it: mixed, of one channel, or one for each channel.

    Args:
        utterance: of a whole file, or of a part.
        path: of its audio file.
        wanted: empty for the mean of all channels, the number of a channel from 0, or `each`; the channel's number is
            then added to utt_id.

    Raises:
        DataError: there is no such channel, or the file cannot be read.
    """
    wanted = wanted.strip()
    if not wanted:
        return [utterance]
    channels = audio_info(path).channels
    if wanted == EACH:
        return [replace(utterance, utt_id=f"{utterance.utt_id}-{n}", channel=n) for n in range(channels)]
    if not (wanted.isascii() and wanted.isdigit() and int(wanted) < channels):
        raise DataError(
            f"{utterance.utt_id}: channel is {wanted!r}, but {path} has {channels_named(channels)}. Give a number, "
            f"{EACH!r} for an utterance of each, or nothing for the mean of all."
        )
    return [replace(utterance, channel=int(wanted))]
