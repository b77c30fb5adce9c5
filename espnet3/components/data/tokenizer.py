"""Text to token ids and back: characters or sentencepiece, with the symbols that CTC and attention decoders need.

The preprocessor encodes, decoders decode, and ASRSystem's train_tokenizer stage makes the file that a tokenizer reads.
Text is normalised to NFC and single spaces, and to nothing else: case, punctuation and script are up to the corpus.
"""

import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

import numpy as np
from omegaconf import DictConfig

from espnet3.components.data.text import composed, normalise
from espnet3.config.instantiate import build
from espnet3.config.sections import DataConfig, Target, read_config
from espnet3.errors import ConfigError, DataError
from espnet3.runtime.files import remove_leftovers, write_bytes, write_text
from espnet3.runtime.leases import lease
from espnet3.runtime.progress import track

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

    from espnet3.components.data.dataset import SpeechDataset

log = logging.getLogger(__name__)

MOST_SHOWN = 20
"""Characters in a warning."""

BLANK, UNKNOWN, SPACE, BOUNDARY = "<blank>", "<unk>", "<space>", "<sos/eos>"
BLANK_ID, UNKNOWN_ID = 0, 1

UNKNOWN_TEXT = "\N{REPLACEMENT CHARACTER}"
"""What <unk> reads as: one character, which no reference has; in scoring it equals nothing."""

_THEIR_UNKNOWN = " \N{DOUBLE QUESTION MARK} "
"""What <unk> reads as in a sentencepiece model that was made elsewhere."""
_THEIR_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""How sentencepiece writes a space; in a text, it is a character that such a tokenizer cannot have."""


class Tokenizer(Protocol):
    """What models and decoders know of a tokenizer. Id 0 is <blank>, 1 is <unk>, the last is <sos/eos>."""

    @property
    def path(self) -> str:
        """The file that `train` makes and everything else reads."""

    @property
    def symbols(self) -> list[str]:
        """The symbol of each id."""

    def encode(self, text: str, rng: np.random.Generator | None = None) -> list[int]:
        """Ids of `text`; drawn at random where `rng` is given and the tokenizer samples."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, without <blank> and <sos/eos>."""

    def missing(self, text: str) -> set[str]:
        """Characters of `text` that have no symbol."""

    def train(self, texts: Iterable[str]) -> None:
        """Make the file at `path` from the transcripts of the training set."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class CharTokenizer:
    """One symbol for each character (NFC code point) of the training transcripts; `path` is a JSON file."""

    path: str

    @cached_property
    def symbols(self) -> list[str]:
        """The symbol of each id."""
        symbols = _parse(_read(self.path))
        if symbols[:2] != [BLANK, UNKNOWN] or symbols[-1] != BOUNDARY:
            raise DataError(
                f"{self.path} is not a character tokenizer: it should be JSON with a list of symbols that starts with "
                f"{BLANK} and {UNKNOWN} and ends with {BOUNDARY}. Make it anew: run train_tokenizer."
            )
        return symbols

    def encode(self, text: str, rng: np.random.Generator | None = None) -> list[int]:
        """Ids of `text`."""
        return [self._ids.get(character, UNKNOWN_ID) for character in normalise(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, without <blank> and <sos/eos>."""
        readable = {UNKNOWN: UNKNOWN_TEXT, SPACE: " "}
        symbols = (self.symbols[index] for index in _spoken(ids, len(self)))
        return composed("".join(readable.get(symbol, symbol) for symbol in symbols))

    def missing(self, text: str) -> set[str]:
        """Characters of `text` that have no symbol."""
        return set(normalise(text)) - self._ids.keys()

    def train(self, texts: Iterable[str]) -> None:
        """Make the file at `path`: the characters of `texts`, in the order of their code points."""
        characters = set().union(*map(normalise, texts))
        if not characters:
            raise DataError("The training transcripts hold no text, so there are no characters to make a tokenizer of.")
        symbols = [SPACE if character == " " else character for character in sorted(characters)]
        content = {"symbols": [BLANK, UNKNOWN, *symbols, BOUNDARY]}
        write_text(self.path, json.dumps(content, ensure_ascii=False, indent=0) + "\n")

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {" " if symbol == SPACE else symbol: index for index, symbol in enumerate(self.symbols)}


