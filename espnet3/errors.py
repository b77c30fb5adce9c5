"""What can go wrong, and which failures are worth repeating.

    Espnet3Error      1   anything else that we foresaw
    ├─ ConfigError   78   the config is wrong: a person must change it
    ├─ DataError     66   the data is wrong: a person must change it
    └─ TryAgain      75   a passing fault, or stopped where it can go on
       ├─ Stopped          it was asked to stop, by SIGTERM or Ctrl-C
       └─ LostLease        another run took over the output directory

Every layer raises these; a recipe's run.py and the container entrypoint turn them into exit codes, a workflow into its
retry rule. A message is a full sentence that says what was wrong, what is accepted and what to do. Exit codes 64 and 65
belong to Argo's executor and are never used.
"""

from typing import ClassVar


class Espnet3Error(Exception):
    """A failure that we foresaw: its message is for the user, without a stack trace."""

    exit_code: ClassVar[int] = 1


class ConfigError(Espnet3Error):
    """The config is wrong; the same run would fail again."""

    exit_code = 78


class DataError(Espnet3Error):
    """The data is wrong; the same run would fail again."""

    exit_code = 66


class TryAgain(Espnet3Error):
    """The run stopped where it can go on: preempted, or a passing fault."""

    exit_code = 75


class Stopped(TryAgain):
    """The run was asked to stop and did, where it can go on."""


class LostLease(TryAgain):
    """Another run took the lease of the output directory; this one stopped before it wrote a byte more."""
