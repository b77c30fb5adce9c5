"""Getting a packed model from a Hub into its cache."""

import os
from pathlib import Path

from espnet3.errors import ConfigError, DataError, TryAgain
from espnet3.publishing.repository import set_endpoint


def download(repo: str, revision: str | None) -> Path:
    """The folder of a repository's newest state, in the Hub's cache; what is there already is not loaded again.

    Raises:
        ConfigError: huggingface_hub is not installed.
        DataError: there is no such repository or revision, or it is private and the token does not open it.
        TryAgain: the Hub cannot be reached.
    """
    set_endpoint(None)
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise ConfigError(
            f"{repo} is on a Hub, and huggingface_hub is not installed. Install the extra publish, or give the folder "
            "of a packed model."
        ) from None
    try:
        return Path(huggingface_hub.snapshot_download(repo, revision=revision, endpoint=os.environ.get("HF_ENDPOINT")))
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.GatedRepoError) as error:
        at = f" at {revision}" if revision else ""
        raise DataError(
            f"The Hub has no model {repo}{at}, or it is private and the token (HF_TOKEN, or that of its login) "
            f"does not open it: {str(error).splitlines()[0]}"
        ) from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise TryAgain(f"{repo} cannot be downloaded now: {str(error).splitlines()[0]} Try again.") from None
