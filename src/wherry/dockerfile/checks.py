"""Which build checks are wanted: `# check=skip=A,B;error=true`, of the file or above one instruction.

Source: Docker's documentation, "Build checks"; Dockerfile reference, "check".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from wherry.dockerfile.errors import DockerfileError, nearest
from wherry.dockerfile.rules import RULES
from wherry.dockerfile.syntax import directive_of

CHECK = "check"
"""The directive."""
CHECK_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that stands for it, and wins."""
_COMMENT = re.compile(r"check\s*=\s*(.+?)\s*", re.IGNORECASE)
_OPTIONS = ("skip", "experimental", "error")
_ALL = frozenset({"all"})


@dataclass(frozen=True, slots=True)
class Checks:
    """What is checked, and how much it matters."""

    skip: frozenset[str] = frozenset()
    """Names of rules; `all` alone means each."""
    experimental: frozenset[str] = frozenset()
    fail: bool = False
    """Whether a finding is an error."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `skip=A,B;experimental=C;error=true`; none has to be there.

        Raises:
            DockerfileError: an option is invalid.
        """
        checks = cls()
        for part in text.strip().split(";", 2) if text.strip() else ():
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or name not in _OPTIONS:
                raise DockerfileError(
                    f"failed to parse check options: invalid check option {part!r}{nearest(name, _OPTIONS)}",
                    hint="write it as # check=skip=RULE,RULE;error=true",
                )
            if name == "error":
                checks = replace(checks, fail=_boolean(value, part))
            elif name == "skip":
                checks = replace(checks, skip=_names(value))
            else:
                checks = replace(checks, experimental=_names(value))
        return checks

    @classmethod
    def of(cls, text: str, arguments: Mapping[str, str]) -> Self:
        """Give what a file asks for, or the user in its place.

        Raises:
            DockerfileError: an option is invalid.
        """
        asked = arguments.get(CHECK_ARGUMENT)
        return cls.parse(asked if asked is not None else directive_of(CHECK, text) or "")

    def above(self, comments: Sequence[str]) -> "Checks":
        """Give what holds for an instruction with comments above it; the first that says something counts."""
        found = next(filter(None, map(_COMMENT.fullmatch, comments)), None)
        if found is None:
            return self
        try:
            more = Checks.parse(found[1].partition(" ")[0])
        except DockerfileError:
            return self
        return replace(self, skip=self.skip | more.skip, experimental=self.experimental | more.experimental)

    def want(self, rule: str) -> bool:
        """Report whether a rule is checked."""
        if RULES[rule].experimental:
            return rule in self.experimental or "all" in self.experimental
        return not (rule in self.skip or "all" in self.skip)


def _names(text: str) -> frozenset[str]:
    return _ALL if text == "all" else frozenset(name.strip() for name in text.split(",")) - _ALL


def _boolean(value: str, option: str) -> bool:
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise DockerfileError(f"failed to parse check option {option!r}: {value!r} must be true or false")
