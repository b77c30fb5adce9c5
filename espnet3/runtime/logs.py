"""The log of a stage: `<directory>/<stage>.log` and stdout carry the same lines while the stage runs.

`run` opens it around each stage. An earlier log is kept as `<stage>.<n>.log`; secrets are masked in every
line; on more than one rank only the first writes the file, unless `stage_log_mode: per_rank` gives each its own. What
the head says is here, too; which directory it is, the System says.
"""

import logging
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from espnet3.errors import ConfigError
from espnet3.runtime.redaction import environment_secrets, masked, redact, secrets_in
from espnet3.runtime.versions import git_commit, installed_versions

log = logging.getLogger(__name__)

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_ABOUT = {"image": "ESPNET3_IMAGE", "attempt": "ESPNET3_ATTEMPT"}
"""What only a container's environment tells."""


@dataclass(frozen=True)
class StageLog:
    """Where and what to log of a stage."""

    stage: str
    directory: Path
    configs: Mapping[str, DictConfig]
    per_rank: bool = False

    @property
    def path(self) -> Path | None:
        """The file; None on a rank that writes none."""
        if self.per_rank:
            return self.directory / f"{self.stage}_rank{rank()}.log"
        return self.directory / f"{self.stage}.log" if rank() == 0 else None


@contextmanager
def logging_to(stage_log: StageLog) -> Iterator[None]:
    """Send all log lines and warnings of the block to the stage's file and to stdout, beginning with the head.

    Raises:
        ConfigError: the file cannot be written.
    """
    plain = {slot: plain_config(config) for slot, config in stage_log.configs.items()}
    secrets = environment_secrets() | secrets_in(plain)
    with ExitStack() as stack:
        path = stage_log.path
        if path is not None:
            file = stack.enter_context(_new_log(path))
            stack.enter_context(_attached(_FileHandler(file), secrets))
        if not _logs_to_stdout():
            stdout = stack.enter_context(_attached(_StdoutHandler(), secrets))
            stdout.setLevel(logging.INFO if rank() == 0 or stage_log.per_rank else logging.WARNING)
        stack.enter_context(_captured_warnings())
        log.info("%s", head(stage_log.stage, plain))
        yield


def rank() -> int:
    """This process's rank in a group of training processes; 0 for one alone."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        value = os.environ.get(name, "")
        if value.isdecimal():
            return int(value)
    return 0


def head(stage: str, configs: Mapping[str, Any]) -> str:
    """What runs: command, code, versions, resolved config, with secrets masked."""
    versions = ", ".join(f"{package} {version}" for package, version in installed_versions().items())
    lines = [
        f"{stage} on {platform.node()} ({platform.platform()}), {os.cpu_count()} processors",
        f"command: {shlex.join([sys.executable, *sys.argv])}",
        f"directory: {Path.cwd()}",
        f"git: recipe {git_commit(Path.cwd())}, espnet3 {git_commit(Path(__file__).parent)}",
        f"versions: {versions}",
        *(f"{name}: {value}" for name, variable in _ABOUT.items() if (value := os.environ.get(variable))),
    ]
    shown = [f"{slot}:\n{_yaml(masked(plain))}" for slot, plain in configs.items()]
    return "\n".join([*lines, *shown]).rstrip()


def plain_config(config: DictConfig) -> Any:
    """Plain values of a config, resolved where it resolves: a key that this stage never reads must not stop it."""
    try:
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:
        return OmegaConf.to_container(config, resolve=False)


def _yaml(plain: Any) -> str:
    text = OmegaConf.to_yaml(OmegaConf.create(plain))
    return "".join(f"  {line}\n" for line in text.splitlines())


class _Redacting(logging.Formatter):
    def __init__(self, secrets: set[str]) -> None:
        super().__init__(FORMAT)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._secrets)


class _FileHandler(logging.StreamHandler[TextIO]):
    """Says once that the file cannot be written, as on a full disk; what else that stops is up to the stage."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        sys.stderr.write(f"The log {self.stream.name} cannot be written any more: {error}.\n")
        self.setLevel(logging.CRITICAL + 1)


class _StdoutHandler(logging.StreamHandler[TextIO]):
    """Looks stdout up for each line: a progress bar puts its own in place to keep lines and bar apart."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            raise  # noqa: PLE0704  # nobody reads this: the run ends, as `failures` has it
        super().handleError(record)


@contextmanager
def _attached(handler: logging.StreamHandler[TextIO], secrets: set[str]) -> Iterator[logging.StreamHandler[TextIO]]:
    handler.setFormatter(_Redacting(secrets))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield handler
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


@contextmanager
def _captured_warnings() -> Iterator[None]:
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)


def _logs_to_stdout() -> bool:
    return any(
        isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout
        for handler in logging.getLogger().handlers
    )


def _new_log(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            _set_aside(path)
            try:
                return path.open("x", encoding="utf-8", errors="backslashreplace")
            except FileExistsError:
                continue
    except OSError as error:
        raise ConfigError(
            f"The log {path} cannot be written ({error.strerror}): make {path.parent} writable, or choose another "
            "directory."
        ) from error


def _set_aside(path: Path) -> None:
    """Give an earlier log the next free number; a name that exists is never taken, also not from another process."""
    number = 1
    while path.exists():
        kept = path.with_name(f"{path.stem}.{number}{path.suffix}")
        try:
            kept.touch(exist_ok=False)
        except FileExistsError:
            number += 1
            continue
        path.replace(kept)
