"""Volumes of the cluster's node: of the kind that honours fsGroup, and a few ready for claims that name no class.

`cluster.up` offers those, so that a chart is installed here as it is in a cluster that makes its volumes itself; the
tests make their own with `persistent_volume`.
"""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.onenode.places import NODE, Places

CLASS = "local"
READY = 4
"""How many claims without a class find a volume."""


def offer(places: Places) -> None:
    """Make the class that claims get which name none, and volumes of it."""
    folders = [places.volumes / f"{CLASS}-{number}" for number in range(READY)]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    objects = [storage_class(), *(persistent_volume(folder, CLASS) for folder in folders)]
    apply = places.kubectl("apply", "--server-side", "--filename=-")
    subprocess.run(apply, input=yaml.safe_dump_all(objects), text=True, check=True, stdout=subprocess.DEVNULL)


def storage_class() -> dict[str, Any]:
    """The cluster's default; nothing makes volumes of it but `offer`."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def persistent_volume(folder: Path, storage_class_name: str = "", **labels: str) -> dict[str, Any]:
    """A folder of the node as a volume of the same name."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": folder.name, "labels": labels},
        "spec": {
            "capacity": {"storage": "1Ti"},
            "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class_name,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
