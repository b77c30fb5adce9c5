"""What every recipe's run.py does: `args = parse_args(DEFAULT_STAGES)`, then `main(args=args, system_cls=SYSTEM_CLS)`.

`main` loads the configs, checks everything before the first stage starts, skips what is done, runs the rest with
`run_stages`, and shows the results. What the flags cannot say is in the configs: stages take no arguments. The work
itself is in the System's stages.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from omegaconf import OmegaConf

from espnet3.config.data_sources import data_sources
from espnet3.config.findings import Finding
from espnet3.config.slot_names import SLOTS
from espnet3.config.slots import Slots, load_slots
from espnet3.errors import ConfigError, DataError, Espnet3Error
from espnet3.pipeline.code import recipe_digests
from espnet3.pipeline.done import Decision, decide, out_of_date, unfinished, write_record
from espnet3.pipeline.fingerprint import running
from espnet3.pipeline.plan import make_plan, show_plan
from espnet3.pipeline.preflight import check_directories, check_inputs, check_names, check_needs
from espnet3.pipeline.run import run_stages
from espnet3.pipeline.spec import System
from espnet3.recipe.files import read_dataset_modules, read_recipe_files
from espnet3.recipe.recipe import Recipe, activated, recipe_name
from espnet3.recipe.summary import show_summary
from espnet3.runtime.failures import failure_of


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


def parse_args(stages: Sequence[str], recipe_dir: Path | str | None = None) -> Args:
    """Read the command line of a run.py.

    Args:
        stages: the recipe's stages, in order.
        recipe_dir: the recipe's folder; that of the running script where left out.
    """
    directory = Path(recipe_dir) if recipe_dir is not None else _script_folder()
    args = _parser(stages).parse_args(namespace=Args())
    args.recipe_dir = directory.resolve()
    args.recipe_stages = list(stages)
    asked = [*stages, *args.stages] if "all" in args.stages else args.stages
    further = [stage for stage in dict.fromkeys(asked) if stage not in (*stages, "all")]
    args.stages = [stage for stage in stages if stage in asked] + further
    for slot in SLOTS:
        setattr(args, slot, _config_file(getattr(args, slot), slot, args.recipe_dir))
    return args


def main(args: Args, system_cls: type[Any]) -> None:
    """Do what the command line says, in the recipe's folder.

    A failure that we foresaw ends the process with its exit code and one message on stderr; any other comes through.
    """
    sys.excepthook = _redacting_excepthook
    try:
        with contextlib.chdir(args.recipe_dir), activated(args.recipe_dir):
            _main(args, system_cls)
    except (Exception, KeyboardInterrupt) as error:
        failure = failure_of(error)
        if not failure.foreseen:
            raise
        sys.stderr.write(failure.text)
        raise SystemExit(failure.exit_code) from None


@dataclass(frozen=True)
class _Run:
    """A run whose stage names and config files are right."""

    args: Args
    system: System
    slots: Slots


def _main(args: Args, system_cls: type[Any]) -> None:
    run = _prepare(args, system_cls)
    _refuse_secrets(run)
    if args.print_config:
        _print_config(run, system_cls)
        return
    digests = recipe_digests(_code(run))
    decisions = decide(run.system, args.stages, args.stages if args.force else (), digests)
    if args.dry_run:
        show_plan(make_plan(run.system, decisions))
    _check(run, [decision.stage for decision in decisions if not decision.done])
    if args.dry_run:
        return
    for line in find_warnings(run.system, args.stages, digests):
        _say(line)
    _run_all(run, decisions)
    show_summary(run.system, args.stages)


def _prepare(args: Args, system_cls: type[Any]) -> _Run:
    files = _files(args)
    findings = check_names(system_cls, args.stages, args.recipe_stages) + _missing_files(args)
    findings += check_needs(system_cls, args.stages, files)
    try:
        slots = load_slots({slot: path for slot, path in files.items() if path is None or path.exists()})
    except ConfigError as error:
        raise ConfigError("\n".join([*map(str, findings), str(error)])) from None
    _refuse(findings)
    return _Run(args, system_cls(**slots), slots)


def _refuse_secrets(run: _Run) -> None:
    """Before anything of the configs is shown: one that is not finished may be printed, a secret may not."""
    from espnet3.config.checks import check_slots

    # Without stages, only secrets are looked for; where there are any, the other faults are told along with them.
    if check_slots(type(run.system), run.slots, (), run.args.recipe_dir):
        _refuse(check_slots(type(run.system), run.slots, run.args.stages, run.args.recipe_dir))


def _print_config(run: _Run, system_cls: type[Any]) -> None:
    from espnet3.recipe.run_config import build_run_config

    directory = run.args.recipe_dir
    files = read_recipe_files(directory)
    recipe = Recipe(recipe_name(directory), directory, tuple(run.args.stages), system_cls, files)
    sys.stdout.write(build_run_config(recipe, run.slots).to_yaml())


def _code(run: _Run) -> dict[str, str]:
    directory = run.args.recipe_dir
    sources = [source for config in run.slots.values() for source in data_sources(OmegaConf.to_container(config))]
    return read_recipe_files(directory) | read_dataset_modules(sources, directory.parents[2:3])


def _check(run: _Run, to_run: Sequence[str]) -> None:
    from espnet3.config.checks import check_slots

    findings = check_slots(type(run.system), run.slots, run.args.stages, run.args.recipe_dir)
    findings += check_directories(run.system, to_run)
    inputs = check_inputs(run.system, to_run)
    _refuse(findings + inputs, ConfigError if findings else DataError)


def find_warnings(system: System, stages: Sequence[str], files: Mapping[str, str]) -> list[str]:
    """What should be known of the stages that `stages` build on but that are not asked for; `files` as in `decide`."""
    started = "is not asked for, but was started here and has not finished: its files may be of several runs"
    changed = "is not asked for, but has changed since it ran"
    return [
        *(f"{stage} {started}" for stage in unfinished(system, stages)),
        *(f"{stage} {changed}: {'; '.join(each[:3])}" for stage, each in out_of_date(system, stages, files).items()),
    ]


def _run_all(run: _Run, decisions: Sequence[Decision]) -> None:
    for decision in decisions:
        if decision.done:
            _say(f"{decision.stage}: already done; --force does it again")
            continue
        start = time.monotonic()
        with running(decision.run):
            run_stages(system=run.system, stages_to_run=[decision.stage])
        write_record(run.system, decision, time.monotonic() - start)


def _refuse(findings: Sequence[Finding], kind: type[Espnet3Error] = ConfigError) -> None:
    if findings:
        raise kind("\n".join(["nothing was started, because", *(f"  {finding}" for finding in findings)]))


def _missing_files(args: Args) -> list[Finding]:
    files = {slot: path for slot, path in _files(args).items() if path is not None}
    return [
        Finding(f"--{slot}", f"{path} does not exist; give the path of a YAML file")
        for slot, path in files.items()
        if not path.is_file()
    ]


def _files(args: Args) -> dict[str, Path | None]:
    return {slot: getattr(args, slot) for slot in SLOTS}


def _config_file(given: Path | None, slot: str, recipe_dir: Path) -> Path | None:
    default = recipe_dir / "conf" / f"{slot.removesuffix('_config')}.yaml"
    if given is not None:
        return given.absolute()
    return default if default.is_file() else None


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
    parser.add_argument("--force", action="store_true", help="run the stages also where they are done already")
    return parser


def _redacting_excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(failure_of(error).text)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


__all__ = ["Args", "find_warnings", "main", "parse_args"]
