"""Who is at fault where a task fails: sources fail the same way again, registries and machines may be better next time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from wherry.build.compile import CompileFailed
from wherry.build.run import StepFailed
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.ignore import BadPattern
from wherry.errors import Cancelled, InvalidSettings, InvalidUsage, NotFound, WherryError
from wherry.registry.errors import AccessDenied, NotInRegistry, RegistryError
from wherry.sandbox.start import CopyFailed
from wherry.source.module import NoMainPackage, PackageBroken

Fault = Literal["source", "registry", "machine"]
_SOURCES: Final = (
    CompileFailed, StepFailed, DockerfileError, BadPattern, InvalidSettings, InvalidUsage, CopyFailed, NoMainPackage,
    PackageBroken, NotFound,
)  # fmt: skip
_KILLED: Final = re.compile(r"signal: killed|exit code 137|cannot allocate memory|out of memory", re.IGNORECASE)
_ROOM: Final = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NETWORK: Final = re.compile(
    r"dial tcp|i/o timeout|connection refused|connection reset|no such host|TLS handshake|server misbehaving|"
    r"temporary failure in name resolution|unexpected EOF|context deadline exceeded|"
    r"(?:50[0234]|429) (?:Too Many|Internal|Bad Gateway|Service|Gateway)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a task has of its pod."""

    memory: int | None = None
    """Bytes that it may have; None: no limit."""
    killed: bool = False
    """Whether the kernel ended a process of the pod for want of memory."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskFault:
    """Who is at fault, in words."""

    fault: Fault
    message: str
    hint: str


def fault_of(error: WherryError, around: Surroundings) -> TaskFault:
    """Say who is at fault.

    Args:
        error: what stopped a task.
        around: its pod.
    """
    message, hint = error.message, error.hint
    if isinstance(error, Cancelled):
        return TaskFault("machine", "the pod was ended before the build was done", "it is tried again elsewhere")
    if isinstance(error, (CompileFailed, StepFailed, PackageBroken)):
        if _KILLED.search(message) or around.killed:
            had = f" of {around.memory / (1 << 20):,.0f} MiB" if around.memory else ""
            return TaskFault(
                "machine", f"{_first(message)}\nthe kernel ended a process: the memory{had} is used up", _MORE
            )
        if _ROOM.search(message):
            return TaskFault("machine", message, "give the pod's emptyDir a larger sizeLimit, or its node more room")
        if _NETWORK.search(message):
            proxy = around.environment.get("GOPROXY") or "https://proxy.golang.org,direct"
            hint = f"modules are fetched from {proxy}; set GOPROXY to one that pods reach, or vendor the modules"
            return TaskFault("machine", message, hint if not isinstance(error, StepFailed) else error.hint)
    if isinstance(error, NotInRegistry):
        return TaskFault("source", message, hint)
    if isinstance(error, (RegistryError, AccessDenied)):
        return TaskFault("registry", message, hint)
    if isinstance(error, _SOURCES) or type(error).__name__ in {"OverBudget", "SecretPublished", "NoStaticPie"}:
        return TaskFault("source", message, hint)
    return TaskFault("machine", message, hint)


_MORE: Final = "raise the pod's memory limit, or set GOFLAGS=-p=1, so that Go compiles one package at a time"


def _first(message: str) -> str:
    return message.partition("\n")[0]
