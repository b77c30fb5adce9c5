"""Where processes that work for each other keep locks and share memory; a container has little of it.

`failures` names it where no room is left and no file is named, training where a process that prepares batches ran out.
"""

import os

PLACE = "/dev/shm"  # noqa: S108
LEAST = 128 * 1024
"""Bytes that a few locks and queues take."""

SHARED_MEMORY_FULL = (
    f"{PLACE}, through which processes share memory, is full: give the container more (docker run --shm-size 2g; "
    "pools.gpu.shm in the values of the cluster, which the profile may set), or do with fewer processes "
    "(dataloader.num_workers: 0, num_workers: 1, parallel.workers: 1)"
)


def is_full() -> bool:
    """Whether hardly anything more can be put there."""
    try:
        found = os.statvfs(PLACE)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < LEAST
