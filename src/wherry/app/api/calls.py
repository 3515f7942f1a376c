"""What every function of the API takes: how it is heard, stopped, and given credentials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from wherry.app.progress import Calls, Event, EventKind, Reporter
from wherry.app.session import Session
from wherry.errors import Cancelled

if TYPE_CHECKING:
    from wherry.settings.docker_config import Credential

Hears = Callable[[Event], None]
"""What is called with each event."""


class Cancel(Protocol):
    """A request to stop; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Report whether to stop."""


@dataclass(frozen=True)
class Logins:
    """User names and passwords by registry, given by the caller; no file and no helper program is used."""

    by_registry: Mapping[str, tuple[str, str]] = field(repr=False)
    """Such as `{"localhost:5000": ("me", "secret")}`."""

    def credential(self, registry: str, repository: str) -> "Credential | None":  # noqa: ARG002 - the Protocol's signature
        """Give the credentials for a registry; None for anonymous access."""
        from wherry.settings.docker_config import Credential

        given = self.by_registry.get(registry)
        return Credential(*given) if given else None


def session_of(session: Session | None, progress: Hears | None, cancel: Cancel | None) -> Session:
    """Give the session of a call: the caller's or the user's, with its progress and its request to stop."""
    own = session or Session.of_user()
    if progress is None and cancel is None:
        return own
    reports = Reporter(Calls(_hearing(progress, cancel)))
    return own.derived(progress=reports, cancelled=cancel.is_set if cancel else None)


def _hearing(progress: Hears | None, cancel: Cancel | None) -> Hears:
    """Make what hears events: it passes them on, and stops a use case that is to be cancelled."""

    def hear(event: Event) -> None:
        if cancel is not None and event.kind not in _ENDS and cancel.is_set():
            raise Cancelled
        if progress is not None:
            progress(event)

    return hear


_ENDS = frozenset({EventKind.DONE, EventKind.FAILED, EventKind.WARNING})
"""What happens when a step is over: to raise there would hide why it ended."""
