"""What each command of `python -m k8s` does; `__main__` calls it.

For flags, see `flags`; for objects, `workflow` and `job`; for the cluster, `api`.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from espnet3.recipe.recipe import load_recipe
from espnet3.recipe.run_config import RunConfig
from k8s.containers import Cluster, stage_containers
from k8s.flags import Args, config_files
from k8s.images import read_digests
from k8s.manifests import to_yaml
from k8s.recipe import read_run_config
from k8s.settings import StageSettings, read_settings
from k8s.size import check_size
from k8s.values import read_profile
from stages import container_of


def render(args: Args) -> None:
    """Print the workflow."""
    sys.stdout.write(to_yaml([_workflow(args)], args.line))


def job(args: Args) -> None:
    """Print the Job."""
    from k8s.job import JobRequest, build_job

    cluster = _cluster(args)
    run = read_run_config(args.recipe, [args.stage], config_files(args))
    settings = _settings(args, run)
    container = next(stage_containers(run, settings, cluster))
    _warn_of_token(run, cluster)
    request = JobRequest(container, run, cluster, args.merge, args.force)
    sys.stdout.write(to_yaml([build_job(request)], args.line))


def demo(args: Args) -> None:
    """Print the demo's Deployment, Service and network rule."""
    from k8s.demo import build_demo

    run = read_run_config(args.recipe, [], config_files(args))
    sys.stdout.write(to_yaml(build_demo(run, _cluster(args)), args.line))


def shell(args: Args) -> None:
    """Print the pod that holds the volumes open."""
    from k8s.shell import build_shell

    sys.stdout.write(to_yaml([build_shell(_cluster(args))], args.line))


def submit(args: Args) -> None:
    """Create the workflow and print how to follow it."""
    from k8s import submit as submitting
    from k8s.api import connect

    workflow = _workflow(args)
    connection = connect(args.context, args.namespace)
    sys.stdout.write(submitting.following(submitting.submit(workflow, connection), connection.namespace))


def results(args: Args) -> None:
    """Copy a run's results and print their paths."""
    from k8s.api import connect
    from k8s.results import fetch_results

    paths = fetch_results(args.run, args.directory, connect(args.context, args.namespace))
    sys.stdout.write("".join(f"{path}\n" for path in paths))


def _workflow(args: Args) -> dict[str, Any]:
    from k8s.workflow import build_workflow

    stages = [] if "all" in args.stages else args.stages
    run = read_run_config(args.recipe, stages, config_files(args))
    kind: Any = getattr(args, "kind", "Workflow")
    cluster = _cluster(args)
    workflow = build_workflow(run, _settings(args, run), cluster, kind)
    check_size(workflow)
    _warn_of_token(run, cluster)
    return workflow


def _settings(args: Args, run: RunConfig) -> dict[str, StageSettings]:
    """A part of a recipe is rendered with what the file says of the rest in place."""
    return read_settings(args.recipe, run.stages, load_recipe(args.recipe).stages)


def _warn_of_token(run: RunConfig, cluster: Cluster) -> None:
    """What would fail hours later, at the end of the run."""
    stages = [stage for stage in run.stages if container_of(stage).token]
    if stages and not cluster.profile.token.existing_secret:
        sys.stderr.write(
            f"WARNING: {' and '.join(stages)} will have no token for the Hub: the profile names no Secret. Make one "
            "(kubectl create secret generic hub --from-file=token=FILE) and set token.existingSecret: hub there.\n"
        )


def _cluster(args: Args) -> Cluster:
    return Cluster(read_profile(args.profile), read_digests())


COMMANDS: Mapping[str, Callable[[Args], None]] = {
    "render": render,
    "job": job,
    "submit": submit,
    "results": results,
    "demo": demo,
    "shell": shell,
}
