"""Which nodes a stage's pod may go to: selectors, tolerations, and for the GPU pool spot first, on-demand at last.

`templates` and `job` call it. What the pools are is up to the profile.
"""

from typing import Any

from typing_extensions import TypeIs

from k8s.containers import Cluster, StageContainer
from k8s.profile import GpuPool, Pool


def node_selector(container: StageContainer, cluster: Cluster) -> dict[str, str]:
    """Labels that a node must have, for a pod that is made once."""
    pool = cluster.pool(container)
    return pool.node_selector | (pool.on_demand.node_selector if _has_spot(pool) else {})


def node_selector_by_attempt(container: StageContainer, cluster: Cluster) -> dict[str, str]:
    """The same where Argo makes a new pod for each attempt: its expressions choose by the number of the attempt."""
    pool = cluster.pool(container)
    if not _has_spot(pool):
        return dict(pool.node_selector)
    chosen = {
        key: _by_attempt(pool.spot.retries, spot, pool.on_demand.node_selector[key])
        for key, spot in pool.spot.node_selector.items()
    }
    return pool.node_selector | chosen


def tolerations(container: StageContainer, cluster: Cluster) -> list[dict[str, Any]]:
    """The taints that a pod tolerates; those of both kinds of GPU nodes, between which the selector decides."""
    pool = cluster.pool(container)
    asked = [*pool.tolerations]
    if _has_spot(pool):
        asked += [*pool.spot.tolerations, *pool.on_demand.tolerations]
    return [toleration for place, toleration in enumerate(asked) if toleration not in asked[:place]]


def _has_spot(pool: Pool) -> TypeIs[GpuPool]:
    return isinstance(pool, GpuPool) and pool.spot.enabled


def _by_attempt(retries: int, spot: str, on_demand: str) -> str:
    if spot == on_demand:
        return spot
    return f"{{{{= sprig.int(retries) < {retries} ? '{spot}' : '{on_demand}' }}}}"
