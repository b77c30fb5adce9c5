"""Where the cluster keeps its files, and the addresses that it uses; every other module here reads them.

Programs are kept between clusters, by version. All the rest belongs to one cluster and goes with it, but for the logs.
"""

import hashlib
import os
import subprocess
from functools import cached_property
from pathlib import Path

NODE = "espnet3-node"
NODE_ADDRESS = "10.244.0.1"  # the bridge's own: no packet of the cluster leaves the machine
POD_NETWORK = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
API_PORT = 6443
ETCD_PORT = 23790
BRIDGE = "espnet3-cni0"
MODULES = {
    "kubernetes": "kube-apiserver",
    "coredns": "coredns",
    "kube-router": "kube-router",
}  # folder of the pinned module: a program that it builds


class Places:
    """Paths of a machine's cluster; it can have but one, because it has but one set of network rules."""

    def __init__(self) -> None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.cache = home / "espnet3-cluster"
        self.logs = self.cache / "logs"
        self.disk = self.cache / "disk"
        self.volumes = self.disk / "volumes"
        self.run = Path("/run/espnet3-cluster")
        self.pki = self.run / "pki"
        self.kubeconfig = self.run / "kubeconfig"
        self.containerd_socket = self.run / "containerd.sock"
        self.kubelet = self.run / "kubelet"

    @cached_property
    def programs(self) -> Path:
        """The folder of the built programs, named after what they are built from."""
        return self.cache / "programs" / version()

    def program(self, name: str) -> str:
        """The path of a built program, as a word of a command line."""
        return str(self.programs / name)

    def kubectl(self, *words: str) -> list[str]:
        """A command line that speaks to this cluster and no other."""
        return [self.program("kubectl"), f"--kubeconfig={self.kubeconfig}", *words]

    def ctr(self, *words: str) -> list[str]:
        """A command line for the containers and images that the kubelet sees."""
        return ["ctr", f"--address={self.containerd_socket}", "--namespace=k8s.io", *words]


def version() -> str:
    """A name for what the programs are built from: the pinned modules and the compiler."""
    digest = hashlib.sha256(subprocess.run(["go", "version"], capture_output=True, check=True).stdout)
    for folder in sorted(MODULES):
        for name in ("go.mod", "go.sum"):
            digest.update((Path(__file__).parent / folder / name).read_bytes())
    return digest.hexdigest()[:12]
