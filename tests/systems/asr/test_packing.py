"""What may be in a pack of speech recognition: every class of ours that computes, or the reason why not."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import espnet3.components.data.lexicon
import espnet3.components.data.tokenizer
import espnet3.systems.asr.decoding
import espnet3.systems.asr.models
from espnet3.config.instantiate import prepare
from espnet3.systems.asr.models.ctc_model import CTCModel
from espnet3.systems.asr.packing import PACKING

REFUSED = {
    "espnet3.systems.asr.models.ctc_model.CTCModel": "what the others are made of; has no encoder",
    "espnet3.systems.asr.decoding.decoder.CTCDecoder": "what the others are made of; decodes nothing itself",
    "espnet3.systems.asr.decoding.decoder.Decoder": "a protocol",
    "espnet3.components.data.tokenizer.Tokenizer": "a protocol",
}


def classes(module: ModuleType) -> Iterator[type]:
    """Those that a module itself defines, and the modules of a package."""
    for place in pkgutil.iter_modules(getattr(module, "__path__", [])):
        yield from classes(importlib.import_module(f"{module.__name__}.{place.name}"))
    members = inspect.getmembers(module, inspect.isclass)
    yield from (found for _, found in members if found.__module__ == module.__name__)


def named(kinds: Iterator[type]) -> set[str]:
    return {f"{each.__module__}.{each.__qualname__}" for each in kinds}


def buildable() -> set[str]:
    """What a config can name as a model, a decoder or a tokenizer."""
    models = (each for each in classes(espnet3.systems.asr.models) if issubclass(each, CTCModel))
    decoders = (each for each in classes(espnet3.systems.asr.decoding) if hasattr(each, "decode_batch"))
    modules = (espnet3.components.data.tokenizer, espnet3.components.data.lexicon)
    tokenizers = (each for module in modules for each in classes(module) if hasattr(each, "encode"))
    return named(models) | named(decoders) | named(tokenizers)


def test_each_model_decoder_and_tokenizer_may_be_packed_or_is_refused_for_a_reason() -> None:
    found = buildable()
    assert len(found) > len(REFUSED)
    assert found - PACKING.allowed - REFUSED.keys() == set(), "add it to ASRPacking.allowed, or say here why not"
    assert REFUSED.keys() <= found - PACKING.allowed


@pytest.mark.parametrize("target", sorted(PACKING.allowed))
def test_what_may_be_packed_exists(target: str) -> None:
    prepare({"_target_": target}, "here")


def test_packs_that_are_out_there_are_found_by_what_they_say() -> None:
    assert PACKING.task == "automatic-speech-recognition"
