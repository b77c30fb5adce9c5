"""Before the first step of a training: which transcripts are too long for what the encoder leaves of their speech.

CTC needs a frame for each token, and one more between two that are the same. `ASRSystem.train` hands
`check_transcripts` to the base's train. It reads the shapes that collect_stats wrote and asks the model for the frames
that its encoder leaves; no audio is read but that of the first transcript found, to be sure. Shapes are of speech as
it was recorded and tokens are those without sampling: what augmentation does to an utterance is seen in its batch,
where the model leaves out those that do not fit (`too_short` among the metrics).
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet3.errors import DataError

if TYPE_CHECKING:
    from espnet3.components.training.loop import Parts
    from espnet3.systems.asr.models.ctc_model import CTCModel
    from espnet3.systems.asr.preprocessor import SpeechTextPreprocessor
    from espnet3.systems.base.config import TrainingConfig

log = logging.getLogger(__name__)

AT_ONCE = 1024
"""Transcripts that are compared together."""
MOST = 0.5
"""Where more than this part of a split is too long, training it makes no sense."""
LATER = "transcripts that are too long for their speech are not counted before; each batch leaves its own out."


@dataclass(frozen=True, order=True)
class TooLong:
    """A transcript that does not fit."""

    index: int
    """Of the utterance in its split."""
    utt_id: str
    tokens: int
    needed: int
    """Frames that hold the tokens."""
    left: int
    """Frames that the encoder leaves."""
    frames: int
    """Frames of features."""


@dataclass(frozen=True)
class Found:
    """What is known of the transcripts of a split, or of one rank's part of them."""

    compared: int
    too_long: int
    first: TooLong | None


def check_transcripts(settings: "TrainingConfig", preprocessor: Any, parts: "Parts") -> None:
    """Warn of transcripts that are too long, of training and validation, and stop where most are.

    Raises:
        DataError: most transcripts of a split need more frames than are left of their speech, or the shapes are
            damaged.
    """
    from espnet3.components.training.ranks import gather
    from espnet3.systems.asr.models.ctc_model import CTCModel
    from espnet3.systems.asr.preprocessor import SpeechTextPreprocessor

    model = parts.model.module
    if not isinstance(model, CTCModel) or not isinstance(preprocessor, SpeechTextPreprocessor):
        return
    if type(model).output_lengths is CTCModel.output_lengths:
        log.info("%s has no output_lengths, so %s", type(model).__name__, LATER)
        return
    for split, data in (("train", parts.train_data), ("valid", parts.valid_data)):
        path = Path(settings.stats_dir) / split / "feats_shape"
        if not path.exists():
            log.info("There is no %s, so %s", path, LATER)
            continue
        comparison = _Comparison(model, preprocessor, data.samples)
        own = comparison.of_rank(path, parts.fabric.global_rank, parts.fabric.world_size)
        found = _together(gather(own))
        if found.first is not None and comparison.is_so(found.first):
            _tell(f"training_config.dataset.{split}", found, found.first, warn=parts.fabric.is_global_zero)


@dataclass(frozen=True)
class _Comparison:
    model: "CTCModel"
    preprocessor: "SpeechTextPreprocessor"
    samples: Any
    """As `espnet3.components.data.dataset.SpeechDataset` has them."""

    def of_rank(self, path: Path, rank: int, world: int) -> Found:
        """Compare each utterance that this rank looks at: every `world`-th of the shapes at `path`."""
        compared, found = 0, list[TooLong]()
        own = islice(_shapes(path), rank, None, world)
        while chunk := list(islice(own, AT_ONCE)):
            known = {index: frames for index, (utt_id, frames) in chunk if self._utt_id(index) == utt_id}
            texts = {index: self.preprocessor.tokens(self.samples.utterance(index).text) for index in known}
            found += self._too_long(known, texts)
            compared += len(known)
        return Found(compared, len(found), min(found, default=None))

    def is_so(self, one: TooLong) -> bool:
        """Whether it is too long as it is trained on, too, where a dataset may give another text than its manifest."""
        arrays = self.preprocessor(self.samples[one.index], None)
        return bool(self._too_long({one.index: len(arrays["feats"])}, {one.index: arrays["tokens"]}))

    def _too_long(self, frames: Mapping[int, int], tokens: Mapping[int, Any]) -> list[TooLong]:
        import torch

        from espnet3.components.data.padding import pad
        from espnet3.components.modeling.ctc import frames_needed

        if not frames:
            return []
        padded, lengths = (torch.from_numpy(array) for array in pad([tokens[index] for index in frames]))
        needed = frames_needed(padded, lengths)
        left = self.model.output_lengths(torch.tensor(list(frames.values())))
        rows = zip(frames.items(), lengths.tolist(), needed.tolist(), left.tolist(), strict=True)
        return [
            TooLong(index, self._utt_id(index), length, need, rest, count)
            for (index, count), length, need, rest in rows
            if rest < need
        ]

    def _utt_id(self, index: int) -> str:
        return str(self.samples.utterance(index).utt_id) if index < len(self.samples) else ""


def _shapes(path: Path) -> Iterator[tuple[int, tuple[str, int]]]:
    """Place, id and number of frames of each utterance, as collect_stats wrote them.

    Raises:
        DataError: the file is damaged.
    """
    with path.open(encoding="utf-8") as file:
        for index, line in enumerate(file):
            utt_id, _, shape = line.rpartition(" ")
            frames = shape.partition(",")[0]
            if not utt_id or not frames.isdecimal():
                raise DataError(
                    f"{path}, line {index + 1} is damaged: {line!r}. Take the file away, and run collect_stats."
                )
            yield index, (utt_id, int(frames))


def _together(parts: list[Found]) -> Found:
    firsts = [part.first for part in parts if part.first is not None]
    return Found(sum(part.compared for part in parts), sum(part.too_long for part in parts), min(firsts, default=None))


def _tell(key: str, found: Found, first: TooLong, *, warn: bool) -> None:
    """Warn, or stop the training.

    Raises:
        DataError: most are too long.
    """
    what = (
        f"{key}: {found.too_long} of {found.compared} transcripts need more frames than the model leaves of their "
        f"speech. The first is {first.utt_id}: {first.tokens} tokens need {first.needed} frames, and of its "
        f"{first.frames} frames {first.left} are left."
    )
    if found.too_long > MOST * found.compared:
        raise DataError(
            f"{what} There is next to nothing to learn, so the training does not start. Look at the alignment: whether "
            "the texts are those of their recordings, and start and end those of their speech. Is it the speed of the "
            "speech, or the length of its texts in tokens, lower the model's subsampling or take longer tokens, such "
            "as word pieces."
        )
    if warn:
        log.warning("%s These count nothing in the loss. Look at their texts, starts and ends.", what)
