"""`espnet3.load`: a packed model, from a folder or a Hub, as an object that turns speech into text.

`espnet3.load` and `python -m espnet3.transcribe` call it. For what a pack may be, see `espnet3.packs.pack`; for
what happens to audio, `espnet3.systems.asr.transcriber`.
"""

import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from espnet3.errors import ConfigError, DataError
from espnet3.packs.pack import META, WEIGHTS, Pack, read_pack
from espnet3.recipe.recipe import activated
from espnet3.systems.asr.transcriber import Recogniser, SpeechToText

BACKENDS = ("auto", "torch", "onnx", "onnx-int8")
_ONNX_FILES = {"onnx": "model.onnx", "onnx-int8": "model.int8.onnx"}
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    model: str | Path,
    *,
    backend: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    trust_code: bool = False,
) -> SpeechToText:
    """Load a packed model. Nothing of the pack is executed, unless its recipe's own code is trusted.

    Args:
        model: a folder that pack_model wrote, or `owner/name` of a repository on the Hub (that of HF_ENDPOINT).
        backend: `torch`, `onnx` or `onnx-int8` (a quarter of the size, quicker, a little less exact), which need no
            torch; `auto` takes torch where it is installed, else the best of the others that the pack has.
        device: of torch: `auto` is the first GPU where there is one.
        revision: branch, tag or commit on the Hub.
        trust_code: run the recipe's own code where the pack has any: the files that `code` of its meta.json names.

    Raises:
        ConfigError: an argument is wrong, what the backend needs is not installed, or the Hub has no such model or does
            not open it.
        DataError: there is no such folder, the repository holds no packed model, or the model is damaged or of a newer
            version.
        TryAgain: the Hub cannot be reached.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend: {backend!r} is none of {', '.join(BACKENDS)}.")
    torch = backend == "torch" or (backend == "auto" and find_spec("torch") is not None)
    folder = find_pack(model, revision, () if torch else _needed(backend))
    pack = read_pack(folder, trust_code, builds_model=torch)
    chosen = _chosen(backend, pack)
    with _own_code(pack):
        recogniser = _build(pack, chosen, device)
    return SpeechToText(pack.meta, recogniser)


def find_pack(model: str | Path, revision: str | None = None, onnx: Collection[str] | None = None) -> Path:
    """The folder of a model, downloaded where it is on the Hub.

    Args:
        model: as in `load`.
        revision: as in `load`.
        onnx: names of the ONNX models that are needed; all where left out.

    Raises:
        ConfigError: the Hub has no such repository, or does not open it.
        DataError: there is no such folder, and the name is none of a repository; or of one that holds no packed model.
        TryAgain: the Hub cannot be reached.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.exists() or not _REPOSITORY.fullmatch(str(model)):
        raise DataError(
            f"{model} is not a folder of a packed model (one with {META}), nor the name of a repository (owner/name)."
        )
    from espnet3.publishing.download import download

    return download(str(model), revision, onnx)


def _needed(backend: str) -> Collection[str] | None:
    return (_ONNX_FILES[backend],) if backend in _ONNX_FILES else None


def _chosen(backend: str, pack: Pack) -> str:
    if backend != "auto":
        return backend
    if find_spec("torch") is not None:
        return "torch"
    for name, file in _ONNX_FILES.items():
        if (pack.dir / file).is_file():
            return name
    raise ConfigError(f"torch is not installed, and {pack.dir} has no ONNX model. Install the extra infer.")


@contextmanager
def _own_code(pack: Pack) -> Iterator[None]:
    if not (pack.meta.code and pack.trust_code):
        yield
        return
    with without_bytecode(), activated(pack.dir):
        yield


@contextmanager
def without_bytecode() -> Iterator[None]:
    """That of a pack's own code would lie beside it, in nobody's sums, and hold this machine's paths and times."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _build(pack: Pack, backend: str, device: str) -> Recogniser:
    from espnet3.config.instantiate import build, prepare

    config = pack.config()
    recogniser = config["recogniser"]
    try:
        decoder = build(recogniser["decoder"], "recogniser.decoder")
        if backend == "torch":
            cls: Any = prepare({"_target_": recogniser["_target_"]}, "recogniser").func  # type: ignore[attr-defined]
            built: Recogniser = cls.from_config(config, pack.file(WEIGHTS), decoder, device)
            return built
    except (ConfigError, DataError) as error:
        raise DataError(f"The model in {pack.dir} cannot be built: {error}") from error
    from espnet3.systems.asr.onnx_inference import OnnxRecogniser
    from espnet3.systems.asr.parts import build_preprocessor

    return OnnxRecogniser.of_parts(build_preprocessor(config), decoder, pack.file(_ONNX_FILES[backend]))
