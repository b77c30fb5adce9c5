"""The cluster's bridge, its rules, and the kernel settings that it needs; `take_back` leaves the machine as it was."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.cluster.onenode.places import BRIDGE, NODE_ADDRESS, POD_NETWORK, Places

FILTERED = "net/bridge/bridge-nf-call-iptables"  # otherwise pods of one bridge meet without a rule being asked
SETTINGS = {"net/ipv4/ip_forward": "1", FILTERED: "1"}
KERNEL = Path("/proc/sys")
NAMESPACES = Path("/run/netns")
SETS = ("KUBE-", "kube-router-", "inet6:KUBE-", "inet6:kube-router-")
FORWARD = [["FORWARD", side, BRIDGE, "-j", "ACCEPT"] for side in ("-i", "-o")]


def prepare(places: Places) -> None:
    """Make the bridge, which carries the node's own address, and let packets through it."""
    if not (KERNEL / FILTERED).exists() and shutil.which("modprobe"):
        done("modprobe", "br_netfilter")
    remember_settings(places)
    keep_namespaces(places)
    if not done("ip", "link", "show", BRIDGE):
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "replace", f"{NODE_ADDRESS}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    for name in known_settings():
        (KERNEL / name).write_text(SETTINGS[name], encoding="ascii")
    for rule in FORWARD:
        if not done("iptables", "-w", "-C", *rule):
            run("iptables", "-w", "-A", *rule)


def known_settings() -> list[str]:
    """Those of `SETTINGS` that this kernel has."""
    return [name for name in SETTINGS if (KERNEL / name).exists()]


def can_enforce() -> bool:
    """Whether this kernel has what NetworkPolicies on a bridge need: a filter there, and sets of addresses to match."""
    probe = "espnet3-probe"
    sets = done("ipset", "create", probe, "hash:ip") and done("ipset", "destroy", probe)
    return sets and FILTERED in known_settings()


def remember_settings(places: Places) -> None:
    """Keep what the kernel was set to, unless an earlier start has kept it."""
    places.run.mkdir(parents=True, exist_ok=True)
    kept = places.run / "settings.json"
    if not kept.exists():
        before = {name: (KERNEL / name).read_text(encoding="ascii").strip() for name in known_settings()}
        kept.write_text(json.dumps(before), encoding="ascii")


def keep_namespaces(places: Places) -> None:
    """Make the folder of network namespaces a mount.

    Where it is none, podman and `ip netns` lay one over it at their first use, and those of running pods vanish below.
    """
    NAMESPACES.mkdir(exist_ok=True)
    if not NAMESPACES.is_mount():
        run("mount", "--bind", str(NAMESPACES), str(NAMESPACES))
        run("mount", "--make-rshared", str(NAMESPACES))
        mounted(places).touch()


def mounted(places: Places) -> Path:
    """Stands where `keep_namespaces` made the mount."""
    return places.run / "namespaces-mounted"


def take_back(places: Places) -> None:
    """Undo `prepare`, and what kube-proxy and kube-router wrote."""
    if Path(places.program("kube-proxy")).exists():
        done(places.program("kube-proxy"), "--cleanup")
    for rule in FORWARD:
        while done("iptables", "-w", "-D", *rule):
            pass
    remove_kubernetes_chains()
    remove_address_sets()
    if mounted(places).exists():
        done("umount", "--lazy", str(NAMESPACES))
    done("ip", "link", "delete", BRIDGE)
    kept = places.run / "settings.json"
    if kept.exists():
        for name, value in json.loads(kept.read_text(encoding="ascii")).items():
            (KERNEL / name).write_text(value, encoding="ascii")


def remove_kubernetes_chains() -> None:
    """Remove the chains that the kubelet and kube-router make and that kube-proxy's cleanup leaves; no other rule is in
    them.
    """
    for table in ("mangle", "nat", "filter"):
        for family in ("iptables", "ip6tables"):
            listing = subprocess.run(
                [family, "-w", "-t", table, "-S"], capture_output=True, check=False, text=True
            ).stdout
            ours = [words for words in map(shlex.split, listing.splitlines()) if any("KUBE-" in word for word in words)]
            for words in [words for words in ours if words[0] == "-A"]:
                done(family, "-w", "-t", table, "-D", *words[1:])
            for words in [words for words in ours if words[0] == "-N"]:
                done(family, "-w", "-t", table, "-F", words[1])
            for words in [words for words in ours if words[0] == "-N"]:
                done(family, "-w", "-t", table, "-X", words[1])


def remove_address_sets() -> None:
    """Remove kube-router's sets of addresses, which no rule asks about any more."""
    listing = subprocess.run(["ipset", "list", "-name"], capture_output=True, check=False, text=True).stdout
    for name in listing.split():
        if name.startswith(SETS):
            done("ipset", "destroy", name)


def plugins() -> dict[str, object]:
    """How containerd joins a pod to the bridge; pods have no way out of the machine."""
    addresses = {"subnet": POD_NETWORK, "rangeStart": NODE_ADDRESS.removesuffix("1") + "10"}
    ipam = {"type": "host-local", "ranges": [[addresses]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": ipam}
    return {"cniVersion": "0.4.0", "name": "espnet3", "plugins": [bridge]}


def run(*words: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(words, check=True, capture_output=True)


def done(*words: str) -> bool:
    """Run a command and say whether it succeeded."""
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
