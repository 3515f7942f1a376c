"""Pods and events as an API server gives them: the parts that figures are taken from.

Source: Kubernetes 1.34 API, core/v1: Pod, ContainerStatus, PodCondition, Event; apimachinery, pkg/api/resource:
Quantity.
"""

import math
import re
from datetime import datetime
from typing import Annotated, Final

import msgspec

Seen = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
MomentOfApi = Annotated[datetime, msgspec.Meta(tz=True)]
_QUANTITY: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,9})?)(?:([EPTGMk]|[EPTGMK]i|m)|[eE]([+-]?[0-9]{1,2}))?")
_POWERS: Final = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_MOST: Final = 1 << 53


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Part of a document; what we do not need is left."""


class TerminatedState(_Part, frozen=True, kw_only=True):
    """How a container ended."""

    reason: str = ""
    exit_code: int = 0
    started_at: MomentOfApi | None = None
    finished_at: MomentOfApi | None = None
    container_id: str = msgspec.field(default="", name="containerID")


class RunningState(_Part, frozen=True, kw_only=True):
    """Since when a container runs."""

    started_at: MomentOfApi | None = None


class PodContainerState(_Part, frozen=True, kw_only=True):
    """What a container is now, or was before."""

    running: RunningState | None = None
    terminated: TerminatedState | None = None


class ContainerStatus(_Part, frozen=True, kw_only=True):
    """A container of a pod."""

    name: str
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    restart_count: Seen = 0
    state: PodContainerState = PodContainerState()
    last_state: PodContainerState = PodContainerState()

    @property
    def digest(self) -> str:
        """The digest of its image; empty until the node has said it."""
        return self.image_id.rpartition("@")[2].rpartition("://")[2]


class PodCondition(_Part, frozen=True, kw_only=True):
    """One thing that is so, or not, since a moment."""

    type: str
    status: str = ""
    last_transition_time: MomentOfApi | None = None


class PodStatus(_Part, frozen=True, kw_only=True):
    """What a node says of a pod."""

    phase: str = ""
    conditions: tuple[PodCondition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None
    ephemeral_container_statuses: tuple[ContainerStatus, ...] | None = None

    @property
    def containers(self) -> tuple[ContainerStatus, ...]:
        """All of them, those of the start first."""
        return (
            *(self.init_container_statuses or ()),
            *(self.container_statuses or ()),
            *(self.ephemeral_container_statuses or ()),
        )


class ContainerResources(_Part, frozen=True, kw_only=True):
    """What a container asks for."""

    limits: dict[str, str | int | float] | None = None


class ContainerSpec(_Part, frozen=True, kw_only=True):
    """A container as it was asked for."""

    name: str = ""
    image: str = ""
    resources: ContainerResources | None = None
    readiness_probe: dict[str, object] | None = None


class PodSpec(_Part, frozen=True, kw_only=True):
    """A pod as it was asked for."""

    node_name: str = ""
    containers: tuple[ContainerSpec, ...] | None = None
    init_containers: tuple[ContainerSpec, ...] | None = None
    ephemeral_containers: tuple[ContainerSpec, ...] | None = None
    readiness_gates: tuple[dict[str, object], ...] | None = None

    def limit(self, container: str) -> int | None:
        """Give the memory limit of a container in bytes; None where it has none, or one that can't be read."""
        found = self._container(container)
        resources = found.resources if found is not None else None
        return quantity((resources.limits or {}).get("memory")) if resources is not None else None

    def image(self, container: str) -> str:
        """Give the image that a container was asked for with; empty where there is no such container."""
        found = self._container(container)
        return found.image if found is not None else ""

    def _container(self, name: str) -> ContainerSpec | None:
        known = (*(self.containers or ()), *(self.init_containers or ()), *(self.ephemeral_containers or ()))
        return next((one for one in known if one.name == name), None)


class PodMetadata(_Part, frozen=True, kw_only=True):
    """Its names."""

    name: str
    namespace: str = ""
    uid: str = ""
    creation_timestamp: MomentOfApi | None = None
    resource_version: str = ""


class PodDocument(_Part, frozen=True, kw_only=True):
    """A pod."""

    kind: str = "Pod"
    metadata: PodMetadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether it is ready."""
        return any(one.type == "Ready" and one.status == "True" for one in self.status.conditions or ())

    @property
    def place(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


class EventObject(_Part, frozen=True, kw_only=True):
    """What an event is about."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    field_path: str = ""


class EventSource(_Part, frozen=True, kw_only=True):
    """Who wrote an event."""

    component: str = ""
    host: str = ""


class EventSeries(_Part, frozen=True, kw_only=True):
    """An event that came several times, by the newer API."""

    count: Seen | None = None
    last_observed_time: MomentOfApi | None = None


class EventDocument(_Part, frozen=True, kw_only=True):
    """An event, which stands for all of the same text: `count` says how many."""

    kind: str = "Event"
    metadata: PodMetadata
    involved_object: EventObject = EventObject()
    reason: str = ""
    message: str = ""
    source: EventSource = EventSource()
    reporting_instance: str | None = None
    first_timestamp: MomentOfApi | None = None
    last_timestamp: MomentOfApi | None = None
    event_time: MomentOfApi | None = None
    count: Seen | None = None
    series: EventSeries | None = None


def quantity(value: object) -> int | None:
    """Read a quantity, such as `128Mi` or `0.5G`, in whole units; None where it is none, or beyond all machines."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if not isinstance(value, str):
        return int(value) if math.isfinite(value) and 0 <= value <= _MOST else None
    found = _QUANTITY.fullmatch(value)
    if found is None:
        return None
    digits, unit, power = found[1], found[2] or "", found[3]
    if power is not None:
        factor = 10.0 ** int(power)
    elif unit == "m":
        factor = 0.001
    else:
        factor = float((1024 if unit.endswith("i") else 1000) ** _POWERS[unit.removesuffix("i")])
    whole = float(digits) * factor
    return math.ceil(whole) if whole <= _MOST else None
