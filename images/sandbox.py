"""Run one command in an image the way a cluster runs a stage: a numeric user, a read-only root, no capabilities, no
network, a memory limit, and the workspace as the one thing that is writable besides /tmp. Who needs a network gets this
machine's.

The smoke run, the cold-start benchmark and the demo's browser test use it. docker and podman run the image themselves;
where buildah built it, runc runs it on the image's mounted file system, which needs root.
"""

import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images.engine import Engine

USER, GROUP = 10001, 0
MOUNT = "/workspace"
ENOUGH = 16384  # open files, and processes
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Task:
    """What runs, and with what."""

    command: tuple[str, ...]
    workspace: Path
    memory: int = 4 << 30  # bytes
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False


def run(engine: Engine, reference: str, task: Task) -> Done:
    """Run the task in a container of its own and wait for it; its output is captured, both streams as one."""
    with command(engine, reference, task) as words:
        return _call(words)


@contextmanager
def command(engine: Engine, reference: str, task: Task) -> Iterator[list[str]]:
    """What runs the task in a container of its own, while the context lasts; SIGTERM reaches the task."""
    if engine.name in ("docker", "podman"):
        yield [engine.name, *engine_options(engine.name, task), reference, *task.command[1:]]
        return
    with _mounted(engine, reference) as root, tempfile.TemporaryDirectory() as scratch:
        name = f"espnet3-{os.getpid()}-{Path(scratch).name}"
        settings = json.loads(_output([engine.name, "inspect", "--type", "image", reference]))
        document = bundle(root, task, settings["OCIv1"]["config"].get("Env", []), name)
        Path(scratch, "config.json").write_text(json.dumps(document), encoding="utf-8")
        yield ["runc", "run", "--bundle", scratch, name]


def engine_options(program: str, task: Task) -> list[str]:
    """The options that give a container of docker or podman no more than a stage needs."""
    options = [
        "run",
        "--rm",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--network",
        "host" if task.network else "none",
    ]
    if program == "podman":  # it asks for more than root may have inside another sandbox
        options += [word for name in ("nofile", "nproc") for word in ("--ulimit", _limit(name))]
    options += ["--user", f"{USER}:{GROUP}", "--memory", str(task.memory), "--tmpfs", "/tmp:mode=1777"]  # noqa: S108
    options += ["--volume", f"{task.workspace}:{MOUNT}", "--workdir", MOUNT, "--entrypoint", task.command[0]]
    for key, value in task.environment.items():
        options += ["--env", f"{key}={value}"]
    return options


def _limit(name: str) -> str:
    _, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    limit = min(hard, ENOUGH) if hard != resource.RLIM_INFINITY else ENOUGH
    return f"{name}={limit}:{limit}"


def bundle(root: Path, task: Task, environment: list[str], name: str) -> dict[str, Any]:
    """The OCI runtime configuration of the same container, for runc."""
    namespaces = ("pid", "ipc", "uts", "mount", *(() if task.network else ("network",)))
    nothing: list[str] = []
    return {
        "ociVersion": "1.0.2",
        "hostname": "stage",
        "root": {"path": str(root), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": USER, "gid": GROUP},
            "args": list(task.command),
            "env": environment + [f"{key}={value}" for key, value in task.environment.items()],
            "cwd": MOUNT,
            "capabilities": dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), nothing),
            "noNewPrivileges": True,
        },
        "mounts": mounts(task),
        "linux": {
            "namespaces": [{"type": kind} for kind in namespaces],
            "resources": {"memory": {"limit": task.memory}, "devices": [{"allow": False, "access": "rwm"}]},
            "cgroupsPath": f"/{name}",
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def mounts(task: Task) -> list[dict[str, Any]]:
    """The kernel's file systems, a /tmp, and the workspace."""
    tight = ["nosuid", "noexec", "nodev"]
    memory = ["nosuid", "nodev", "mode=1777"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": memory},  # noqa: S108
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*tight, "ro"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": memory},  # noqa: S108
        {
            "destination": MOUNT,
            "type": "bind",
            "source": str(task.workspace),
            "options": ["rbind", "rw", "nosuid", "nodev"],
        },
    ]


@contextmanager
def _mounted(engine: Engine, reference: str) -> Iterator[Path]:
    """The image's file system as a folder of this machine, for as long as the context lasts."""
    container = _output([engine.name, "from", "--pull-never", reference]).strip()
    try:
        yield Path(_output([engine.name, "mount", container]).strip())
    finally:
        _output([engine.name, "rm", container])


def _call(command: list[str]) -> Done:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
