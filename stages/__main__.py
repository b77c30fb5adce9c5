"""`python -m stages <stage> --config RUN_CONFIG` for any stage; and plan, report, prune and doctor, which are none.

Stages with a module here may be run by it just as well; a stage that only a recipe's System has is run here.
"""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from espnet3.runtime.streams import prepare_streams
from stages import _entrypoint, stages_with_a_file
from stages._outcome import Outcome

USAGE = """\
usage: python -m stages <stage> --config FILE   run a stage: {stages},
                                                or any other that the recipe's System has
       python -m stages plan --config FILE      unpack a run, check it, say which stages are to run
       python -m stages report --config FILE    write down what came of a run
       python -m stages prune --config FILE     remove backups of earlier trainings
       python -m stages doctor DIR              check a volume
"""


def main(arguments: list[str]) -> NoReturn:
    """Run what the first argument names."""
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        prepare_streams()
        with suppress(BrokenPipeError):
            sys.stdout.write(USAGE.format(stages=", ".join(stages_with_a_file())))
        raise SystemExit(0)
    if command == "finish":
        sys.stderr.write("warning: finish is now report; the old name is understood for this version only.\n")
        command = "report"
    if command in ("plan", "report", "prune", "doctor"):
        _entrypoint.end_with(command, lambda outcome: _call(command, arguments[1:], outcome))
    _entrypoint.run(command, arguments[1:])


def _call(command: str, arguments: list[str], outcome: Outcome) -> None:
    if command == "doctor":
        import_module("stages._doctor").doctor(arguments)
    else:
        path: Path = _entrypoint.config_path(command, arguments)
        outcome.result = getattr(import_module(f"stages._{command}"), command)(path)
    outcome.status = "done"


if __name__ == "__main__":
    main(sys.argv[1:])
