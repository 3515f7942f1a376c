"""What a debug shell is asked to be, and what may be done to a target."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherry.runtime.debug.access import AccessCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugOptions:
    """How a debug shell is to be."""

    command: tuple[str, ...] = ()
    """What runs in place of a shell."""
    toolbox: str = ""
    """A static program, a folder or an image; empty: busybox, or one that wherry builds."""
    root: bool = False
    """Be user 0 of the target's user namespace, not the target's user."""
    terminal: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    """More variables for the shell."""
    namespace: str = ""
    """Of a pod; empty: the one of kubectl's context."""
    context: str = ""
    """Of kubectl, for a pod; empty: the one in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugReport:
    """What may be done to a target."""

    target: str
    """As it was named."""
    kind: str
    """`process`, `image` or `pod`."""
    found: str
    """What was found by that name."""
    pid: int
    """0: nothing of it runs on this machine."""
    checks: "tuple[AccessCheck, ...]"

    @property
    def possible(self) -> bool:
        """Whether a shell can be opened."""
        return not any(one.name == "shell" and one.state == "no" for one in self.checks)
