"""Which files a COPY takes: paths with wildcards, patterns that leave out or choose, links that stay inside.

Both sides use it: the launcher to copy, and the caller to know whether what would be copied has changed.

Source: Dockerfile reference, "COPY"; the rules of BuildKit's copy (fsutil) are followed where the reference is silent.
"""

import errno
import os
import stat

from wherry.sandbox.launcher.paths import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wherry.dockerfile.ignore import Patterns
    from wherry.sandbox.spec import CopySpec

    Note = Callable[[str, os.stat_result | None], None]
    """Called with each path that was checked, and what was there."""
    Selected = tuple[str, str, os.stat_result]
    """Where it is in the origin, its path below what is copied ("" is that itself), and what it is."""


class NotCopyable(OSError):
    """A source or the target of a copy cannot be used."""

    def __init__(self, path: str, problem: str, number: int = errno.EINVAL) -> None:
        super().__init__(number, problem, f"/{path.lstrip('/')}")


class SourceRoot:
    """A folder that files are copied from."""

    def __init__(self, root: int, left_out: "frozenset[str]" = frozenset(), note: "Note | None" = None) -> None:
        """Take the open folder, which paths in it are not there for us, and whom to tell what a choice hangs on."""
        self.root = root
        self._left_out = left_out
        self._note = note

    def status(self, path: str) -> "os.stat_result | None":
        """Describe what is at a path without links in it; None where nothing is for us."""
        return None if self._hidden(path) else self._look(path)

    def inside(self, path: str) -> "Iterator[tuple[str, os.stat_result]]":
        """List a folder, in order, with what each name is: one at a time, since there may be very many."""
        opened = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.root)
        try:
            if self._note:
                self._note(path, os.fstat(opened))
            names = sorted(os.listdir(opened))
        finally:
            os.close(opened)
        for name in names:
            inner = join(path, name)
            if inner not in self._left_out and (status := self._look(inner)) is not None:
                yield name, status

    def real(self, path: str, *, last: bool) -> str:
        """Follow the links of a path; `last`: the one at its end too."""
        real = "/".join(resolve(self.root, path, last=last, hidden=self._hidden if self._left_out else None))
        if self._note:
            for looked in {path, real}:
                self._look(looked)
        return real

    def _look(self, path: str) -> "os.stat_result | None":
        try:
            found = os.stat(path or ".", dir_fd=self.root, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        if self._note:
            self._note(path, found)
        return found

    def matching(self, action: "CopySpec") -> "list[str]":
        """Give the paths that a copy's path means, wildcards replaced; none is not an error where there are any."""
        plain, patterns = split_wildcards(action["path"])
        if not action["wildcards"] or not patterns:
            return ["/".join([*plain, *patterns])]
        return self.expand("/".join(plain), patterns, follow=action["follow"])

    def expand(self, above: str, patterns: "list[str]", *, follow: bool = True) -> "list[str]":
        """Give the paths below a folder that patterns match, one a level.

        Raises:
            NotCopyable: the folder does not exist.
        """
        return self._expand(self.real(above, last=follow), patterns)

    def _expand(self, above: str, patterns: "list[str]") -> "list[str]":
        status = self.status(above)
        if status is None:
            raise NotCopyable(above, "does not exist", errno.ENOENT)
        if not stat.S_ISDIR(status.st_mode):
            return []
        from wherry.dockerfile.ignore import fits  # few need it, and it is slow to load

        matched = [(join(above, name), found) for name, found in self.inside(above) if fits(patterns[0], name)]
        if len(patterns) == 1:
            return [path for path, _ in matched]
        return [
            found
            for path, below in matched
            if stat.S_ISDIR(below.st_mode)
            for found in self._expand(path, patterns[1:])
        ]

    def _hidden(self, path: str) -> bool:
        if not self._left_out:
            return False
        return any(path[:end] in self._left_out for end in _ends(path))


def _ends(path: str) -> "Iterator[int]":
    end = path.find("/")
    while end >= 0:
        yield end
        end = path.find("/", end + 1)
    yield len(path)


def join(above: str, name: str) -> str:
    """Put a name below a relative path."""
    return f"{above}/{name}" if above else name


def split_wildcards(path: str) -> "tuple[list[str], list[str]]":
    """Split a path into the names before its first wildcard, and the rest."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    plain = 0
    while plain < len(parts) and not has_wildcard(parts[plain]):
        plain += 1
    return parts[:plain], parts[plain:]


def has_wildcard(text: str) -> bool:
    r"""Report whether there is a `*`, `?` or `[` in it that no `\\` stands before."""
    skip = False
    for letter in text:
        if skip:
            skip = False
        elif letter == "\\":
            skip = True
        elif letter in "*?[":
            return True
    return False


class Choice:
    """Which of what is below a folder is copied."""

    def __init__(self, only: "list[str]", but: "list[str]") -> None:
        """Take the patterns of what is copied (none: everything), and of what is not."""
        self.only: Patterns | None = None
        self.but: Patterns | None = None
        if only or but:
            from wherry.dockerfile import ignore  # few need it, and it is slow to load

            self.only = ignore.Patterns(only) if only else None
            self.but = ignore.Patterns(but) if but else None

    def judge(
        self, path: str, above: "tuple[list[bool], list[bool]]"
    ) -> "tuple[bool, bool, tuple[list[bool], list[bool]]]":
        """Report whether a path is copied, whether a folder may contain one that is, and the state for its entries."""
        wanted, first = self.only.judge(path, above[0]) if self.only else (True, [])
        unwanted, second = self.but.judge(path, above[1]) if self.but else (False, [])
        enter = not unwanted or (self.but is not None and self.but.has_exceptions)
        return wanted and not unwanted, enter, (first, second)


def check_required(tops: SourceRoot, action: "CopySpec") -> None:
    """See to it that what has to be there is, and is not excluded.

    Raises:
        CannotCopy: it is not.
    """
    choice = Choice(action["only"], action["but"])
    for path in action["required"]:
        below = path.removeprefix(action["path"]).strip("/").split("/")
        wanted = True
        above: tuple[list[bool], list[bool]] = ([], [])
        for end in range(1, len(below) + 1):
            wanted, _, above = choice.judge("/".join(below[:end]), above)
        if not wanted or tops.status(tops.real(path, last=action["follow"])) is None:
            raise NotCopyable(path, "does not exist", errno.ENOENT)


def walk(tops: SourceRoot, top: str, choice: Choice) -> "Iterator[Selected]":
    """Give all that a copy of one path takes, folders before what is in them.

    Raises:
        CannotCopy: there is nothing at the path.
    """
    status = tops.status(top)
    if status is None:
        raise NotCopyable(top, "does not exist", errno.ENOENT)
    above: tuple[list[bool], list[bool]] = ([], [])
    waiting = [(top, "", above, iter([("", status)]))]
    while waiting:
        folder, inside, above, found = waiting[-1]
        for name, status in found:
            path, below = (join(folder, name), join(inside, name)) if name else (folder, inside)
            copied, enter, own = choice.judge(below, above) if below else (True, True, above)
            if copied:
                yield path, below, status
            if enter and stat.S_ISDIR(status.st_mode):
                waiting.append((path, below, own, tops.inside(path)))
                break
        else:
            waiting.pop()