@dataclass(frozen=True)
class SentencePieceTokenizer:
    """Subwords by sentencepiece (Kudo and Richardson, EMNLP 2018); `path` is its model.

    Raises:
        ConfigError: an option is out of its range.
    """

    path: str
    vocab_size: int = 500
    """Symbols in all, with <blank>, <unk> and <sos/eos>."""
    model_type: Literal["unigram", "bpe"] = "unigram"
    character_coverage: float = 1.0
    """Part of the characters that get a symbol; 0.9995 leaves out the rarest of a large set such as kanji."""
    nbest: int = 1
    """In training, draw among so many segmentations (Kudo, ACL 2018); 1 takes the best."""
    alpha: float = 0.1
    """How much better segmentations are preferred in drawing: 0 not at all."""

    def __post_init__(self) -> None:
        if self.model_type not in ("unigram", "bpe"):
            raise ConfigError(f"tokenizer.model_type: {self.model_type!r} is unknown; accepted are unigram and bpe.")
        if not 0.9 <= self.character_coverage <= 1:
            raise ConfigError(f"tokenizer.character_coverage: {self.character_coverage} is outside 0.9 to 1.")
        if self.vocab_size < 4 or self.nbest < 1 or self.alpha < 0:
            raise ConfigError(
                f"tokenizer: vocab_size ({self.vocab_size}) must be at least 4, nbest ({self.nbest}) at least 1 and "
                f"alpha ({self.alpha}) not negative."
            )
        if self.nbest > 1 and self.model_type != "unigram":
            raise ConfigError(
                "tokenizer.nbest: only a unigram model has several segmentations; set model_type: unigram."
            )

    @cached_property
    def symbols(self) -> list[str]:
        """The symbol of each id."""
        pieces = [self._model.id_to_piece(index) for index in range(1, len(self._model))]
        return [BLANK, UNKNOWN, *pieces, BOUNDARY]

    def encode(self, text: str, rng: np.random.Generator | None = None) -> list[int]:
        """Ids of `text`; drawn at random where `rng` is given and `nbest` is more than 1."""
        text = normalise(text).replace(_THEIR_SPACE, UNKNOWN_TEXT)
        pieces = self._draw(text, rng) if rng and self.nbest > 1 and text else self._model.encode(text)
        return [piece + 1 for piece in pieces]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, without <blank> and <sos/eos>."""
        text = self._model.decode([index - 1 for index in _spoken(ids, len(self))])
        return composed(text.replace(_THEIR_UNKNOWN, UNKNOWN_TEXT) if UNKNOWN_ID in ids else text)

    def missing(self, text: str) -> set[str]:
        """Characters of `text` that have no symbol, or read back as another."""
        return {character for character in set(normalise(text)) - {" "} if not self._reads_back(character)}

    def train(self, texts: Iterable[str]) -> None:
        """Make the model at `path`; the same texts and options give the same bytes."""
        from sentencepiece import SentencePieceTrainer

        given = (normalise(text.replace(_THEIR_SPACE, " ")) for text in texts)
        sentences = [sentence for sentence in given if sentence]
        if not sentences:
            raise DataError("The training transcripts hold no text, so sentencepiece has nothing to learn from.")
        model = BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(sentences), model_writer=model, **self._training_options()
            )
        except RuntimeError as error:
            self._explain(error)
        write_bytes(self.path, model.getvalue())

    def __len__(self) -> int:
        return len(self._model) + 2

    @cached_property
    def _model(self) -> "SentencePieceProcessor":
        from sentencepiece import SentencePieceProcessor

        content, model = _read(self.path), SentencePieceProcessor()
        try:
            model.load_from_serialized_proto(content)
        except RuntimeError:
            raise DataError(f"{self.path} is not a sentencepiece model. Make it anew: run train_tokenizer.") from None
        return model

    def _reads_back(self, character: str) -> bool:
        """Whether a character comes back as it is: a model made elsewhere may write another one (NFKC) in its place."""
        if character not in self._known:
            self._known[character] = self.decode(self.encode(character)) == character
        return self._known[character]

    @cached_property
    def _known(self) -> dict[str, bool]:
        return {}

    def _draw(self, text: str, rng: np.random.Generator) -> list[int]:
        # Not sentencepiece's own sampling: its random state belongs to the process and would not survive a resume.
        candidates: list[list[int]] = self._model.nbest_encode(text, nbest_size=self.nbest)
        scores = np.array([sum(map(self._model.get_score, pieces)) for pieces in candidates])
        weights = np.exp(self.alpha * (scores - scores.max()))
        return candidates[rng.choice(len(candidates), p=weights / weights.sum())]

    def _training_options(self) -> dict[str, Any]:
        return {
            "model_type": self.model_type,
            "vocab_size": self.vocab_size - 2,
            "character_coverage": self.character_coverage,
            "normalization_rule_name": "identity",
            "unk_id": 0,
            "unk_surface": UNKNOWN_TEXT,
            "bos_id": -1,
            "eos_id": -1,
            "pad_id": -1,
            "max_sentence_length": 1 << 20,
            "num_threads": 1,  # their number changes the model
            "minloglevel": 2,
        }

    def _explain(self, error: RuntimeError) -> NoReturn:
        """Say in the config's terms what sentencepiece refused."""
        if most := re.search(r"size too high .* value <= (\d+)", str(error)):
            limit = f"at most {int(most[1]) + 2} for these transcripts"
        elif least := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
            limit = (
                f"at least {int(least[1]) + 2} for the characters of these transcripts (or lower character_coverage)"
            )
        else:
            raise DataError(f"sentencepiece cannot learn from the training transcripts: {error}") from error
        raise ConfigError(f"training_config.tokenizer.vocab_size is {self.vocab_size}, but can be {limit}.") from None


