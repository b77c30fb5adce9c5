"""The parts that a stage's pod has under Argo and as a plain Job alike: environment, volumes, resources, security.

`templates` and `job` put them together. Every pod fits Pod Security `restricted`, sees the workspace and an empty /tmp,
and nothing else that it can write. For how often it is tried again, see `retry`.
"""

from pathlib import PurePosixPath
from typing import Any

from hera.workflows import models as m

from espnet3.recipe.run_config import RunConfig
from k8s.containers import Cluster, StageContainer
from k8s.names import argo_name, label_value
from k8s.profile import Profile

OUTCOME = "/tmp/outcome.json"  # noqa: S108  # an empty volume of the pod's own
CERTIFICATES = PurePosixPath("/etc/espnet3/certificates")
SAFE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""Nodes are not emptied under a pod that has these annotations for the sake of tidiness."""


def working_directory(run: RunConfig, profile: Profile) -> str:
    """The recipe's folder on the workspace: relative paths in configs are below it."""
    return f"{profile.workspace.mount_path}/{run.recipe.name}"


def run_config_path(run: RunConfig) -> str:
    """Where the plan step puts the run config, below the working directory."""
    return f".runs/{run.digest}/run.yaml"


def environment(container: StageContainer, run: RunConfig, cluster: Cluster) -> list[Any]:
    """The environment of a stage, whether Argo or a Job starts it."""
    profile = cluster.profile
    texts = {
        # Not the pod's workingDir: the runtime would make a missing one, as root.
        "ESPNET3_WORKDIR": working_directory(run, profile),
        "ESPNET3_IMAGE": container.image,
        "ESPNET3_OUTCOME_FILE": OUTCOME,
    }
    if container.network:
        texts |= _network(profile)
    variables = [m.EnvVar(name=name, value=value) for name, value in (texts | profile.environment).items()]
    return [*variables, threads(), *_token(container, profile)]


def _network(profile: Profile) -> dict[str, str]:
    proxies = {"http_proxy": profile.proxy.http, "https_proxy": profile.proxy.https, "no_proxy": profile.proxy.no_proxy}
    given = {name: value for name, value in proxies.items() if value}
    texts = given | {name.upper(): value for name, value in given.items()}
    if profile.ca_bundle.config_map:
        bundle = str(CERTIFICATES / profile.ca_bundle.key)
        texts |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), bundle)
    if profile.hub.endpoint:
        texts["HF_ENDPOINT"] = profile.hub.endpoint
    return texts


def threads() -> Any:
    """As many threads as the limit has processors: libraries would count the node's."""
    limit = m.ResourceFieldSelector(container_name="main", resource="limits.cpu")
    return m.EnvVar(name="OMP_NUM_THREADS", value_from=m.EnvVarSource(resource_field_ref=limit))


def _token(container: StageContainer, profile: Profile) -> list[Any]:
    if not (container.token and profile.token.existing_secret):
        return []
    key = m.SecretKeySelector(name=profile.token.existing_secret, key=profile.token.key)
    return [m.EnvVar(name="HF_TOKEN", value_from=m.EnvVarSource(secret_key_ref=key))]


def volumes(profile: Profile) -> list[Any]:
    """What the pods of a run may mount, except for shared memory."""
    claims = {"workspace": profile.workspace_claim}
    if profile.data.enabled:
        claims["data"] = profile.data_claim
    sources = [
        m.Volume(
            name=name,
            persistent_volume_claim=m.PersistentVolumeClaimVolumeSource(
                claim_name=claim, read_only=True if name == "data" and profile.data.read_only else None
            ),
        )
        for name, claim in claims.items()
    ]
    sources.append(m.Volume(name="tmp", empty_dir=m.EmptyDirVolumeSource()))
    if profile.ca_bundle.config_map:
        bundle = m.ConfigMapVolumeSource(name=profile.ca_bundle.config_map)
        sources.append(m.Volume(name="certificates", config_map=bundle))
    return sources


def shared_memory(container: StageContainer, profile: Profile) -> list[Any]:
    """A /dev/shm for processes that exchange batches; the default of 64 MiB is too small."""
    if not _wants_shared_memory(container):
        return []
    size: Any = profile.pools.gpu.shm
    return [m.Volume(name="shm", empty_dir=m.EmptyDirVolumeSource(medium="Memory", size_limit=size))]


def _wants_shared_memory(container: StageContainer) -> bool:
    return bool(container.gpu) or container.is_training


def mounts(container: StageContainer, profile: Profile) -> list[Any]:
    """Where a stage finds its volumes."""
    places = {"workspace": profile.workspace.mount_path, "tmp": "/tmp"}  # noqa: S108
    if profile.data.enabled:
        places["data"] = profile.data.mount_path
    if profile.ca_bundle.config_map and container.network:
        places["certificates"] = str(CERTIFICATES)
    if _wants_shared_memory(container):
        places["shm"] = "/dev/shm"  # noqa: S108
    read_only = {"certificates"} | ({"data"} if profile.data.read_only else set())
    return [
        m.VolumeMount(name=name, mount_path=place, read_only=True if name in read_only else None)
        for name, place in places.items()
    ]


def resources(container: StageContainer, profile: Profile) -> Any:
    """Requests equal limits, so that a pod is the last to be evicted and its memory is its own."""
    amounts: dict[str, Any] = {"cpu": container.cpu, "memory": container.memory}
    if container.gpu:
        amounts[profile.pools.gpu.resource] = str(container.gpu)
    return m.ResourceRequirements(requests=amounts, limits=dict(amounts))


def pod_security(profile: Profile) -> Any:
    """Of the pod, for `restricted`; what is None in the profile the cluster chooses."""
    security = profile.security
    return m.PodSecurityContext(
        run_as_non_root=True,
        run_as_user=security.run_as_user,
        run_as_group=security.run_as_group,
        fs_group=security.fs_group,
        fs_group_change_policy=security.fs_group_change_policy,
        supplemental_groups=security.supplemental_groups or None,
        seccomp_profile=m.SeccompProfile(type="RuntimeDefault"),
    )


def container_security() -> Any:
    """Of every container, for `restricted` and a root that cannot be written."""
    return m.SecurityContext(
        allow_privilege_escalation=False,
        capabilities=m.Capabilities(drop=["ALL"]),
        read_only_root_filesystem=True,
    )


def run_labels(run: RunConfig) -> dict[str, str]:
    """Of the workflow and of all that it makes."""
    return {
        "app.kubernetes.io/part-of": "espnet3",
        "espnet3.org/recipe": label_value(run.recipe.name),
        "espnet3.org/config": run.digest,
    }


def pod_labels(container: StageContainer) -> dict[str, str]:
    """Of a stage's pods; the chart's network policy selects on the second."""
    network = "internet" if container.network else "none"
    return {"espnet3.org/stage": argo_name(container.stage), "espnet3.org/network": network}


def pod_annotations(container: StageContainer) -> dict[str, str]:
    """Of a stage's pods, besides the profile's."""
    return dict(SAFE) if container.gpu or container.is_training else {}


def account(container: StageContainer, profile: Profile) -> str:
    """The service account of the pod: uploads have one of their own."""
    return profile.named("publisher" if container.token else "stage")


def deadline(container: StageContainer, profile: Profile) -> int:
    """Seconds that one attempt may take."""
    return profile.train.active_deadline_seconds if container.is_training else profile.stage_deadline_seconds


def grace(container: StageContainer, profile: Profile) -> int | None:
    """Seconds to end in; None for Kubernetes' own 30."""
    return profile.train.termination_grace_period_seconds if container.is_training else None
