"""What a stage declares about its container; each module in this package sets `CONTAINER`.

The workflow generator reads it through `stages.container_of`. For which files an image holds, see its
Dockerfile; what a recipe needs beyond these defaults is said in its `conf/workflow.yaml`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Container:
    """How a stage runs as a container. Quantities are Kubernetes' own."""

    image: str
    """Name of the image: data, train, infer, measure, publish or demo."""
    cpu: str
    """Processors requested, such as `4` or `500m`."""
    memory: str
    """Requested and most memory, such as `16Gi`."""
    reads: str
    writes: str
    gpu: int = 0
    """GPUs, where the cluster has any."""
    sharded: bool = False
    """Whether several containers may each do a part (`ESPNET3_SHARD_COUNT`)."""
    network: bool = False
    """Whether it needs the internet."""
    token: bool = False
    """Whether it needs the Hub's token, as HF_TOKEN."""


DEFAULT = Container(
    image="train",
    cpu="4",
    memory="16Gi",
    reads="what the recipe's own stage says",
    writes="what the recipe's own stage says",
)
"""A stage that only one recipe's System has; its `conf/workflow.yaml` may say otherwise."""
