"""What the environment tells a stage's container beside its run config: every variable, and what it may say.

The entrypoints ask here, and nowhere else reads these; the README's table is held to `VARIABLES` by a test. Some are
for the library itself: `ARGO_PROGRESS_FILE` is read by `espnet3.runtime.progress`, `ESPNET3_VERIFY` by
`espnet3.pipeline.contents`, and the log's head (`espnet3.runtime.logs`) tells the image and the attempt.
"""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from espnet3.errors import ConfigError
from espnet3.pipeline.shard import Shard

VARIABLES: Mapping[str, str] = {
    "ESPNET3_WORKDIR": "the working directory, made where it is missing; default: the current one",
    "ESPNET3_SHARD_COUNT": "shards of a sharded stage (infer, collect_stats); unset or 1: the whole stage",
    "ESPNET3_SHARD_INDEX": "which one, from 0, or `merge`; where unset, `JOB_COMPLETION_INDEX`",
    "ESPNET3_STAGES": "plan: stages separated by commas or spaces, or `all`; any other is skipped",
    "ESPNET3_FORCE": "stages that run although they are done; a repeated attempt goes on with what the first began",
    "ESPNET3_IDEMPOTENCY_KEY": "its idempotency key, such as a Job's uid: a later attempt with it goes on",
    "ESPNET3_VERIFY": "plan: 1 reads every file anew, and no remembered digest counts",
    "ESPNET3_PRUNE": "prune: names of backups (`checkpoints.1`) and ages (`30d`) of those to remove",
    "ESPNET3_PLAN_DIR": "plan: where a file per stage says `run` or `skip`; default `.runs/<hash>/plan`",
    "ESPNET3_OUTCOME_FILE": "where a stage writes what came of it, as JSON",
    "ESPNET3_ATTEMPT": "number of this attempt, from 0",
    "ESPNET3_TERMINATION_LOG": "where the last lines of an error go; default `/dev/termination-log`, where it exists",
    "ESPNET3_IMAGE": "the image's reference, for the head of the log",
    "ESPNET3_ARGO_STATUS": "report: how the workflow ended",
    "ESPNET3_ARGO_FAILURES": "report: the workflow's failed nodes, as Argo's JSON",
    "ARGO_PROGRESS_FILE": "where progress is written, as `done/total`",
}

_RENAMED: Mapping[str, str] = {"ESPNET3_IDEMPOTENCY_KEY": "ESPNET3_FORCE_ID"}
"""New name → old name."""


def enter_working_directory() -> None:
    """Make ESPNET3_WORKDIR and work there; a container runtime that makes a missing one makes it as root.

    Raises:
        ConfigError: it cannot be made or entered.
    """
    directory = path_in("ESPNET3_WORKDIR")
    if directory is None:
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.chdir(directory)
    except OSError as error:
        raise ConfigError(
            f"The working directory {directory} cannot be used ({error.strerror}, as uid {os.getuid()}, groups "
            f"{sorted(os.getgroups())}). Let one of them write to the volume; `python -m stages doctor` tells more."
        ) from None


def names_in(variable: str) -> list[str]:
    """The names that a variable lists, separated by commas or spaces."""
    return [name for name in re.split(r"[,\s]+", os.environ.get(variable, "")) if name]


def attempt() -> int:
    """Number of this attempt, from 0.

    Raises:
        ConfigError: ESPNET3_ATTEMPT is not a number.
    """
    return _number("ESPNET3_ATTEMPT", os.environ.get("ESPNET3_ATTEMPT") or "0")


def shard() -> Shard | None:
    """The part that this container does; None for the whole stage.

    Raises:
        ConfigError: index and count do not go together.
    """
    count = _number("ESPNET3_SHARD_COUNT", os.environ.get("ESPNET3_SHARD_COUNT") or "1")
    if count <= 1:
        return None
    given = os.environ.get("ESPNET3_SHARD_INDEX") or os.environ.get("JOB_COMPLETION_INDEX")
    if not given:
        raise ConfigError(
            f"ESPNET3_SHARD_COUNT is {count}, but neither ESPNET3_SHARD_INDEX nor JOB_COMPLETION_INDEX says which "
            f"shard this is: give a number from 0 to {count - 1}, or `merge`."
        )
    if given == "merge":
        return Shard(count)
    index = _number("ESPNET3_SHARD_INDEX", given)
    if index >= count:
        raise ConfigError(
            f"ESPNET3_SHARD_INDEX is {index}, but there are {count} shards (ESPNET3_SHARD_COUNT), counted from 0: give "
            f"a number from 0 to {count - 1}, or `merge`."
        )
    return Shard(count, index)


def path_in(variable: str) -> Path | None:
    """The path that a variable holds; None where it is unset or empty."""
    value = os.environ.get(variable)
    return Path(value) if value else None


def text_in(variable: str) -> str | None:
    """What a variable holds; None where it is unset or empty."""
    return os.environ.get(variable) or _text_of_old_name(variable)


def _text_of_old_name(variable: str) -> str | None:
    """What a variable holds under the name that it had in the version before."""
    old = _RENAMED.get(variable, "")
    if value := os.environ.get(old):
        sys.stderr.write(f"warning: {old} is now {variable}; the old name is read for this version only.\n")
    return value or None


def json_in(variable: str) -> Any:
    """What a variable holds as JSON; None where it is unset or empty.

    Of a list that was cut, its whole items; of what is not valid JSON, the text.
    """
    import json

    value = text_in(variable)
    try:
        content = None if value is None else json.loads(value)
        # Argo hands its lists on as JSON in JSON.
        return json.loads(content) if isinstance(content, str) else content
    except ValueError:
        return _whole_items(value or "") or value


def _whole_items(text: str) -> list[Any]:
    """The items of a list in JSON, or in JSON in JSON, that ends too soon."""
    import json

    for end in range(len(text), max(len(text) - len(r"\\uXXXX"), 0), -1):  # not in the middle of an escape
        with suppress(ValueError):
            text = json.loads(f'{text[:end]}"')
            break
    items: list[Any] = []
    place = 1
    while text.startswith("["):
        try:
            item, place = json.JSONDecoder().raw_decode(text, place)
        except ValueError:
            break
        items.append(item)
        place = len(text) - len(text[place:].lstrip(", \n"))
    return items


def _number(variable: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ConfigError(f"{variable} is {value!r}; it must be a number from 0.")
    return int(value)
