"""What every stage's container does: `--config` → System → one method → exit code.

Each stage module and `python -m stages` end here. Which failures have which code is told by `espnet3.errors` and
`espnet3.runtime.failures`; how the process stops when it is asked to, by `_process`; running and recording a stage is
the library's, as in a recipe's run.py.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from espnet3.errors import ConfigError, TryAgain
from espnet3.pipeline.paths import expand
from espnet3.pipeline.plan import Plan
from espnet3.pipeline.run import find_stage_problems, run_decision
from espnet3.pipeline.shard import Shard
from espnet3.pipeline.spec import slots_of, spec_of
from espnet3.recipe.prepare import Run
from espnet3.runtime import failures
from espnet3.runtime.streams import flush_streams, prepare_streams
from stages import _environment, _process, container_of
from stages._checks import find_broken_volumes
from stages._force import is_forced
from stages._outcome import Outcome
from stages._results import result_of
from stages._run import decide_stage, opened

Work = Callable[[Outcome], None]
_OF_ARGO = (64, 65)
"""Exit codes of Argo's executor."""
_OF_SIGNALS = 128


def run(stage: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `stage` with the run config that the command line names, and end the process.

    Args:
        stage: name of the stage.
        arguments: the command line; that of the process where left out.
    """
    end_with(stage, lambda outcome: _run_stage(stage, config_path(stage, arguments), outcome))


def end_with(stage: str, work: Work) -> NoReturn:
    """Do `work` and exit with the code of what came of it, which is reported, too."""
    os.umask(0o002)
    prepare_streams()
    outcome = Outcome(stage)
    _process.on_stop(lambda number: _tell_that_it_stopped(outcome, number))
    try:
        _environment.enter_working_directory()
        work(outcome)
        flush_streams()
        outcome.exit_code = 0
    except SystemExit as ended:
        outcome.exit_code = _own_code(ended)
        outcome.status = "failed" if outcome.exit_code else "done"
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # whatever it is, it has an exit code
        failure = failures.failure_of(error)
        sys.stderr.write(failure.text)
        outcome.status = "stopped" if failure.exit_code == TryAgain.exit_code else "failed"
        outcome.exit_code, outcome.message = failure.exit_code, failure.text
    _process.end()
    outcome.report()
    raise SystemExit(outcome.exit_code)


def _own_code(ended: SystemExit) -> int:
    """The code that a recipe's own stage ends the process with, unless another meaning is bound to it."""
    if isinstance(ended.code, int):
        return ended.code if 0 <= ended.code < _OF_SIGNALS and ended.code not in _OF_ARGO else failures.UNFORESEEN
    if ended.code is not None:
        sys.stderr.write(f"{ended.code}\n")
    return failures.UNFORESEEN if ended.code else 0


def config_path(command: str, arguments: Sequence[str] | None = None) -> Path:
    """The file that `--config` names; there is no other flag.

    Raises:
        ConfigError: the command line is another.
    """
    parser = _Parser(
        prog=f"python -m stages {command}",
        description="Every setting is in the run config; the README lists what the environment may say.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the run config, in either form")
    path: Path = parser.parse_args(arguments).config
    return path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. Usage: {self.prog} --config FILE; every setting is in the run config.")


def _run_stage(stage: str, path: Path, outcome: Outcome) -> None:
    with opened(path) as opened_run:
        if problems := find_stage_problems(opened_run.system_cls, stage):
            raise ConfigError("\n".join(problems))
        run_ = opened_run.of([stage])
        shard = _shard_of(stage)
        _merge_earlier(run_, stage)  # before the decision, which looks at what the stage reads
        decision = decide_stage(run_, stage, is_forced(opened_run, run_, stage, shard))
        if decision.done:
            _say(f"{stage}: already done; ESPNET3_FORCE={stage} does it again")
            outcome.status = "skipped"
        else:
            run_.refuse_faults(Plan(run_.system, (decision,)), find_broken_volumes(run_.system, [stage]))
            run_decision(run_.system, decision, shard)
            outcome.status = "done"
        if decision.done or shard is None or shard.is_merge:
            outcome.result = result_of(run_.system, stage)


def _shard_of(stage: str) -> Shard | None:
    shard = _environment.shard()
    if shard is not None and not container_of(stage).sharded:
        raise ConfigError(
            f"ESPNET3_SHARD_COUNT is {shard.count}, but {stage} cannot be divided: unset it. Some stages can: infer "
            "and collect_stats."
        )
    return shard


def _merge_earlier(run_: Run, stage: str) -> None:
    """Put together what shards of an earlier stage have left: else single stages would leave partial outputs."""
    for earlier in spec_of(run_.system, stage).after:
        partials = expand(spec_of(run_.system, earlier).partial_outputs, slots_of(run_.system))
        if any(path.exists() for path in partials):
            decision = decide_stage(run_, earlier)
            if not decision.done:
                run_decision(run_.system, decision, Shard(1))


def _tell_that_it_stopped(outcome: Outcome, by: str) -> None:
    outcome.status, outcome.exit_code = "stopped", TryAgain.exit_code
    outcome.message = f"{outcome.stage} was asked to stop ({by}) and stopped; run again, it goes on from here\n"
    os.write(2, outcome.message.encode())
    outcome.report()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
