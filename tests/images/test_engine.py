"""Which engine is taken, and what it is told; pretended programs write down how they were called."""

from pathlib import Path

import pytest

from espnet3.errors import ConfigError
from images import engine, sandbox
from images.engine import Engine, Recipe


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH but for the shell's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("ENGINE", raising=False)
    return folder


def pretend(folder: Path, name: str, *, works: bool = True) -> Path:
    """A program that notes its arguments and fails `info` where it is to be broken."""
    log = folder / f"{name}.log"
    answer = "" if works else 'if [ "$1" = info ]; then exit 1; fi\n'
    digest = 'while [ $# -gt 0 ]; do if [ "$1" = --digestfile ]; then printf sha256:abc > "$2"; fi; shift; done\n'
    (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {log}\n{answer}{digest}', encoding="utf-8")
    (folder / name).chmod(0o755)
    return log


def test_a_client_without_a_daemon_is_no_engine(programs: Path) -> None:
    pretend(programs, "docker", works=False)
    pretend(programs, "podman")
    assert engine.find().name == "podman"


def test_the_named_engine_must_work(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(programs, "docker", works=False)
    pretend(programs, "podman")
    monkeypatch.setenv("ENGINE", "docker")
    with pytest.raises(ConfigError, match="ENGINE=docker does not work here"):
        engine.find()


@pytest.mark.parametrize(
    ("name", "own"), [("docker", ""), ("podman", ""), ("buildah", "--layers --isolation chroot ")], ids=str
)
def test_all_engines_build_alike(programs: Path, name: str, own: str) -> None:
    log = pretend(programs, name)
    recipe = Recipe(Path("/d"), Path("/c"), "runtime", {"BASE": "b"}, {"uv": Path("/s")})
    Engine(name).build(recipe, "localhost/x:1")
    told = f"build {own}--target runtime --build-arg BASE=b --secret id=uv,src=/s --file /d --tag localhost/x:1 /c\n"
    assert log.read_text("utf-8") == told


@pytest.mark.parametrize(
    ("target", "insecure"),
    [("127.0.0.1:5000/x:1", True), ("registry.example.org/x:1", False)],
    ids=["loopback", "other"],
)
def test_only_a_registry_on_this_machine_is_spoken_to_in_the_clear(programs: Path, target: str, insecure: bool) -> None:
    log = pretend(programs, "buildah")
    assert Engine("buildah").push("localhost/x:1", target) == "sha256:abc"
    assert ("--tls-verify=false" in log.read_text("utf-8")) == insecure


def test_a_container_gets_no_more_than_a_stage_needs() -> None:
    task = sandbox.Task(("python", "-V"), Path("/w"), environment={"A": "b"})
    told = " ".join(sandbox.engine_options("podman", task))
    for option in (
        "--read-only",
        "--cap-drop ALL",
        "--network none",
        "--user 10001:0",
        "--memory",
        "--volume /w:/workspace",
    ):
        assert option in told
    document = sandbox.bundle(Path("/root"), task, ["PATH=/bin"], "name")
    process, linux = document["process"], document["linux"]
    assert process["user"] == {"uid": 10001, "gid": 0}
    assert set(map(tuple, process["capabilities"].values())) == {()}
    assert process["noNewPrivileges"]
    assert process["env"] == ["PATH=/bin", "A=b"]
    assert document["root"]["readonly"]
    assert {"type": "network"} in linux["namespaces"]
    assert linux["resources"]["memory"]["limit"] == task.memory
    writable = [mount["destination"] for mount in document["mounts"] if "ro" not in mount.get("options", ["ro"])]
    assert writable == ["/dev", "/dev/shm", "/tmp", "/workspace"]


def test_only_who_asks_for_a_network_has_one() -> None:
    alone, online = (sandbox.Task(("python", "-V"), Path("/w"), network=asked) for asked in (False, True))
    assert "--network none" in " ".join(sandbox.engine_options("docker", alone))
    assert "--network host" in " ".join(sandbox.engine_options("docker", online))
    namespaces = [sandbox.bundle(Path("/"), task, [], "n")["linux"]["namespaces"] for task in (alone, online)]
    assert [{"type": "network"} in each for each in namespaces] == [True, False]
