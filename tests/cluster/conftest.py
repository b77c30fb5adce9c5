"""The cluster that the tests speak to, a fresh namespace in it, images and chart; whatever fails, all of it goes.

The tests run by `make cluster-test`, against the cluster of `make cluster` or the one that CLUSTER_TEST_CONTEXT names.
Everything else, such as plain `make test`, skips them.
"""

import dataclasses
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import install, kube
from tests.cluster.kube import Cluster
from tests.cluster.onenode import cluster as onenode
from tests.cluster.onenode.places import Places


@pytest.fixture(scope="session")
def anywhere() -> Cluster:
    """The cluster, without a namespace of our own."""
    if context := os.environ.get("CLUSTER_TEST_CONTEXT"):
        return kube.named(context)
    if os.environ.get("CLUSTER_TEST") != "1":
        pytest.skip("a cluster is for `make cluster-test`")
    if not onenode.is_up(Places()):
        pytest.exit("No cluster runs: `make cluster` brings one up, or name one in CLUSTER_TEST_CONTEXT.", 2)
    return kube.own()


@pytest.fixture(scope="session")
def images(anywhere: Cluster) -> None:
    """The project's images on the node of our own cluster; a named one pulls them from its registry."""
    if anywhere.own:
        install.load_images(Places())


@pytest.fixture(scope="session")
def namespace(anywhere: Cluster) -> Iterator[Cluster]:
    """The cluster with a fresh namespace that enforces Pod Security `restricted`."""
    name = f"espnet3-test-{secrets.token_hex(3)}"
    install.make_namespace(anywhere, name)
    try:
        yield dataclasses.replace(anywhere, namespace=name)
    finally:
        anywhere.kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s", timeout=150)
        install.remove_volumes(anywhere, name)


@pytest.fixture(scope="session")
def chart(namespace: Cluster, images: None) -> Cluster:
    """The namespace with the chart installed, a workspace volume, and a pod through which the tests read it."""
    install.make_volume(namespace, f"{namespace.namespace}-workspace")
    install.helm(namespace, "install", "--wait", "--timeout=3m")
    install.make_reader(namespace)
    return namespace


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm, which `make tools` builds."""
    return install.helm_program()


@pytest.fixture(scope="session")
def argo(chart: Cluster) -> Iterator[Cluster]:
    """The namespace in a cluster where Argo runs: the one installed there, or the programs found on PATH."""
    from tests.cluster import argo as programs

    with programs.running(chart):
        yield chart


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A copy of the digits recipe to change, without what runs have made in it."""
    target = tmp_path / "digits" / "asr"
    copy = ["git", "ls-files", "-z", "egs3/digits/asr"]
    root = Path(__file__).parents[2]
    listed = subprocess.run(copy, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        file = target / Path(name).relative_to("egs3/digits/asr")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((root / name).read_bytes())
    return target
