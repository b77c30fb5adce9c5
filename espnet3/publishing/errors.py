"""What a Hub's failure means: a passing fault that is worth another try, or a sentence that says what to change.

`repository` wraps its calls in `explained`, where errors of huggingface_hub become those of `espnet3.errors`; `upload`
tries again after a `PassingFault`. `download` has words of its own. Knows neither folders nor commits.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from espnet3.errors import ConfigError, Espnet3Error, TryAgain
from espnet3.runtime.failures import chain
from espnet3.runtime.redaction import environment_secrets, redact

LONGEST_NAMED_WAIT = 300.0
"""Seconds that a Hub may ask to wait before the next try; huggingface.co counts requests in windows of that length."""
XET_TOKEN = "/xet-write-token/"  # noqa: S105
"""Of the address at which a Hub gives the token of Xet's storage; one without Xet knows no such address."""


@dataclass(frozen=True)
class Target:
    """What the messages are about."""

    key: str
    """Of the settings, such as `publication_config.upload_model`."""
    repo: str
    endpoint: str
    token: str | None = None
    """Never shown."""


class PassingFault(TryAgain):
    """The Hub may answer at the next try."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds that the Hub asked to wait."""


@contextmanager
def explained(target: Target) -> Iterator[None]:
    """Turn what huggingface_hub raises in the block into `PassingFault`, `ConfigError` or `TryAgain`."""
    try:
        yield
    except Espnet3Error:
        raise
    except Exception as error:
        meaning = _meaning(error, target)
        if meaning is None:
            raise
        raise meaning from None


def _meaning(error: BaseException, target: Target) -> Espnet3Error | None:
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    for each in chain(error):
        if isinstance(each, Espnet3Error):  # of `refuse_long_wait`, which some of the client's layers wrap
            return each
        if isinstance(each, OfflineModeIsEnabled):
            return ConfigError("HF_HUB_OFFLINE is set, so nothing can be uploaded: unset it, or leave this stage out.")
        if isinstance(each, HfHubHTTPError):
            return _of_status(each, target)
        if isinstance(each, TransportError):
            reason = f"{type(each).__name__}: {clean(str(each), target.token)}"
            return PassingFault(
                f"{target.endpoint} cannot be reached or broke off ({reason}). Is the network allowed here, and is "
                f"{target.key}.endpoint right? Then run the stage again."
            )
    return _of_class(error, target)


def _of_class(error: BaseException, target: Target) -> Espnet3Error | None:
    if isinstance(error, json.JSONDecodeError):
        return ConfigError(f"{target.endpoint} does not answer as a Hub does. Correct {target.key}.endpoint.")
    if isinstance(error, ValueError):
        return ConfigError(f"{target.key}: {clean(str(error), target.token)}")
    if isinstance(error, RuntimeError | OSError):  # hf_xet's storage client has no finer class
        reasons = ": ".join(str(each) for each in chain(error))
        if "404" in reasons and XET_TOKEN in reasons:
            return ConfigError(
                f"{target.endpoint} has no Xet, the storage that large files go to. Set HF_HUB_DISABLE_XET=1: then "
                "they go by LFS."
            )
        return PassingFault(f"The storage of {target.endpoint} failed: {clean(reasons, target.token)}")
    return None


def _of_status(error: object, target: Target) -> Espnet3Error:
    response = error.response  # type: ignore[attr-defined]
    status, repo = int(response.status_code), target.repo
    said = clean(response.headers.get("X-Error-Message") or getattr(error, "server_message", None) or "", target.token)
    reason = f"({status}{': ' + said.rstrip('.') if said else ''})"
    if is_passing(status):
        return _long_wait(response) or PassingFault(
            f"{target.endpoint} could not answer just now {reason}. Run the stage again.", _wait(response)
        )
    if status == 409:
        return TryAgain(f"{repo} is being changed by somebody else {reason}. Run the stage again.")
    if status == 412:
        return TryAgain(
            f"Somebody committed to {repo} while this stage compared it {reason}; nothing was changed. Run the stage "
            "again: it compares anew."
        )
    return ConfigError(
        _cures(target).get(status, f"{target.endpoint} refused the upload to {repo} {{}}.").format(reason)
    )


def _cures(target: Target) -> dict[int, str]:
    repo, key = target.repo, target.key
    return {
        401: (
            f"{target.endpoint} does not accept the token {{}}: it is wrong or has expired. Make a new one with the "
            "right to write, and set HF_TOKEN to it or log in with `hf auth login`."
        ),
        402: f"{target.endpoint} wants a payment for {repo} {{}}: its storage or kind of repository is not free.",
        403: (
            f"The token may not write to {repo} {{}}. Use one with the right to write there, or correct {key}.repo: it "
            "is owner/name, and the owner you or an organisation of yours."
        ),
        404: f"{repo} or its revision is not to be found, or the token may not see it {{}}. Correct {key}.repo.",
        413: f"A file is larger than {target.endpoint} takes {{}}. Leave it out of the pack.",
    }


def is_passing(status: int) -> bool:
    """Whether what an HTTP status tells of may be gone at the next try."""
    return status in (408, 425, 429) or status >= 500


def refuse_long_wait(response: object) -> None:
    """Look at an answer before huggingface_hub does, which would sleep for as long as it is told to.

    Raises:
        TryAgain: it asks for a longer wait than anybody would sit out.
    """
    if error := _long_wait(response):
        raise error


def _long_wait(response: object) -> TryAgain | None:
    status, wait = int(response.status_code), _wait(response)  # type: ignore[attr-defined]
    if not is_passing(status) or wait is None or wait <= LONGEST_NAMED_WAIT:
        return None
    url = response.request.url  # type: ignore[attr-defined]
    return TryAgain(
        f"{url.scheme}://{url.netloc.decode()} could not answer just now ({status}) and asks to wait {wait:.0f} s, "
        f"longer than the {LONGEST_NAMED_WAIT:.0f} s that are waited here. Try again after that."
    )


def _wait(response: object) -> float | None:
    """Seconds that an answer asks to wait; None where it does not."""
    headers: Mapping[str, str] = response.headers  # type: ignore[attr-defined]
    if spent := re.search(r"\br=0;\s*t=([0-9]+)", headers.get("RateLimit", "")):
        return float(spent[1])
    return _seconds(headers.get("Retry-After", "").strip())


def _seconds(given: str) -> float | None:
    """Of Retry-After, which has a number or a date; None where it has neither."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", given):
        return float(given)
    try:
        date = parsedate_to_datetime(given)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def clean(text: str, token: str | None = None) -> str:
    """A line to be shown, of a text that may hold secrets."""
    return redact(" ".join(text.split()), environment_secrets() | ({token} if token else set()))[:500]
