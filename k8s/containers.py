"""What each stage of a run asks of a cluster: image, processors, memory, GPUs, pool, shards.

`templates` and `job` build pods from it. It brings together what `stages/` says of every recipe, what the recipe's
`conf/workflow.yaml` says of its own, and what the profile says of the cluster.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from espnet3.errors import ConfigError
from espnet3.recipe.run_config import RunConfig
from k8s.images import Digests, image_reference
from k8s.profile import Pool, Profile
from k8s.quantities import smaller
from k8s.settings import StageSettings
from stages import container_of, stages_with_a_file
from stages._container import Container

SERVICE_IMAGE = "data"
"""Holds no torch: plan and report start in a second or two."""
_SERVICE = Container(image=SERVICE_IMAGE, cpu="500m", memory="512Mi", reads="the run config", writes="its decisions")


@dataclass(frozen=True)
class StageContainer:
    """A stage as a container on one cluster."""

    stage: str
    command: tuple[str, ...]
    image: str
    """A full reference."""
    cpu: str
    memory: str
    gpu: int = 0
    shards: int = 1
    network: bool = False
    token: bool = False

    @property
    def is_training(self) -> bool:
        """Whether losing its pod costs more than starting again."""
        return self.stage == "train"


@dataclass(frozen=True)
class Cluster:
    """A profile and the images that were pushed for it."""

    profile: Profile
    digests: Digests

    def pool(self, container: StageContainer) -> Pool:
        """The nodes that a container runs on."""
        return self.profile.pools.gpu if container.gpu else self.profile.pools.cpu


def stage_containers(
    run: RunConfig, settings: Mapping[str, StageSettings], cluster: Cluster
) -> Iterator[StageContainer]:
    """Every stage of the run, in its order.

    Raises:
        ConfigError: an image that there is not, or shards of a stage that cannot be divided.
    """
    for stage in run.stages:
        yield _stage_container(stage, settings.get(stage, StageSettings()), run, cluster)


def service_container(name: str, cluster: Cluster) -> StageContainer:
    """`plan` or `report`, which belong to every run."""
    return cut_to_pool(_container(name, _SERVICE, StageSettings(), cluster, 0), cluster)


def _check_shards(stage: str, default: Container, own: StageSettings) -> None:
    if own.shards > 1 and not default.sharded:
        able = [name for name in stages_with_a_file() if container_of(name).sharded]
        raise ConfigError(
            f"conf/workflow.yaml gives {stage} {own.shards} shards, but {stage} cannot be divided. Leave shards out; "
            f"{', '.join(able)} can have some."
        )


def _stage_container(stage: str, own: StageSettings, run: RunConfig, cluster: Cluster) -> StageContainer:
    default = container_of(stage)
    _check_shards(stage, default, own)
    gpu = _gpus(stage, default, own, run, cluster) if cluster.profile.device == "cuda" else 0
    return cut_to_pool(_container(stage, default, own, cluster, gpu), cluster)


def _container(stage: str, default: Container, own: StageSettings, cluster: Cluster, gpu: int) -> StageContainer:
    return StageContainer(
        stage=stage,
        command=_command(stage),
        image=image_reference(own.image or default.image, cluster.profile, cluster.digests),
        cpu=own.cpu or default.cpu,
        memory=own.memory or default.memory,
        gpu=gpu,
        shards=own.shards,
        network=default.network,
        token=default.token,
    )


def _command(stage: str) -> tuple[str, ...]:
    """Written out, so that no registry has to be asked for the image's own."""
    named = (f"stages.{stage}",) if stage in stages_with_a_file() else ("stages", stage)
    return ("tini", "-s", "--", "python", "-m", *named)


def _gpus(stage: str, default: Container, own: StageSettings, run: RunConfig, cluster: Cluster) -> int:
    if stage != "train":
        return default.gpu if own.gpu is None else own.gpu
    used = int(run.slots.get("training_config", {}).get("num_device", 1))
    if own.gpu is not None and own.gpu not in (0, used):
        raise ConfigError(
            f"conf/workflow.yaml gives train {own.gpu} GPUs, but training_config.num_device is {used}. Leave gpu out: "
            "num_device says how many a training asks for and uses."
        )
    return (cluster.profile.pools.gpu.devices or used) if own.gpu is None else own.gpu


def cut_to_pool(container: StageContainer, cluster: Cluster) -> StageContainer:
    """With no more than a node of its pool can give."""
    largest = cluster.pool(container).largest
    return replace(container, cpu=smaller(container.cpu, largest.cpu), memory=smaller(container.memory, largest.memory))
