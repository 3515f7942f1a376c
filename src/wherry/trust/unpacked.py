"""A folder that should hold what a module zip holds: files that were changed, added or taken away."""

import difflib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from wherry.finding import Finding, Severity

MOST = 20
"""Files of one folder that are named; the rest are counted."""
_LONGEST_TEXT = 1 << 20
_DIFF_LINES = 12
_WIDEST = 160


@dataclass
class FolderCheck:
    """One folder, compared with a zip that is unpacked in memory, file by file."""

    there: dict[str, str]
    """What there is: its name in the zip, and where it is."""
    shown: Callable[[str], str]
    """Gives what the user knows a file by, from its name in the zip."""
    zip_name: str
    """What the user knows the zip by."""
    needed: Callable[[str, bytes], bool] = lambda _name, _content: True
    """Whether a file of the zip has to be there, by its name and content."""
    problems: dict[str, list[Finding]] = field(default_factory=dict)
    """By rule."""
    files: int = 0
    seen: int = 0
    """Files of the zip that it was shown."""
    _left: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._left = dict(self.there)

    def see(self, name: str, content: bytes) -> None:
        """Take a file of the zip."""
        self.seen += 1
        place = self._left.pop(name, None)
        if place is None:
            if self.needed(name, content):
                self._add("missing-file", self.shown(name), f"missing: {self.zip_name} has it", ())
            return
        self.files += 1
        there = _read(place, len(content))
        if there != content:
            self._changed(name, content, there, place)

    def finish(self) -> Iterator[Finding]:
        """Give all that was found, once every file of the zip was seen."""
        for name in sorted(self._left):
            self._add("added-file", self.shown(name), f"added: {self.zip_name} has no such file", ())
        for rule, found in self.problems.items():
            yield from found[:MOST]
            if len(found) > MOST:
                yield Finding(rule, Severity.ERROR, found[0].place, f"and {len(found) - MOST} more files of this kind")

    def _changed(self, name: str, content: bytes, there: bytes | None, place: str) -> None:
        shown = self.shown(name)
        if there is None:
            self._add("modified-file", shown, f"not a regular file that can be read; {self.zip_name} has a file", ())
            return
        if len(there) > len(content):  # it was read up to one byte more
            there = _read(place, _LONGEST_TEXT) or b""
        line, lines = _difference(content, there)
        at = f"{shown}:{line}" if line else shown
        self._add("modified-file", at, f"differs from {self.zip_name}", lines)

    def _add(self, rule: str, place: str, message: str, evidence: tuple[str, ...]) -> None:
        found = self.problems.setdefault(rule, [])
        keep = evidence if len(found) < MOST else ()
        found.append(Finding(rule, Severity.ERROR, place, message, keep, _REMEDIES[rule]))


_REMEDIES = {
    "modified-file": "restore it: go mod vendor, or go clean -modcache and go mod download; find out who changed it",
    "added-file": "delete it, or find out who added it: no module has it",
    "missing-file": "restore it: go mod vendor, or go clean -modcache and go mod download",
}


def files_below(folder: str, prefix: str) -> dict[str, str]:
    """List all that is in a folder but folders: name with a prefix, and path."""
    found: dict[str, str] = {}
    waiting = [(folder, prefix)]
    while waiting:
        here, name = waiting.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{name}{entry.name}/"))
                else:
                    found[name + entry.name] = entry.path
    return found


def _read(path: str, size: int) -> bytes | None:
    """Read a file up to one byte more than it should have; None where it is no regular file that can be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content = os.read(file, size + 1)
        while 0 < len(content) <= size and (more := os.read(file, size + 1 - len(content))):
            content += more
    except OSError:
        return None
    finally:
        os.close(file)
    return content


def _difference(wanted: bytes, there: bytes) -> tuple[int, tuple[str, ...]]:
    """Give the first line that differs, and a diff of a few lines; nothing of what is no text."""
    if max(len(wanted), len(there)) > _LONGEST_TEXT or b"\0" in wanted + there:
        return 0, (f"{len(wanted)} bytes in the zip, {len(there)} here; not text, or too long for a diff",)
    old, new = (text.decode(errors="replace").splitlines() for text in (wanted, there))
    same = next(
        (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    start = max(0, same - 1)
    lines = list(difflib.unified_diff(old[start : start + 200], new[start : start + 200], n=1, lineterm=""))[2:]
    shown = tuple(line[:_WIDEST] for line in lines if not line.startswith("@@"))
    more = ("…",) if len(shown) > _DIFF_LINES else ()
    return same + 1, (*shown[:_DIFF_LINES], *more) or ("only line ends differ",)
