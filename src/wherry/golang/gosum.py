"""go.sum and go.work.sum: the hashes of every module that a build may read.

Source: Go modules reference (go1.26), "go.sum files"; Go 1.26, cmd/go/internal/modfetch/fetch.go (`readGoSum`).
"""

from dataclasses import dataclass

from wherry.counted import counted
from wherry.errors import InvalidDocument
from wherry.golang.modsyntax import LARGEST

GO_MOD = "/go.mod"
"""Behind a version: the hash is of the go.mod file alone."""
_BROKEN = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY="
"""Of an empty go.mod file, which an early Go wrote by mistake; Go ignores the line."""
_FIELDS = 3


@dataclass(frozen=True, slots=True)
class SumLine:
    """One line of a go.sum file."""

    path: str
    version: str
    """Without `/go.mod`."""
    go_mod: bool
    """Whether the hash is of the module's go.mod file alone."""
    hash: str
    """With its kind in front, `h1:…`."""
    line: int
    file: str = ""
    """What the reader knows the file by."""

    @property
    def words(self) -> str:
        """The line as the file has it."""
        return f"{self.path} {self.version}{GO_MOD if self.go_mod else ''} {self.hash}"


def parse_go_sum(text: str, name: str) -> tuple[SumLine, ...]:
    """Read a go.sum file.

    Raises:
        InvalidDocument: it is too long, or a line has not three fields; the line is named.
    """
    if len(text) > LARGEST:
        raise InvalidDocument(name, f"{len(text)} characters; the limit is {LARGEST}")
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != _FIELDS:
            raise InvalidDocument(
                f"{name}:{number}",
                f"{counted(len(fields), 'field')}, expected module, version and hash",
                hint="run go mod tidy",
            )
        path, version, digest = fields
        if digest != _BROKEN:
            go_mod = version.endswith(GO_MOD)
            lines.append(SumLine(path, version.removesuffix(GO_MOD), go_mod, digest, number, name))
    return tuple(lines)
