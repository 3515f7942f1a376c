"""The base of every deliberate error, and the few that every room meets.

Exit codes follow BSD's sysexits.h; `docs/reference/exit-codes.md` is their table.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a file that an error is about."""

    file: str
    """As the user would name it: relative to where the command was called."""
    line: int
    """From 1; 0: the file as a whole."""
    column: int = 0
    """From 1; 0: not known."""
    message: str = ""
    """What is wrong there; empty: what the error says."""


class WherryError(Exception):
    """Something stopped us; the message says what and where, the hint what to do now.

    The command line prints `error: MESSAGE` and `hint: HINT` and exits with `exit_code`.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.step = ""
        """The step of a build that it stopped, where there is one."""
        self.places: tuple[SourceLine, ...] = ()
        """Lines of files that are wrong, where the error is about such."""


class Cancelled(WherryError):
    """The caller asked for it to stop; nothing is left half done."""

    exit_code = 130  # 128 and SIGINT, as shells have it

    def __init__(self, what: str = "cancelled") -> None:
        super().__init__(what)


class InvalidUsage(WherryError):
    """The command was called with words that do not fit together."""

    exit_code = 64  # EX_USAGE


class InvalidDocument(WherryError):
    """A document (manifest, config, index, wherry.toml…) is not what its format asks."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, name: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{name}: {problem}", hint=hint)
        self.name = name
        self.problem = problem


class DigestMismatch(WherryError):
    """The bytes received are not the bytes the descriptor promises."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, blob: str, *, expected: str, actual: str) -> None:
        super().__init__(
            f"{blob}: bytes hash to {actual}, expected {expected}",
            hint="the blob was changed or truncated; delete it and fetch it again",
        )
        self.expected = expected
        self.actual = actual


class SizeMismatch(WherryError):
    """More or fewer bytes came than the descriptor promises."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, blob: str, *, expected: int, actual: int) -> None:
        super().__init__(
            f"{blob}: {actual} bytes received, expected {expected}",
            hint="the blob was changed or truncated; delete it and fetch it again",
        )
        self.expected = expected
        self.actual = actual


class NotFound(WherryError):
    """What was named (an image, a blob, a file) is not there."""

    exit_code = 66  # EX_NOINPUT


class BlobMissing(NotFound):
    """Nothing is stored under this digest."""

    def __init__(
        self,
        blob: str,
        where: str,
        *,
        hint: str = "run `wherry verify-store` to see what else is missing, then build or load the image again",
    ) -> None:
        super().__init__(f"{blob}: not in {where}", hint=hint)
        self.blob = blob


class HostUnable(WherryError):
    """This machine lacks something: a program, a kernel feature, an operating system."""

    exit_code = 69  # EX_UNAVAILABLE


class CannotWrite(WherryError):
    """A file or folder could not be written; nothing was changed."""

    exit_code = 73  # EX_CANTCREAT


class NotPermitted(WherryError):
    """The operating system forbids it to this user."""

    exit_code = 77  # EX_NOPERM


class InvalidSettings(WherryError):
    """A settings file (wherry.toml, Docker's config…) says what it may not; line and key are named."""

    exit_code = 78  # EX_CONFIG