class TokenizerConfig(DataConfig):
    """What train_tokenizer reads of the training config."""

    tokenizer: Target


def train_tokenizer(config: DictConfig) -> None:
    """The stage: make the tokenizer's file from the transcripts of the training split.

    Raises:
        ConfigError: the tokenizer's options do not fit the transcripts.
        DataError: there is no text, or a manifest is missing.
    """
    from espnet3.components.data.dataset_reference import load_datasets

    settings = read_config(TokenizerConfig, config, "training_config")
    tokenizer: Tokenizer = build(settings.tokenizer, "training_config.tokenizer")
    data = load_datasets(settings.dataset.train, Path(settings.recipe_dir))
    texts = (data.utterance(index).text for index in range(len(data)))
    with lease(Path(tokenizer.path).parent):
        remove_leftovers(Path(tokenizer.path).parent, nested=False)
        tokenizer.train(track(texts, len(data), "transcripts"))
    warn_of_missing(config, ("valid", "test"))


def warn_of_missing(config: DictConfig, splits: Sequence[str], why: str = "the training transcripts lack") -> None:
    """Say which characters of the splits the tokenizer of a config lacks, and why: a decoder cannot get them right."""
    from espnet3.components.data.dataset_reference import load_datasets

    settings = read_config(TokenizerConfig, config, "training_config")
    tokenizer: Tokenizer = build(settings.tokenizer, "training_config.tokenizer")
    for split in splits:
        for reference in getattr(settings.dataset, split):
            data = load_datasets([reference], Path(settings.recipe_dir))
            if found := _lacking(tokenizer, data):
                log.warning("%s: %s %s: %s", reference.name or split, found[0], why, found[1])


def _lacking(tokenizer: Tokenizer, data: "SpeechDataset") -> tuple[str, str] | None:
    """How many texts have characters that the tokenizer lacks, and which."""
    utterances = (data.utterance(index) for index in range(len(data)))
    lacking = {utterance.utt_id: missing for utterance in utterances if (missing := tokenizer.missing(utterance.text))}
    if lacking:
        first, characters = next(iter(lacking)), sorted(set[str]().union(*lacking.values()))
        shown = " ".join(map(repr, characters[:MOST_SHOWN])) + (" …" if len(characters) > MOST_SHOWN else "")
        return f"{len(lacking)} of {len(data)} texts have characters that", f"{shown}; the first is {first}."
    return None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"The tokenizer's file {path} is missing. Make it: run train_tokenizer.") from None


def _parse(content: bytes) -> list[str]:
    """The symbols of a character tokenizer's file; none where it is something else."""
    try:
        return [str(symbol) for symbol in json.loads(content)["symbols"]]
    except (ValueError, KeyError, TypeError):
        return []


def _spoken(ids: Sequence[int], size: int) -> list[int]:
    """`ids` without <blank> and <sos/eos>."""
    if wrong := [index for index in ids if not 0 <= index < size]:
        raise ValueError(f"Token ids must be from 0 to {size - 1}; given: {wrong[0]}.")
    return [index for index in ids if index not in (BLANK_ID, size - 1)]
