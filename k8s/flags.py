"""The command line of `python -m k8s`. What the commands do is in `commands`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet3.config.slot_names import SLOTS

KINDS = ("Workflow", "WorkflowTemplate")


class Args(argparse.Namespace):
    """What the command line says; each command has its own part of it."""

    command: str
    recipe: Path
    profile: str
    stages: list[str]
    kind: str
    stage: str
    merge: bool
    force: bool
    run: str
    directory: Path
    context: str | None
    namespace: str | None
    line: str
    """The command as it was typed, without paths of this machine."""


def parse(arguments: Sequence[str] | None = None) -> Args:
    """Read the command line; that of the process where left out."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(given, namespace=Args())
    args.line = " ".join(["python -m k8s", *given])
    return args


def config_files(args: Args) -> dict[str, Path | None]:
    """{slot: the file that was named}."""
    return {slot: getattr(args, slot) for slot in SLOTS}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m k8s", description="Runs of recipes on Kubernetes.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    profile, cluster, stages = _profile(), _cluster(), _stages()
    recipe = _recipe(profile)
    render = _command(commands, "render", "print a run as one Argo Workflow", [recipe, stages])
    render.add_argument("--kind", choices=KINDS, default="Workflow", help="default: Workflow, which is submitted once")
    job = _command(commands, "job", "print one stage as a plain Job", [recipe])
    job.add_argument("stage", metavar="STAGE")
    job.add_argument("--merge", action="store_true", help="of a stage in shards: the Job that puts them together")
    job.add_argument("--force", action="store_true", help="run the stage although it is done")
    _command(commands, "submit", "create a run in the cluster of the kubeconfig", [recipe, stages, cluster])
    _command(commands, "demo", "print a recipe's demo as a Deployment and a Service", [recipe])
    _command(commands, "shell", "print a pod through which data come onto the volumes", [profile])
    results = _command(commands, "results", "copy a run's metrics, report and logs", [cluster])
    results.add_argument("run", metavar="RUN", help="name of the workflow")
    results.add_argument("directory", metavar="DIR", type=Path, help="where to")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    says: str,
    parents: list[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=says, description=says, parents=parents, allow_abbrev=False)


def _profile() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--profile", required=True, help="the cluster: a name in k8s/profiles, or a YAML file")
    return parser


def _recipe(profile: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, parents=[profile])
    parser.add_argument("recipe", metavar="RECIPE", type=Path, help="the recipe's folder, such as egs3/digits/asr")
    for slot in SLOTS:
        default = f"conf/{slot.removesuffix('_config')}.yaml"
        parser.add_argument(f"--{slot}", type=Path, metavar="FILE", help=f"default: the recipe's {default}")
    return parser


def _stages() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stages", nargs="+", default=["all"], metavar="STAGE", help="stages, or all (default)")
    return parser


def _cluster() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--context", help="of the kubeconfig; default: the current one")
    parser.add_argument("--namespace", "-n", help="default: that of the context")
    return parser
