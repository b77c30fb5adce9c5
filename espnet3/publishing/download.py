"""Getting a packed model from a Hub into its cache, and saying why that failed. `espnet3.packs.loading` calls it."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path

from espnet3.errors import ConfigError, DataError, Espnet3Error, TryAgain
from espnet3.packs.meta import CARD, META, OPTIONAL, SUMS, Meta, read_promises
from espnet3.publishing.errors import clean, is_passing
from espnet3.publishing.repository import endpoint_of, keep_quiet, limit_waiting
from espnet3.runtime.failures import chain

TIMEOUT = 30.0
"""Seconds of one request without an answer."""


def download(repo: str, revision: str | None, optional: Callable[[Meta], Collection[str] | None] | None = None) -> Path:
    """The folder of a packed model's newest state, in the Hub's cache; what is there already is not loaded again.

    What the pack promises is loaded first, then what it lists and nothing else, whatever the repository holds besides.
    Where the Hub does not answer, what an earlier download left whole is taken.

    Args:
        repo: `owner/name`.
        revision: branch, tag or commit; the main branch where left out.
        optional: names of the files needed of those that may be left out, such as ONNX models, by what the pack says of
            itself; all where it is left out or gives None.

    Raises:
        ConfigError: huggingface_hub is not installed, there is no such repository or revision, or it is not open to
            the token that is set, or to one who has none.
        DataError: the repository holds no packed model, or one of a newer version.
        TryAgain: the Hub cannot be reached, or is overloaded.
    """
    keep_quiet()
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise ConfigError(
            f"{repo} is on a Hub, and huggingface_hub is not installed. Install the extra publish, or give the folder "
            "of a packed model."
        ) from None
    asked = _Asked(repo, revision, endpoint_of())
    folder = _snapshot(asked, revision, (META, SUMS))
    if not (folder / META).is_file():
        raise DataError(
            f"{asked.name} of {asked.endpoint} is not a packed model: it has no {META}. upload_model puts one there; "
            "name a repository of that kind."
        )
    meta, sums = read_promises(folder)
    needed = optional(meta) if optional else None
    left_out = [name for name in sums if name.endswith(OPTIONAL) and needed is not None and name not in needed]
    # The folder's name is the commit's: should the branch move on meanwhile, the files are still those of one state.
    return _snapshot(asked, folder.name, (META, SUMS, CARD, *(name for name in sums if name not in left_out)))


def _snapshot(asked: "_Asked", revision: str | None, names: Iterable[str]) -> Path:
    """The folder of these files of a repository, with what was downloaded of it before."""
    import huggingface_hub

    limit_waiting(TIMEOUT)
    patterns = [escape(name) for name in names]
    get = partial(
        huggingface_hub.snapshot_download,
        asked.repo,
        revision=revision,
        endpoint=asked.endpoint,
        allow_patterns=patterns,
    )
    try:
        try:
            return Path(get())
        except TryAgain as error:  # the Hub asks to wait for long
            with suppress(Exception):
                return Path(get(local_files_only=True))
            raise error from None
    except Exception as error:
        meaning = _meaning(error, asked)
        if meaning is None:
            raise
        raise meaning from None


@dataclass(frozen=True)
class _Asked:
    """What the messages are about."""

    repo: str
    revision: str | None
    endpoint: str

    @property
    def name(self) -> str:
        """The repository, and the revision where one is asked for."""
        return f"{self.repo} at {self.revision}" if self.revision else self.repo


def _meaning(error: BaseException, asked: _Asked) -> Espnet3Error | None:
    for each in chain(error):
        if meaning := _of_class(each, asked):
            return meaning
    if isinstance(error, OSError | RuntimeError):  # the disk; hf_xet's storage client, which has no finer class
        return TryAgain(f"{asked.name} cannot be downloaded now: {clean(str(error))} Try again.")
    return None


def _of_class(error: BaseException, asked: _Asked) -> Espnet3Error | None:
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if isinstance(error, Espnet3Error):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        return ConfigError(
            f"{asked.name} is not in the Hub's cache, and HF_HUB_OFFLINE is set. Unset it, or give the folder of a "
            "packed model."
        )
    if isinstance(error, HfHubHTTPError):
        return _of_status(error, asked)
    if isinstance(error, TransportError):
        return TryAgain(
            f"{asked.endpoint} cannot be reached or broke off ({type(error).__name__}: {clean(str(error))}). Is the "
            "network allowed here, and is HF_ENDPOINT right? Then try again."
        )
    if isinstance(error, HFValidationError):
        return ConfigError(f"{asked.repo} is not a name of a repository: {clean(str(error))}")
    return None


def _of_status(error: object, asked: _Asked) -> Espnet3Error:
    response = error.response  # type: ignore[attr-defined]
    status = int(response.status_code)
    said = clean(response.headers.get("X-Error-Message") or getattr(error, "server_message", None) or "").rstrip(".")
    reason = f"({status}{': ' + said if said else ''})"
    if is_passing(status):
        return TryAgain(f"{asked.endpoint} could not answer just now {reason}. Try again.")
    gated = response.headers.get("X-Error-Code") == "GatedRepo"
    # The Hub answers 401, too, where there is no such repository and nobody is logged in.
    kind = "gated" if gated else "wrong" if status == 401 and said.startswith("Invalid credentials") else str(status)
    return ConfigError(_cures(asked).get(kind, f"{asked.endpoint} does not give {asked.name} {{}}.").format(reason))


def _cures(asked: _Asked) -> dict[str, str]:
    token = "set HF_TOKEN to a token that may read it, or log in with `hf auth login`"  # noqa: S105
    unseen = (
        f"{asked.endpoint} has no model {asked.name} {{}}, or it is private. Correct the name (owner/name, of a model "
        f"that pack_model wrote) or the revision; if it is private, {token}."
    )
    wrong = (
        f"{asked.endpoint} does not accept the token {{}}: it is wrong or has expired. Set HF_TOKEN to another, log in "
        "with `hf auth login`, or unset it for a model that is open to all."
    )
    asking = f"{asked.repo} is open only to those whom its owner lets in {{}}. Ask on its page of the Hub, and {token}."
    refused = f"The token may not read {asked.repo} {{}}: {token}."
    return {"401": unseen, "404": unseen, "403": refused, "wrong": wrong, "gated": asking}
