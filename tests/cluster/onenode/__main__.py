"""`python -m tests.cluster.onenode up|down`, which `make cluster` and `make cluster-down` run."""

import argparse
import logging
import os
import subprocess
import sys

from tests.charts import programs
from tests.cluster.onenode import cluster
from tests.cluster.onenode.build import CannotBuild
from tests.cluster.onenode.places import Places
from tests.cluster.onenode.processes import DidNotStart


def main() -> None:
    """Bring the cluster up, or take it down."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.cluster.onenode")
    parser.add_argument("command", choices=["up", "down"])
    command = parser.parse_args().command
    if os.geteuid() != 0:
        sys.exit(
            "A cluster needs root, because it makes network namespaces, mounts and control groups: run it as root."
        )
    places = Places()
    try:
        cluster.up(places) if command == "up" else cluster.down(places)
    except (CannotBuild, DidNotStart) as error:
        sys.exit(str(error))
    if command == "up":
        subprocess.run(places.kubectl("get", "nodes", "-o", "wide"), check=True)
        sys.stdout.write(f"export KUBECONFIG={places.kubeconfig} CONTAINERD_ADDRESS={places.containerd_socket}\n")
        sys.stdout.write(
            f"export PATH={places.programs}:{programs.folder()}:$PATH    # with helm, where `make tools` ran\n"
        )


if __name__ == "__main__":
    main()
