"""What every recipe's run.py does: `args = parse_args(DEFAULT_STAGES)`, then `main(args=args, system_cls=SYSTEM_CLS)`.

`main` goes one way through: from what was asked (`Args`) to what the run is (`prepare.Run`), to what will happen
(`plan.Plan`), to what came out (`run.Results`). What the flags cannot say is in the configs: stages take no arguments.
"""

import argparse
import atexit
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from espnet3.config.slot_names import SLOTS
from espnet3.errors import Stopped
from espnet3.pipeline.plan import plan_run, show_plan
from espnet3.pipeline.prune import choose_backups, find_backups, remove_backup
from espnet3.pipeline.run import run_plan
from espnet3.recipe.left_behind import warning
from espnet3.recipe.prepare import Run, config_file, in_order, prepare
from espnet3.recipe.recipe import Recipe, activated, recipe_name
from espnet3.recipe.summary import show_summary
from espnet3.runtime.failures import failure_of, stop_at_once
from espnet3.runtime.processes import ignore_requests_to_stop, requests_to_stop
from espnet3.runtime.streams import flush_streams, prepare_streams


class Args(argparse.Namespace):
    """What the command line says."""

    stages: list[str]
    """Those asked for, in the recipe's order."""
    recipe_stages: list[str]
    recipe_dir: Path
    training_config: Path | None
    inference_config: Path | None
    metrics_config: Path | None
    publication_config: Path | None
    dry_run: bool
    print_config: bool
    force: bool
    prune: list[str] | None


def parse_args(stages: Sequence[str], recipe_dir: Path | str | None = None) -> Args:
    """Read the command line of a run.py.

    Args:
        stages: the recipe's stages, in order.
        recipe_dir: the recipe's folder; that of the running script where left out.
    """
    prepare_streams()
    directory = Path(recipe_dir) if recipe_dir is not None else _script_folder()
    args = _parser(stages).parse_args(namespace=Args())
    args.recipe_dir = directory.resolve()
    args.recipe_stages = list(stages)
    args.stages = in_order(stages, args.stages)
    for slot in SLOTS:
        setattr(args, slot, config_file(slot, getattr(args, slot), args.recipe_dir))
    return args


def main(args: Args, system_cls: type[Any]) -> None:
    """Do what the command line says, in the recipe's folder.

    A failure that we foresaw ends the process with its exit code and one message on stderr; any other comes through.
    """
    sys.excepthook = _redacting_excepthook
    atexit.register(
        ignore_requests_to_stop
    )  # what came of the run is settled, and Python's own shutdown would die of one
    try:
        with requests_to_stop(stop_at_once()), contextlib.chdir(args.recipe_dir), activated(args.recipe_dir):
            _main(args, system_cls)
            flush_streams()
    except (Exception, KeyboardInterrupt) as error:
        failure = failure_of(error)
        if not failure.foreseen:
            raise
        if isinstance(error, Stopped):
            ignore_requests_to_stop()  # a second one must not cut the message off
        sys.stderr.write(failure.text)
        raise SystemExit(failure.exit_code) from None


def _main(args: Args, system_cls: type[Any]) -> None:
    recipe = Recipe(recipe_name(args.recipe_dir), args.recipe_dir, tuple(args.recipe_stages), system_cls)
    run = prepare(recipe, args.stages, {slot: getattr(args, slot) for slot in SLOTS})
    run.refuse_secrets()
    if args.print_config:
        sys.stdout.write(run.config.to_yaml())
        sys.stderr.write(warning(run.left_behind))
        return
    if args.prune:
        _prune(run, args.prune)
        return
    for note in run.notes:
        _say(f"note: {note}")
    plan = plan_run(run.system, run.code, run.stages, run.stages if args.force else ())
    if args.dry_run:
        show_plan(plan)
    run.refuse_faults(plan)
    if not args.dry_run:
        for line in plan.warnings:
            _say(line)
        show_summary(run_plan(plan, run.code, _say))


def _prune(run: Run, wanted: Sequence[str]) -> None:
    """Remove backups that are named or old, after asking; what cannot be answered is answered with no."""
    chosen = choose_backups(find_backups(run.system, run.stages), wanted)
    for backup in chosen:
        _say(f"  {backup}")
    if not chosen:
        _say("no backup is so old")
        return
    sys.stdout.write(f"Remove {'it' if len(chosen) == 1 else f'these {len(chosen)}'}? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        _say("nothing was removed")
        return
    for backup in chosen:
        remove_backup(backup)
        _say(f"removed {backup.path}")


def _script_folder() -> Path:
    script = getattr(sys.modules["__main__"], "__file__", None)
    return Path(script).parent if script else Path.cwd()


def _parser(stages: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"Runs the recipe's stages: {', '.join(stages)}.", allow_abbrev=False)
    parser.add_argument("--stages", nargs="+", default=["all"], metavar="STAGE", help="stages to run, or all (default)")
    for slot in SLOTS:
        default = f"conf/{slot.removesuffix('_config')}.yaml"
        parser.add_argument(f"--{slot}", type=Path, metavar="FILE", help=f"default: {default}")
    parser.add_argument("--dry_run", action="store_true", help="show what would be done, and why; do nothing")
    parser.add_argument("--print_config", action="store_true", help="print the merged and resolved configs of the run")
    parser.add_argument("--prune", nargs="+", metavar="NAME", help="remove backups of trainings, by name or age (30d)")
    parser.add_argument("--force", action="store_true", help="run the stages also where they are done already")
    return parser


def _redacting_excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(failure_of(error).text)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
