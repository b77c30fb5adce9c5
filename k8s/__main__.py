"""`python -m k8s`: prints, submits and fetches runs of recipes on Kubernetes.

    render RECIPE --profile P      the run as one Argo Workflow, or with --kind as a WorkflowTemplate
    job RECIPE STAGE --profile P   one stage as a plain Kubernetes Job
    demo RECIPE --profile P        the recipe's demo as a Deployment and a Service
    shell --profile P              a pod through which data come onto the volumes
    submit RECIPE --profile P      create the Workflow
    results RUN DIR                copy metrics, report and logs of a run here

The flags for stages and configs are those of run.py. Watching, stopping and retrying a run is argo's own work.
"""

import sys
from collections.abc import Sequence

from espnet3.errors import Espnet3Error
from k8s.commands import COMMANDS
from k8s.flags import parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code is 0, or that of the error that it printed."""
    args = parse(arguments)
    try:
        COMMANDS[args.command](args)
    except Espnet3Error as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
