"""From what was asked for to a run: the front end of run.py, of the containers and of the workflow generator.

`prepare` finds the config files, refuses what is missing, composes and resolves the slots, and checks them, each once;
`prepare_from` makes the same `Run` of a run config, in which the first half is done. What they do with it differs: see
`cli`, `stages` and `k8s`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig

from espnet3.config.checks import check_slots
from espnet3.config.conversion import convert_slots
from espnet3.config.findings import Finding
from espnet3.config.slot_names import SLOTS
from espnet3.config.slots import as_plain, load_slots
from espnet3.config.unused_keys import unused_keys
from espnet3.errors import ConfigError, DataError, Espnet3Error
from espnet3.pipeline.code import Code
from espnet3.pipeline.plan import Plan
from espnet3.pipeline.preflight import check_directories, check_inputs, check_names, check_needs, check_slots_given
from espnet3.pipeline.spec import System
from espnet3.recipe.files import all_recipe_files
from espnet3.recipe.left_behind import LeftBehind, find_left_behind
from espnet3.recipe.recipe import Recipe
from espnet3.recipe.run_config import RunConfig, build_run_config

Files = Mapping[str, Path | None]
"""{slot: YAML file}; None where a slot has none."""


@dataclass(frozen=True)
class Run:
    """What one run is: a recipe, the stages that were asked for, and their configs, composed, resolved and checked."""

    recipe: Recipe
    stages: tuple[str, ...]
    """In the recipe's order."""
    slots: Mapping[str, DictConfig]
    findings: tuple[Finding, ...]
    """All that is wrong with the configs; a run that has any may be looked at, and does not start."""
    notes: tuple[Finding, ...] = ()
    """What the user should know of the configs, and is no fault."""

    @cached_property
    def system(self) -> System:
        """The recipe's System with these configs."""
        system: System = self.recipe.system_cls(**self.slots)
        return system

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The recipe's own files, and the dataset modules of other recipes that the configs name, by relative path."""
        return all_recipe_files(self.recipe.files, self.recipe.dir, map(as_plain, self.slots.values()))

    @property
    def left_behind(self) -> list[LeftBehind]:
        """Those of the recipe's files that do not travel; matters where the run config is to leave this machine."""
        return find_left_behind(self.recipe.dir, self.files, map(as_plain, self.slots.values()))

    @cached_property
    def code(self) -> Code:
        """The recipe's code, and the library's."""
        return Code(self.recipe.dir, self.files)

    @property
    def config(self) -> RunConfig:
        """All of it in one file."""
        return build_run_config(self.recipe, self.stages, self.slots, self.files)

    def refuse_secrets(self) -> None:
        """Before anything of the configs is shown: one that is not finished may be printed, a secret may not.

        Raises:
            ConfigError: names every fault, where one of them is a secret.
        """
        if any(finding.is_secret for finding in self.findings):
            refuse(self.findings)

    def refuse_faults(self, plan: Plan, further: Sequence[Finding] = ()) -> None:
        """What must be right before the first stage of a plan starts.

        Args:
            plan: what is to run.
            further: what else was found.

        Raises:
            ConfigError: names every fault of the configs and of the directories, and the missing inputs, too.
            DataError: only inputs are missing; names them.
        """
        faults = [*self.findings, *check_directories(self.system, plan.to_run), *further]
        inputs = check_inputs(self.system, plan.to_run)
        refuse([*faults, *inputs], ConfigError if faults else DataError)


def prepare(recipe: Recipe, asked: Sequence[str], given: Files) -> Run:
    """The run of a recipe that lies here; its folder is the working directory, and it is active.

    Args:
        recipe: the recipe.
        asked: stages, in any order; `all` and none stand for all of the recipe.
        given: config files that were named; the recipe's own `conf/<slot>.yaml` stands for the others.

    Raises:
        ConfigError: names every stage and config file that there is not, or what of the files cannot be read.
    """
    stages = in_order(recipe.stages, asked)
    files = {slot: config_file(slot, given.get(slot), recipe.dir) for slot in SLOTS}
    findings = check_names(recipe.system_cls, stages, recipe.stages) + _missing(files)
    findings += check_needs(recipe.system_cls, stages, files)
    try:
        slots = load_slots({slot: path for slot, path in files.items() if path is None or path.is_file()})
    except ConfigError as error:
        raise ConfigError("\n".join([*map(str, findings), str(error)])) from None
    refuse(findings)
    slots = convert_slots(recipe.system_cls.config_models, slots, recipe.dir)
    faults = check_slots(recipe.system_cls, slots, stages, recipe.dir)
    notes = unused_keys(recipe.system_cls, slots, stages, recipe.dir)
    return Run(recipe, tuple(stages), slots, tuple(faults), tuple(notes))


def prepare_from(config: RunConfig, recipe: Recipe, stages: Sequence[str]) -> Run:
    """The run of a run config whose code was unpacked; its recipe is active.

    Args:
        config: the run config.
        recipe: its recipe, where its code is now.
        stages: those whose configs must be right.
    """
    slots = {slot: found for slot in SLOTS if (found := config.config(slot)) is not None}
    faults = check_slots_given(recipe.system_cls, stages, slots)
    faults += check_slots(recipe.system_cls, slots, stages, recipe.dir)
    return Run(recipe, tuple(stages), slots, tuple(faults))


def refuse(findings: Sequence[Finding], kind: type[Espnet3Error] = ConfigError) -> None:
    """Raise `kind` with all findings, if there are any."""
    if findings:
        raise kind("\n".join(["nothing was started, because", *(f"  {finding}" for finding in findings)]))


def in_order(stages: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Those asked for in the recipe's order, then those that it does not list."""
    wanted = [*stages, *asked] if "all" in asked or not asked else list(asked)
    further = [stage for stage in dict.fromkeys(wanted) if stage not in (*stages, "all")]
    return [stage for stage in stages if stage in wanted] + further


def config_file(slot: str, given: Path | None, recipe_dir: Path) -> Path | None:
    """The file of a slot: the one that was named, or the recipe's own; None where there is neither."""
    if given is not None:
        return given.absolute()
    default = recipe_dir / "conf" / f"{slot.removesuffix('_config')}.yaml"
    return default if default.is_file() else None


def _missing(files: Files) -> list[Finding]:
    given = {slot: path for slot, path in files.items() if path is not None and not path.is_file()}
    return [
        Finding(f"--{slot}", f"{path} does not exist; give the path of a YAML file") for slot, path in given.items()
    ]
