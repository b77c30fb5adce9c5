"""Uploading a folder: compare with what the Hub has, make the repository, commit the difference, try again.

`model.upload_model` and `espnet3.demo.pack.upload_demo` call it. Every attempt begins with a new
comparison, so one that follows a lost answer finds its own commit and has nothing left to do.
"""

import logging
import time
from collections.abc import Collection
from pathlib import Path

from espnet3.errors import ConfigError, TryAgain
from espnet3.publishing.difference import Difference, compare, local_files
from espnet3.publishing.errors import PassingFault
from espnet3.publishing.repository import Kind, Repository, State
from espnet3.systems.base.publication_config import Upload

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0
"""Seconds between two tries, where the Hub does not say how many."""


def upload(folder: Path, settings: Upload, kind: Kind, key: str, members: Collection[str] | None = None) -> Difference:
    """Make the repository hold the files of `folder`; files that it has besides stay, unless `delete_patterns` match.

    Without `repo` nothing is done, and the log says so: a recipe can list the stage before it has a place to publish.

    Args:
        folder: what to upload.
        settings: where to, and how.
        kind: `model` or `space`.
        key: of the settings, for messages.
        members: which of its files; all where left out.

    Returns:
        What was done, or would be, on a dry run.

    Raises:
        ConfigError: there is no token, or the Hub refuses it or the repository.
        DataError: there is nothing to upload.
        TryAgain: the Hub cannot be reached, is overloaded, asks to wait for long, or somebody else changed the
            repository.
    """
    files = {name: path for name, path in local_files(folder).items() if members is None or name in members}
    if settings.repo is None:
        log.warning("%s.repo is not set: nothing is uploaded. Set it to owner/name on the Hub to publish this.", key)
        return Difference((), (), (), (), ())
    repository = Repository(settings, kind, key)
    for tries in range(1, settings.retries + 1):
        try:
            return _attempt(repository, files)
        except PassingFault as fault:
            wait = min(LONGEST_WAIT, 2.0 ** min(tries - 1, 10)) if fault.wait is None else fault.wait
            log.warning("try %d of %d in %.0f s: %s", tries + 1, settings.retries + 1, wait, fault)
            time.sleep(wait)
    return _attempt(repository, files)


def _attempt(repository: Repository, files: dict[str, Path]) -> Difference:
    settings = repository.settings
    state = repository.state()
    _check_visibility(repository, state)
    difference = compare(files, state.files, settings.delete_patterns)
    where = f"{repository.endpoint}/{'spaces/' if repository.kind == 'space' else ''}{repository.name}"
    if settings.dry_run:
        made = "" if state.exists else f", which would be made {'private' if settings.private else 'public'}"
        log.info("dry run, nothing is changed: %s (%s)%s: %s", where, settings.revision, made, difference)
        return difference
    if state.head is not None and difference.empty:
        log.info("%s (%s) already holds it all: %s", where, settings.revision, difference)
        return difference
    return _commit(repository, files, state, where)


def _commit(repository: Repository, files: dict[str, Path], state: State, where: str) -> Difference:
    settings = repository.settings
    if not state.exists:
        repository.create()
    if state.head is None and settings.revision != "main":
        repository.create_branch()
    if state.head is None:
        state = repository.state()
    difference = compare(files, state.files, settings.delete_patterns)
    if difference.empty:
        return difference
    log.info("%s (%s): %s", where, settings.revision, difference)
    message = settings.commit_message or f"Upload {len(difference.added) + len(difference.changed)} files with ESPnet3"
    try:
        commit = repository.commit(difference, files, state.head, message)
    except TryAgain:
        # The commit may have been made although its answer, or that of a try inside the client, was lost.
        if not compare(files, repository.state().files, settings.delete_patterns).empty:
            raise
        commit = "an earlier try"
    log.info("%s (%s): done with %s", where, settings.revision, commit)
    return difference


def _check_visibility(repository: Repository, state: State) -> None:
    if state.exists and repository.settings.private and not state.private:
        raise ConfigError(
            f"{repository.name} is public, but {repository.key}.private is true. Set it to false if the whole world "
            "may have these files, or make the repository private on the Hub."
        )
