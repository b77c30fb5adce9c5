"""What create_dataset hears in recordings: values that are no numbers, another scale, silence, channels.

`utterance_checks` asks for each file and each utterance. As little is decoded as will tell: floats alone can hold what
is no number, the first sound ends the search for silence, and channels are compared in a few places of a file.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.amplitude import scale_problem
from espnet3.components.data.audio import STEP, AudioInfo, opened
from espnet3.components.data.containers.decoder import Frames
from espnet3.components.data.containers.sound import Sound
from espnet3.components.data.manifest import Utterance

FIRST_BLOCK, BLOCK = 1 << 11, 1 << 16
"""Frames that are decoded at once, at first and later."""
PLACES, PLACE_SECONDS = 8, 8.0
"""Where and how long the channels of a file are compared: about a minute of it."""
OPPOSITE = -0.5
"""Correlation from which on mixing takes away more than half of the power of two channels."""
APART = 10.0
"""Times the power of the other channels, 10 dB: the speaker of this one speaks."""
WINDOW = 0.05
"""Seconds in which powers are compared."""
FEW, MOST = 0.1, 0.7
"""Parts of the time in which a channel's speaker speaks at least, and all of them together, where each has one."""
SILENCE = "holds nothing but digital silence", "Look for the recording that was meant, or leave them out."
OPPOSITE_PHASES = (
    "has channels that cancel each other when they are mixed (opposite phases)",
    "Name one of them in the manifest, as channel: 0.",
)
SPEAKERS_APART = (
    "has another speaker in each channel, and mixing puts them on top of each other",
    "Name the channel of each utterance in the manifest, as channel: 0.",
)
_FLOATS = frozenset({"FLOAT", "DOUBLE"})


class ContentCheck:
    """Listens to one utterance after the other, and counts what is worth a look.

    Args:
        root: the folder to which the paths of audio are relative.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], str] = {}

    def look_at(self, audio: str, info: AudioInfo, is_mixed: bool) -> None:
        """Count what is odd about a file.

        Args:
            audio: its path, as in the manifest.
            info: what it holds.
            is_mixed: whether its channels are mixed.

        Raises:
            DataError: it cannot be read.
        """
        if info.remark:
            self._note((info.remark, ""), audio)
        if is_mixed and info.channels > 1:
            with opened(self._root / audio) as sound:
                if found := mixing_problem(_samples_of(sound), sound.rate):
                    self._note(found, audio)

    def problem(self, utterance: Utterance, info: AudioInfo) -> str | None:
        """What makes an utterance useless, as a sentence; whether it is silent is counted.

        Raises:
            DataError: its file cannot be read.
        """
        if info.encoding not in _FLOATS and not info.ends_silent and _reaches_the_end(utterance, info):
            return None
        low, high = np.inf, -np.inf
        with opened(self._root / utterance.audio) as sound:
            for block in _blocks(sound, utterance):
                if info.encoding in _FLOATS and (found := scale_problem(block)):
                    return f"{utterance.audio} holds {found}."
                heard = block if utterance.channel is None else block[:, [utterance.channel]]
                low, high = np.minimum(low, heard.min(axis=0)), np.maximum(high, heard.max(axis=0))
                if info.encoding not in _FLOATS and np.max(high - low) > STEP:
                    return None
        if np.max(high - low) <= STEP:
            self._note(SILENCE, f"{utterance.utt_id} ({utterance.audio})")
        return None

    def warnings(self) -> list[str]:
        """A sentence for each kind of what is worth a look."""
        found = []
        for (what, cure), count in self._counts.items():
            more = f"; {count - 1} more are like that" if count > 1 else ""
            found.append(f"{self._first[what, cure]} {what}{more}. {cure}".rstrip())
        return found

    def _note(self, kind: tuple[str, str], place: str) -> None:
        self._counts[kind] += 1
        self._first.setdefault(kind, place)


def mixing_problem(samples: Frames, rate: int) -> tuple[str, str] | None:
    """What is lost when channels (n, channels) are mixed, and the cure; None where nothing much is."""
    centred = samples - samples.mean(axis=0)
    power = np.square(centred).mean(axis=0)
    heard = centred[:, power > 1e-9]
    if heard.shape[1] < 2:
        return None
    if np.corrcoef(heard, rowvar=False).min() <= OPPOSITE:
        return OPPOSITE_PHASES
    size = max(1, round(WINDOW * rate))
    windows = np.square(heard[: len(heard) // size * size]).reshape(-1, size, heard.shape[1]).mean(axis=1)
    return SPEAKERS_APART if _take_turns(windows) else None


def _take_turns(windows: NDArray[np.float32]) -> bool:
    """Whether one channel after the other speaks while the others are quiet; powers, (windows, channels)."""
    total = windows.sum(axis=1, keepdims=True)
    is_active = total[:, 0] > 0.05 * total.mean() if len(total) else np.zeros(0, bool)
    if not is_active.any():
        return False
    shares = (windows > APART * (total - windows))[is_active].mean(axis=0)
    return bool((shares >= FEW).sum() >= 2 and shares.sum() >= MOST)


def _reaches_the_end(utterance: Utterance, info: AudioInfo) -> bool:
    """Whether an utterance has the last samples of its file, on whichever channel they are heard."""
    return utterance.channel is None and utterance.start + utterance.duration >= info.duration - 1 / info.sample_rate


def _blocks(sound: Sound, utterance: Utterance) -> Iterator[Frames]:
    place = round(utterance.start * sound.rate)
    end, size = min(sound.frames, place + round(utterance.duration * sound.rate)), FIRST_BLOCK
    while place < end and len(block := sound.read(place, min(size, end - place))):
        yield block
        place, size = place + len(block), BLOCK


def _samples_of(sound: Sound) -> Frames:
    """A minute of a file, from several places."""
    size = round(PLACE_SECONDS * sound.rate)
    if sound.frames <= PLACES * size:
        return sound.read(0, sound.frames)
    starts = np.linspace(0, sound.frames - size, PLACES).astype(int)
    return np.concatenate([sound.read(int(start), size) for start in starts])
