"""The config of a packed model, read as what it is: a text from a stranger.

`espnet3.packs.pack` reads packs with it and `espnet3.publishing.pack_model` checks what it writes. It may name the
classes of ALLOWED and no others, hold no interpolation (which could read the environment), and reach no file but the
pack's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from espnet3.errors import DataError

_DATA = "espnet3.components.data"
_ASR = "espnet3.systems.asr"
ALLOWED = frozenset(
    {
        f"{_DATA}.features.LogMel",
        f"{_DATA}.tokenizer.CharTokenizer",
        f"{_DATA}.tokenizer.SentencePieceTokenizer",
        f"{_DATA}.lexicon.LexiconTokenizer",
        f"{_ASR}.preprocessor.SpeechTextPreprocessor",
        f"{_ASR}.models.bilstm.BiLSTMCTC",
        f"{_ASR}.models.conformer_ctc.ConformerCTC",
        f"{_ASR}.models.joint.ConformerJoint",
        f"{_ASR}.inference.Recogniser",
        f"{_ASR}.decoding.greedy.GreedyDecoder",
        f"{_ASR}.decoding.prefix_beam.PrefixBeamDecoder",
        f"{_ASR}.decoding.joint_beam.JointBeamDecoder",
        f"{_ASR}.decoding.rescore.AuxiliaryRescorer",
        f"{_ASR}.decoding.ngram.WordNgram",
    }
)
"""What a pack may build: classes that compute, and read no file but the one that they are given."""
PARTS = ("features", "tokenizer", "preprocessor", "model", "recogniser")
"""What every pack's config has."""
DEEPEST = 20
LONGEST_NUMBER = 100
"""Characters."""
_FILE_KEYS = ("path", "arpa", "manifest", "lexicon")
_OWN_CODE = ("src.",)

Place = tuple[str, ...]


@dataclass(frozen=True)
class OwnCode:
    """Where a config may name the recipe's own classes (`src.…`)."""

    everywhere: bool = False
    in_model: bool = False
    """As what the model is, which an ONNX copy of it does not build."""

    def may_be(self, place: Place) -> bool:
        """Whether the `_target_` at a place may be one of them."""
        return self.everywhere or (self.in_model and place[0] == "model")


def checked_config(text: str, path: Path, files: Mapping[str, Path], own_code: OwnCode) -> dict[str, Any]:
    """The config, with the names of the pack's files made absolute.

    Args:
        text: YAML.
        path: its file, for messages.
        files: the pack's files by name.
        own_code: where it may name the recipe's own classes.

    Raises:
        DataError: it is malformed, or asks for what no pack may.
    """
    content = plain_yaml(text, path)
    if not isinstance(content, dict) or any(not isinstance(content.get(part), dict) for part in PARTS):
        raise DataError(f"{path} is damaged: it should have the sections {', '.join(PARTS)}.")
    for place, fault in _faults(content, files, own_code, ()):
        raise DataError(f"{path}: {'.'.join(place)} {fault}")
    absolute = _absolute(content, files)
    assert isinstance(absolute, dict)
    return absolute


def plain_yaml(text: str, path: Path) -> Any:
    """What a stranger's YAML holds, in a time that grows with its length only.

    Raises:
        DataError: it is malformed, or has what makes a few bytes grow without end.
    """
    try:
        return yaml.load(text, Loader=_Plain)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is damaged: it is not plain YAML ({reason}).") from None


class _Plain(yaml.SafeLoader):
    """Without aliases, whose expansion doubles with each level, and without numbers of any length."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(
                f"line {event.start_mark.line + 1} has the alias *{event.anchor}; write out what it stands for"
            )
        return super().compose_node(parent, index)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if node.tag.rpartition(":")[2] in ("int", "float") and len(node.value) > LONGEST_NUMBER:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1} has a number of {len(node.value)} characters")
        return super().construct_scalar(node)


def _faults(node: Any, files: Mapping[str, Path], own_code: OwnCode, place: Place) -> Iterator[tuple[Place, str]]:
    if len(place) > DEEPEST:
        yield place[:3], "is nested deeper than any config."
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _key_faults(key, value, files, own_code, place)
            yield from _faults(value, files, own_code, (*place, str(key)))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _faults(value, files, own_code, (*place, str(number)))
    elif isinstance(node, str) and "${" in node:
        yield place, f"is {node!r}; a pack has no interpolations, which could read this machine's environment."
    elif isinstance(node, str) and (PurePosixPath(node).is_absolute() or ".." in node.replace("\\", "/").split("/")):
        yield place, f"is {node!r}, which leads out of the pack; its own files have relative names."


def _key_faults(
    key: Any, value: Any, files: Mapping[str, Path], own_code: OwnCode, place: Place
) -> Iterator[tuple[Place, str]]:
    where = (*place, str(key))
    if not isinstance(key, str) or (key.startswith("_") and key != "_target_"):
        yield where, "is a key that no pack has; only _target_ begins with an underscore."
    elif (
        key == "_target_"
        and str(value) not in ALLOWED
        and not (own_code.may_be(where) and str(value).startswith(_OWN_CODE))
    ):
        yield where, f"is {value!r}, which a pack may not build; it may name espnet3's own: {', '.join(_short())}."
    elif key in _FILE_KEYS and isinstance(value, str) and value not in files:
        yield where, f"is {value!r}, which is not a file of the pack."


def _short() -> list[str]:
    return sorted(target.rpartition(".")[2] for target in ALLOWED)


def _absolute(node: Any, files: Mapping[str, Path]) -> Any:
    if isinstance(node, dict):
        return {key: _absolute(value, files) for key, value in node.items()}
    if isinstance(node, list):
        return [_absolute(value, files) for value in node]
    return str(files[node]) if isinstance(node, str) and node in files else node
