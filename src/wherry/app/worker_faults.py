"""Who is at fault where a task fails: sources fail again, registries and machines may be better next time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from wherry.build.compile import CompileFailed
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.ignore import BadPattern
from wherry.errors import Cancelled, InvalidSettings, InvalidUsage, NotFound, WherryError
from wherry.registry.errors import AccessDenied, NotInRegistry, RegistryError
from wherry.source.module import NoMainPackage, PackageBroken

Fault = Literal["source", "registry", "machine"]
_SOURCES: Final = (
    CompileFailed, DockerfileError, BadPattern, InvalidSettings, InvalidUsage, NoMainPackage, PackageBroken, NotFound,
)  # fmt: skip
_MORE_OF_SOURCES: Final = frozenset({"StepFailed", "CopyFailed", "OverBudget", "SecretPublished", "NoStaticPie"})
"""Errors of rooms that only Linux has, or that need not be loaded to name them."""
_KILLED: Final = re.compile(r"signal: killed|exit code: 137|cannot allocate memory|out of memory", re.IGNORECASE)
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
    if isinstance(error, Cancelled):
        return TaskFault("machine", "the pod was ended before the build was done", "it is tried again elsewhere")
    found = _of_machine(error, around) if isinstance(error, (CompileFailed, PackageBroken)) or _is_step(error) else None
    if found is not None:
        return found
    own = isinstance(error, _SOURCES) or type(error).__name__ in _MORE_OF_SOURCES
    fault: Fault = "source" if own else "machine"
    if isinstance(error, (RegistryError, AccessDenied)) and not isinstance(error, NotInRegistry):
        fault = "registry"
    return TaskFault(fault, error.message, error.hint)


def _is_step(error: WherryError) -> bool:
    return type(error).__name__ == "StepFailed"


def _of_machine(error: WherryError, around: Surroundings) -> TaskFault | None:
    """See whether a program failed for what the machine lacks; None: it does not look so."""
    message = error.message
    if _KILLED.search(message) or around.killed:
        had = f" of {around.memory / (1 << 20):,.0f} MiB" if around.memory else ""
        words = f"the kernel ended a process: the memory{had} is used up"
        return TaskFault("machine", f"{message.partition(chr(10))[0]}\n{words}", _MORE)
    if _ROOM.search(message):
        return TaskFault("machine", message, "give the pod's emptyDir a larger sizeLimit, or its node more room")
    if _NETWORK.search(message):
        proxy = around.environment.get("GOPROXY") or "Go's default proxy"
        hint = f"modules are fetched from {proxy}; set GOPROXY to one that pods reach, or vendor the modules"
        return TaskFault("machine", message, error.hint if _is_step(error) else hint)
    return None


_MORE: Final = "raise the pod's memory limit, or set GOFLAGS=-p=1, so that Go compiles one package at a time"
