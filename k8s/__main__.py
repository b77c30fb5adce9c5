"""`python -m k8s`: prints, submits and fetches runs of recipes on Kubernetes.

    render RECIPE --profile P      the run as one Argo Workflow, or with --kind as a WorkflowTemplate
    job RECIPE STAGE --profile P   one stage as a plain Kubernetes Job
    demo RECIPE --profile P        the recipe's demo as a Deployment and a Service
    shell --profile P              a pod through which data come onto the volumes
    submit RECIPE --profile P      create the Workflow
    results RUN DIR                copy metrics, report and logs of a run here

The flags for stages and configs are those of run.py. Watching, stopping and retrying a run is argo's own work.
"""

from collections.abc import Sequence

from espnet3.runtime.failures import exit_code_of
from espnet3.runtime.streams import flush_streams, prepare_streams
from k8s.commands import COMMANDS
from k8s.flags import parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code is 0, or that of the error that it printed."""
    prepare_streams()
    args = parse(arguments)
    try:
        COMMANDS[args.command](args)
        flush_streams()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # what is not foreseen is raised again
        return exit_code_of(error)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
