"""What the build checks write down, and what they have to know of the world."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from wherry.dockerfile.checks import Checks
from wherry.dockerfile.errors import Lines, near
from wherry.dockerfile.rules import RULES
from wherry.finding import Finding, Severity
from wherry.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What has to be known of an image that a stage begins with."""

    platform: Platform
    env: Mapping[str, str]
    own_shell: bool
    """Whether it names a shell of its own."""
    triggers: tuple[str, ...] = ()
    """What its ONBUILD instructions said."""
    user: str = ""
    """What its config names; empty: root."""


_GUESSES = 200
"""The most names that are compared per file."""


def _none(_image: str, _platform: Platform) -> Base | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a Dockerfile would be built with."""

    platform: Platform
    build_platform: Platform
    arguments: Mapping[str, str] = field(default_factory=dict)
    """`--build-arg`."""
    target: str = ""
    """Empty: all stages are looked into."""
    ignored: tuple[str, ...] = ()
    """The patterns of .dockerignore."""
    contexts: frozenset[str] = frozenset()
    """Names of `--build-context`: a stage of that name is not built."""
    base: Callable[[str, Platform], Base | None] = _none
    """Describes an image; None: it is not available."""
    pinned: Callable[[str], bool] = lambda _name: False
    """Reports whether an image cannot move: wherry.lock has its digest, or a named context replaces it."""
    valid: Callable[[str], bool] = bool
    """reports whether a text may name an image."""


class Notes:
    """Findings being collected."""

    def __init__(self, name: str) -> None:
        """Begin with none.

        Args:
            name: of the file.
        """
        self.checks = Checks()
        self._name = name
        self._guesses = _GUESSES
        self._found: dict[tuple[int, str, str], Finding] = {}

    def add(self, rule: str, lines: Lines, *words: str, checks: Checks | None = None, unsure: str = "") -> None:
        """Record one, unless its rule is off.

        Args:
            rule: its name.
            lines: where.
            words: what its message says.
            checks: what holds there; the file's, unless comments say more.
            unsure: why it may not be so; it is a note then.
        """
        if not (checks or self.checks).want(rule):
            return
        message = RULES[rule].message.format(*words)
        severity = Severity.ERROR if self.checks.fail else Severity.NOTE if unsure else Severity.WARNING
        self._found.setdefault(
            (lines.first, rule, message),
            Finding(
                rule=rule,
                severity=severity,
                place=f"{self._name}:{lines.first}",
                message=message,
                evidence=(unsure,) if unsure else (),
                remedy=RULES[rule].remedy,
            ),
        )

    def near(self, word: str, known: Iterable[str]) -> str:
        """Give the known name that was meant, or nothing; after many guesses, nothing any more."""
        self._guesses -= 1
        return near(word, known) if self._guesses >= 0 else ""

    def findings(self) -> tuple[Finding, ...]:
        """Give them by line; within one in the order they were found."""
        return tuple(self._found[key] for key in sorted(self._found, key=lambda key: key[0]))
