"""The cluster that the tests speak to, a fresh namespace in it, images and chart; whatever fails, all of it goes.

The tests run by `make cluster-test`, against the cluster of `make cluster` or the one that CLUSTER_TEST_CONTEXT names.
Everything else, such as plain `make test`, skips them.
"""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import install, kube, stage_jobs
from tests.cluster.kube import Cluster
from tests.cluster.onenode import cluster as onenode
from tests.cluster.onenode.places import Places
from tests.egs3.digits_run import Digits


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
    with install.fresh_namespace(anywhere) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def chart(namespace: Cluster, images: None) -> Cluster:
    """The namespace with chart and network rules, a workspace volume, and a pod through which the tests read it."""
    install.make_volume(namespace, f"{namespace.namespace}-workspace")
    install.helm(namespace, "install", *install.network_rules(namespace))
    install.make_reader(namespace)
    return namespace


@pytest.fixture(scope="session")
def argo(chart: Cluster) -> Iterator[Cluster]:
    """The namespace in a cluster where Argo runs: the one installed there, or the programs found on PATH."""
    from tests.cluster import argo as programs

    with programs.running(chart):
        yield chart


@pytest.fixture(scope="session")
def undisturbed(anywhere: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """What the digits recipe leaves when run.py runs it here."""
    recipe = stage_jobs.new(tmp_path_factory.mktemp("local"), "tiny")
    done = recipe.run()
    assert done.returncode == 0, done.stderr
    return recipe


@pytest.fixture(scope="session")
def undisturbed_long(undisturbed: Digits, tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """The same with a training that is long enough to disturb."""
    recipe = stage_jobs.new(tmp_path_factory.mktemp("local"), "long")
    recipe.edit("conf/tiny.yaml", *stage_jobs.LONGER)
    done = recipe.run()
    assert done.returncode == 0, done.stderr
    return recipe
