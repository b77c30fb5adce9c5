"""A pronunciation lexicon as a tokenizer: text to phones.

Its phones are the auxiliary tokens of models that are trained to tell them in a lower layer. Unlike the tokenizers
of `espnet3.components.data.tokenizer`, it does not lead back to the text.
"""

from pathlib import Path

from espnet3.components.data.text import normalise
from espnet3.components.data.text_lines import text_lines
from espnet3.components.data.tokenizer import BLANK, UNKNOWN
from espnet3.errors import DataError


class LexiconTokenizer:
    """Phones of a text by the first pronunciation of each word; blank is 0, an unknown word is 1.

    Args:
        path: a text file in the format of the CMU dictionary, `<word> <phone> <phone> ...` on each line; further
            pronunciations, `<word>(2) ...`, and lines that begin with `;;;` are left out.

    Raises:
        DataError: there is no such file, or a word has no phones.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.pronunciations = read_lexicon(Path(path))
        phones = sorted({phone for phones in self.pronunciations.values() for phone in phones})
        self.symbols = [BLANK, UNKNOWN, *phones]
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols)}

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str, rng: object = None) -> list[int]:
        """The ids of a text's phones; nothing is drawn."""
        return [
            self._ids[phone] for word in normalise(text).split() for phone in self.pronunciations.get(word, [UNKNOWN])
        ]


def read_lexicon(path: Path) -> dict[str, list[str]]:
    """The first pronunciation of each word; words and phones in the form of `espnet3.components.data.text`.

    Raises:
        DataError: there is no such file, it is not UTF-8, or a word has no phones.
    """
    lexicon: dict[str, list[str]] = {}
    try:
        for number, line in text_lines(path):
            word, *phones = normalise(line).split() or [""]
            if not word or word.startswith(";;;") or word.endswith(")"):
                continue
            if not phones:
                raise DataError(f"{path}:{number}: the word {word} has no phones; write `<word> <phone> <phone> ...`.")
            lexicon.setdefault(word, phones)
    except FileNotFoundError:
        raise DataError(f"There is no lexicon {path}. Run create_dataset, or mend the path in the config.") from None
    return lexicon
