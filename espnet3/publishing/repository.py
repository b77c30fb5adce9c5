"""One repository on a Hub, as `upload` needs it: its state, making it, a commit. Wraps huggingface_hub.

huggingface_hub is imported when a repository is opened, for it takes time. It reads HF_ENDPOINT as it is imported, and
never again: so every call is given its endpoint, and nothing here depends on, or changes, that variable. Errors leave
here as those of `espnet3.errors`; for what is uploaded, and how often it is tried, see `upload`.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from espnet3.errors import ConfigError
from espnet3.publishing.difference import Difference, RemoteFile
from espnet3.publishing.errors import Target, explained, refuse_long_wait
from espnet3.systems.base.publication_config import Upload

if TYPE_CHECKING:
    from huggingface_hub import HfApi

DEFAULT_ENDPOINT = "https://huggingface.co"

Kind = Literal["model", "space"]


@dataclass(frozen=True)
class State:
    """What a Hub says of a repository."""

    exists: bool = False
    private: bool = False
    head: str | None = None
    """Newest commit of the branch; None where there is no such branch."""
    files: Mapping[str, RemoteFile] = field(default_factory=dict)


class Repository:
    """A model's or a Space's repository on a Hub.

    Args:
        settings: which, and where; its `repo` is set.
        kind: what it is for.
        key: of the settings, for messages.

    Raises:
        ConfigError: there is no token.
    """

    def __init__(self, settings: Upload, kind: Kind, key: str) -> None:
        self.settings, self.kind, self.key = settings, kind, key
        self.name = str(settings.repo)
        keep_quiet()
        self.endpoint = endpoint_of(settings.endpoint)
        self.token = find_token(key)
        self.target = Target(key, self.name, self.endpoint, self.token)

    def state(self) -> State:
        """The branch as it is now."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        with explained(self.target):
            api = self._api()
            try:
                info = api.repo_info(self.name, repo_type=self.kind, revision=self.settings.revision)
            except RevisionNotFoundError:
                return State(exists=True, private=bool(api.repo_info(self.name, repo_type=self.kind).private))
            except RepositoryNotFoundError as error:
                if error.response.status_code == 401:
                    raise
                return State()
            return State(True, bool(info.private), info.sha, self._files(api, str(info.sha)))

    def create(self) -> None:
        """Make the repository; no harm where somebody was faster."""
        sdk = "gradio" if self.kind == "space" else None
        with explained(self.target):
            self._api().create_repo(
                self.name, private=self.settings.private, repo_type=self.kind, exist_ok=True, space_sdk=sdk
            )

    def create_branch(self) -> None:
        """Make the branch; no harm where it is there."""
        with explained(self.target):
            self._api().create_branch(self.name, branch=self.settings.revision, repo_type=self.kind, exist_ok=True)

    def commit(self, difference: Difference, files: Mapping[str, Path], head: str | None, message: str) -> str:
        """One commit that makes all of the difference, or none of it.

        Contents that the Hub already has, as from an upload that was cut short, are not sent again.

        Args:
            difference: what to do.
            files: where the added and changed files are.
            head: the commit that the difference was made against.
            message: of the commit.

        Returns:
            The commit's name.

        Raises:
            TryAgain: `head` is no longer the newest commit.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        added = (*difference.added, *difference.changed)
        operations: list[Any] = [CommitOperationAdd(path, str(files[path])) for path in added]
        operations += [CommitOperationDelete(path, is_folder=False) for path in difference.deleted]
        with explained(self.target):
            made = self._api().create_commit(
                self.name,
                operations,
                commit_message=message,
                repo_type=self.kind,
                revision=self.settings.revision,
                parent_commit=head,
            )
            return str(made.oid)

    def _files(self, api: "HfApi", commit: str) -> dict[str, RemoteFile]:
        from huggingface_hub.hf_api import RepoFile

        entries = api.list_repo_tree(self.name, recursive=True, revision=commit, repo_type=self.kind)
        return {
            entry.path: RemoteFile(entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
            for entry in entries
            if isinstance(entry, RepoFile)
        }

    def _api(self) -> "HfApi":
        """A client whose requests end; huggingface_hub makes its session anew at times."""
        from huggingface_hub import HfApi

        limit_waiting(self.settings.timeout_seconds)
        return HfApi(endpoint=self.endpoint, token=self.token)


def endpoint_of(asked: str | None = None) -> str:
    """The Hub's address: the one that is asked for, else that of HF_ENDPOINT, else huggingface.co."""
    return (asked or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def keep_quiet() -> None:
    """Let huggingface_hub, which reads this as it is imported, send no reports home, and write no secrets to a log."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # They write whole addresses, and those of a Hub's storage carry signatures.
    for name in ("huggingface_hub", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.ERROR)


def limit_waiting(seconds: float) -> None:
    """Let each request of huggingface_hub end after `seconds` without an answer, and none sleep as long as it is told.

    Its own would wait for ever.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    session = get_session()
    session.timeout = seconds
    hooks = session.event_hooks
    if refuse_long_wait not in hooks["response"]:
        session.event_hooks = {**hooks, "response": [*hooks["response"], refuse_long_wait]}


def find_token(key: str) -> str:
    """The token of HF_TOKEN or of the Hub's login.

    Raises:
        ConfigError: there is none.
    """
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise ConfigError(
            f"{key} needs a token of the Hub with the right to write: set the environment variable HF_TOKEN, or log in "
            "with `hf auth login`. It never belongs into a config."
        )
    return token
