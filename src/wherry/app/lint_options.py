"""What a lint has to know of a build; a fifth of what a build takes, since loading that takes longer than a lint."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wherry.platform import Platform


class LintWanted(Protocol):
    """What is checked: `LintOptions`, or the options of a build."""

    @property
    def context(self) -> str:
        """A folder, a URL, or `-` for a tar on standard input."""

    @property
    def file(self) -> str:
        """The Dockerfile; `-` is standard input, empty the one in the context."""

    @property
    def target(self) -> str:
        """The stage that is checked with what it needs; empty: all are."""

    @property
    def build_args(self) -> tuple[str, ...]:
        """As `NAME=VALUE`, or NAME for the value of the session's environment."""

    @property
    def build_contexts(self) -> tuple[str, ...]:
        """As `NAME=FOLDER`, `NAME=oci-layout://PATH`, `NAME=docker-image://NAME` or a URL."""

    @property
    def platforms(self) -> "tuple[Platform, ...] | None":
        """Of the build; None: this machine's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintOptions:
    """See `LintWanted`."""

    context: str = "."
    file: str = ""
    target: str = ""
    build_args: tuple[str, ...] = ()
    build_contexts: tuple[str, ...] = ()
    platforms: "tuple[Platform, ...] | None" = None
