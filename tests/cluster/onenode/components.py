"""The command line and the settings of each of the cluster's processes, in the order in which they start.

`cluster` starts them. What a setting is worth saying about is said beside it.
"""

import json
from typing import Any

from tests.cluster.onenode import network
from tests.cluster.onenode.build import PAUSE
from tests.cluster.onenode.places import (
    API_PORT,
    ETCD_PORT,
    NODE,
    NODE_ADDRESS,
    POD_NETWORK,
    SERVICE_NETWORK,
    Places,
)


def etcd(places: Places) -> list[str]:
    """The store. Nothing in it outlives the cluster, so that it need not wait for the disk."""
    client, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PORT + 1}"
    return [
        places.program("etcd"),
        f"--data-dir={places.run / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def api_server(places: Places) -> list[str]:
    """The API. The admin is known by a token, pods by their service accounts."""
    pki = places.pki
    return [
        places.program("kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={NODE_ADDRESS}",
        f"--cert-dir={pki}",
        f"--tls-cert-file={pki / 'api.crt'}",
        f"--tls-private-key-file={pki / 'api.key'}",
        f"--token-auth-file={pki / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--allow-privileged=true",
    ]


def controller_manager(places: Places) -> list[str]:
    """The controllers, with service accounts of their own."""
    return [
        places.program("kube-controller-manager"),
        f"--kubeconfig={places.kubeconfig}",
        f"--service-account-private-key-file={places.pki / 'sa.key'}",
        f"--root-ca-file={places.pki / 'ca.crt'}",
        f"--cert-dir={places.pki}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]


def scheduler(places: Places) -> list[str]:
    """The scheduler, as it comes."""
    words = [places.program("kube-scheduler"), f"--kubeconfig={places.kubeconfig}", f"--cert-dir={places.pki}"]
    return [*words, "--leader-elect=false", "--bind-address=127.0.0.1"]


def containerd(places: Places) -> list[str]:
    """What runs the containers: Debian's containerd and runc."""
    folder = places.run / "cni"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-bridge.conflist").write_text(json.dumps(network.plugins()), encoding="ascii")
    settings = places.run / "containerd.toml"
    settings.write_text(containerd_settings(places), encoding="ascii")
    return ["containerd", f"--config={settings}"]


def containerd_settings(places: Places) -> str:
    """Where CAP_SYS_RESOURCE is missing, no sandbox may lower its OOM score, and runc dies saying only 'EOF'."""
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{places.disk / "containerd"}"
state = "{places.run / "containerd"}"
[grpc]
  address = "{places.containerd_socket}"
[ttrpc]
  address = "{places.containerd_socket}.ttrpc"
{cri}]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{places.run / "cni"}"
"""


def kubelet(places: Places) -> list[str]:
    """The node's agent."""
    settings = places.run / "kubelet.json"
    settings.write_text(json.dumps(kubelet_settings(places), indent=1), encoding="ascii")
    return [
        places.program("kubelet"),
        f"--config={settings}",
        f"--kubeconfig={places.kubeconfig}",
        f"--root-dir={places.kubelet}",
        f"--cert-dir={places.pki}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def kubelet_settings(places: Places) -> dict[str, Any]:
    """Version 1.35 refuses the kernel's older control groups unless told; full disks are the machine's own matter."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
        "podLogsDir": str(places.disk / "pod-logs"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(places.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "registerWithTaints": [],
    }


def proxy(places: Places) -> list[str]:
    """Services. The limits of connection tracking are the machine's, not ours."""
    return [
        places.program("kube-proxy"),
        f"--kubeconfig={places.kubeconfig}",
        f"--hostname-override={NODE}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_NETWORK}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]


def names(places: Places) -> list[str]:
    """CoreDNS, on the node's address; it answers for Services, and for pods of a headless one by their host names."""
    settings = places.run / "Corefile"
    kubernetes = f"kubernetes cluster.local {{\n kubeconfig {places.kubeconfig} espnet3-test\n endpoint_pod_names\n }}"
    settings.write_text(f".:53 {{\n bind {NODE_ADDRESS}\n {kubernetes}\n errors\n}}\n", encoding="ascii")
    return [places.program("coredns"), f"-conf={settings}"]


def network_rules(places: Places) -> list[str]:
    """kube-router, of which only the part that enforces NetworkPolicies runs; the bridge and kube-proxy do the rest."""
    return [
        places.program("kube-router"),
        f"--kubeconfig={places.kubeconfig}",
        f"--hostname-override={NODE}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--run-loadbalancer=false",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--health-port=0",
    ]
