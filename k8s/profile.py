"""What of a cluster's values workflows depend on, with types; the chart's `values.yaml` says what each means.

`values` fills it, every other module of the generator reads it. Defaults and the check of keys are not here: those are
in the chart's `values.yaml` and `values.schema.json`. What has a default here may be removed by a profile's null.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="ignore")


class Images(_Values):
    """Where images come from."""

    registry: str
    tag: str
    pull_policy: str
    pull_secrets: list[str]


class Volume(_Values):
    """A claim that is there before a run."""

    existing_claim: str
    mount_path: str


class DataVolume(Volume):
    """The optional second claim."""

    enabled: bool
    read_only: bool


class Security(_Values):
    """Who the processes of a pod are; None where the cluster chooses."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    fs_group_change_policy: str | None = None
    supplemental_groups: list[int] = []


class Proxy(_Values):
    """The way out."""

    http: str
    https: str
    no_proxy: str


class CaBundle(_Values):
    """A ConfigMap with certificates."""

    config_map: str
    key: str


class Annotations(_Values):
    """Of every pod."""

    pod: dict[str, str]


class Largest(_Values):
    """What a node can give one pod; empty for no limit."""

    cpu: str
    memory: str


class Nodes(_Values):
    """How pods find nodes."""

    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]


class Pool(Nodes):
    """A pool of nodes."""

    priority_class_name: str
    largest: Largest


class Spot(Nodes):
    """The part of the GPU pool that may go away."""

    enabled: bool
    retries: int


class GpuPool(Pool):
    """The pool of stages with a GPU."""

    resource: str
    devices: int
    shm: str
    another_node: bool
    runtime_class_name: str
    spot: Spot
    on_demand: Nodes


class Pools(_Values):
    """The two pools."""

    cpu: Pool
    gpu: GpuPool


class Semaphores(_Values):
    """Pods of a pool at a time; 0 for no limit."""

    gpu: int


class Backoff(_Values):
    """Time between attempts."""

    duration: str
    factor: int
    cap: str


class Retries(_Values):
    """How often."""

    limit: int
    backoff: Backoff


class Training(_Values):
    """Seconds."""

    termination_grace_period_seconds: int
    active_deadline_seconds: int


class Ttl(_Values):
    """Seconds, and the delay as a duration."""

    success: int
    failure: int
    pod_delete_delay: str


class Token(_Values):
    """The Secret of the Hub's token."""

    existing_secret: str
    key: str


class Hub(_Values):
    """Empty for the public one."""

    endpoint: str


class Profile(_Values):
    """What of a cluster's values workflows depend on; `values.yaml` of the chart says what each means."""

    fullname_override: str
    device: Literal["cpu", "cuda"]
    images: Images
    workspace: Volume
    data: DataVolume
    security: Security = Security()
    proxy: Proxy
    ca_bundle: CaBundle
    environment: dict[str, str]
    annotations: Annotations
    pools: Pools
    semaphores: Semaphores
    parallelism: int
    retries: Retries
    train: Training
    stage_deadline_seconds: int
    ttl: Ttl
    token: Token
    hub: Hub

    def named(self, part: str) -> str:
        """The name of an object that the chart makes: `workspace` is espnet3-workspace."""
        return f"{self.fullname_override}-{part}"

    @property
    def workspace_claim(self) -> str:
        """The claim that every stage mounts."""
        return self.workspace.existing_claim or self.named("workspace")

    @property
    def data_claim(self) -> str:
        """The second claim."""
        return self.data.existing_claim or self.named("data")
