"""`espnet3.load`: a packed model, from a folder or a Hub, as the object that its task makes of it.

`espnet3.load` and the demo call it. For what a pack may be, see `espnet3.packs.pack`; what the object can do is told by
the task, whose `PACKING` is asked for it.
"""

import re
from collections.abc import Callable, Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from espnet3.errors import ConfigError, DataError
from espnet3.packs.meta import META, Meta
from espnet3.packs.pack import Pack, Packing, read_pack
from espnet3.packs.tasks import packing_of

AUTO, TORCH = "auto", "torch"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    model: str | Path,
    *,
    backend: str = AUTO,
    device: str = "auto",
    revision: str | None = None,
    trust_code: bool = False,
) -> Any:
    """Load a packed model. Nothing of the pack is executed, unless its recipe's own code is trusted.

    Args:
        model: a folder that pack_model wrote, or `owner/name` of a repository on the Hub (that of HF_ENDPOINT).
        backend: `torch`, or one of those of the model's task that need no torch: `onnx`, or `onnx-int8` (a quarter of
            the size, quicker, a little less exact); `auto` takes torch where it is installed, else the best of the
            others that the pack has.
        device: of torch: `auto` is the first GPU where there is one.
        revision: branch, tag or commit on the Hub.
        trust_code: run the recipe's own code where the pack has any: the files that `code` of its meta.json names.

    Raises:
        ConfigError: an argument is wrong, what the backend needs is not installed, or the Hub has no such model or does
            not open it.
        DataError: there is no such folder, the repository holds no packed model, or the model is damaged, or of a newer
            version or a task that is not installed.
        TryAgain: the Hub cannot be reached.
    """
    torch = backend == TORCH or (backend == AUTO and _has_torch())
    folder = find_pack(model, revision, lambda meta: () if torch else _needed(backend, meta))
    pack = read_pack(folder, trust_code, builds_model=torch)
    return pack.packing.load(pack, _chosen(backend, pack), device)


def find_pack(
    model: str | Path, revision: str | None = None, optional: Callable[[Meta], Collection[str] | None] | None = None
) -> Path:
    """The folder of a model, downloaded where it is on the Hub.

    Args:
        model: as in `load`.
        revision: as in `load`.
        optional: which of the files that a download may leave out are needed; all where it is left out or gives None.

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

    return download(str(model), revision, optional)


def best_without_torch(pack: Pack) -> str | None:
    """The best way to run a model without torch; None where the pack has no file for any."""
    return next((name for name, file in pack.packing.backends.items() if (pack.dir / file).is_file()), None)


def _needed(backend: str, meta: Meta) -> Collection[str] | None:
    """The file that a backend runs; None, which is all of them, where the best that is there is to be taken."""
    packing = packing_of(meta.task, Path(META))
    _check(backend, packing)
    return None if backend == AUTO else (packing.backends[backend],)


def _chosen(backend: str, pack: Pack) -> str:
    _check(backend, pack.packing)
    if backend != AUTO:
        return backend
    chosen = TORCH if _has_torch() else best_without_torch(pack)
    if chosen is None:
        raise ConfigError(f"torch is not installed, and {pack.dir} has no ONNX model. Install the extra infer.")
    return chosen


def _check(backend: str, packing: Packing) -> None:
    known = (AUTO, TORCH, *packing.backends)
    if backend not in known:
        raise ConfigError(f"backend: {backend!r} is none of {', '.join(known)}.")


def _has_torch() -> bool:
    return find_spec("torch") is not None
