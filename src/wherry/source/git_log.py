"""What the commits of a branch changed, and files as of commits, read by the git program.

Sources: git-log(1), `--first-parent`, `-m`, `-z`; git-cat-file(1), `--batch`, `--batch-check`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import HostUnable
from wherry.host.process import Command, Runner
from wherry.source.git_status import git_environment

_LOG = (
    "git", "-c", "core.quotePath=false", "log", "--first-parent", "-m", "--no-renames", "--name-only", "-z",
    "--no-show-signature", "--no-decorate", "--no-color", "--no-ext-diff", "--no-textconv", "--format=%x01%H",
)  # fmt: skip
_DIGEST = re.compile(r"\x01[0-9a-f]{40,64}")
_LARGEST = 1 << 20
"""Bytes of a file that is read as of a commit; an ignore file has a few lines."""


@dataclass(frozen=True, slots=True)
class GitCommit:
    """A commit of the first parents' line."""

    digest: str
    paths: tuple[str, ...]
    """What differs from its first parent: a rename is two of them, a merge all that it brings."""


class GitLog:
    """A checkout's history."""

    def __init__(self, runner: Runner, environment: Mapping[str, str], root: Path) -> None:
        """Take the top folder of the checkout."""
        self._runner = runner
        self._environment = git_environment(environment, root)
        self._root = root

    def commits(self, count: int) -> list[GitCommit]:
        """Give the last commits, the newest first; none where there is no commit yet.

        Raises:
            HostUnable: git is not installed, or can't read the checkout.

        Cost: one process; 40,000 commits a second on a warm disk.
        """
        out = self._run(*_LOG, "-n", str(count), "HEAD")
        if out is None:
            if self._run("git", "rev-parse", "--git-dir") is None:
                raise HostUnable(f"{self._root}: git cannot read the checkout", hint="see what `git log` says there")
            return []
        return list(_commits(out))

    def files(self, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
        """Read files as of commits, each content once.

        Args:
            wanted: digests of commits, and paths from the top of the checkout.

        Returns:
            The contents; files that a commit does not have, or that are too large for a list, are left out.
        """
        asked = [(digest, path) for digest, path in wanted if "\n" not in path]
        answers = (self._batch("--batch-check", (f"{digest}:{path}" for digest, path in asked)) or b"").split(b"\n")
        objects: dict[tuple[str, str], str] = {}
        for one, answer in zip(asked, answers, strict=False):
            words = answer.decode(errors="replace").split(" ")
            if len(words) == 3 and words[1] == "blob" and int(words[2]) <= _LARGEST:  # noqa: PLR2004 - name, kind, size
                objects[one] = words[0]
        contents = dict(_contents(self._batch("--batch", dict.fromkeys(objects.values())) or b""))
        return {one: contents[name] for one, name in objects.items() if name in contents}

    def has_line(self, text: str, *kinds: str) -> bool:
        """Report whether a tracked file has a text.

        Args:
            text: what is searched for.
            kinds: patterns of files, such as `*.go`.
        """
        return self._run("git", "grep", "-q", "-F", "-e", text, "--", *kinds) is not None

    def shallow(self) -> bool:
        """Report whether older commits were not cloned."""
        return (self._run("git", "rev-parse", "--is-shallow-repository") or b"").strip() == b"true"

    def _batch(self, how: str, names: Iterable[str]) -> bytes | None:
        lines = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        return self._run("git", "cat-file", how, stdin=lines) if lines else None

    def _run(self, *argv: str, stdin: bytes = b"") -> bytes | None:
        outcome = self._runner.run(Command(argv, self._root, self._environment, stdin))
        return outcome.stdout if outcome.returncode == 0 else None


def _commits(out: bytes) -> Iterator[GitCommit]:
    digest, paths = "", list[str]()
    for word in out.decode("utf-8", "surrogateescape").split("\0"):
        text = word.removeprefix("\n")
        if _DIGEST.fullmatch(text):
            if digest:
                yield GitCommit(digest, tuple(paths))
            digest, paths = text[1:], []
        elif text:
            paths.append(text)
    if digest:
        yield GitCommit(digest, tuple(paths))


def _contents(out: bytes) -> Iterator[tuple[str, bytes]]:
    """Read what `cat-file --batch` prints: a line with name, kind and size, the bytes, an end of line."""
    at = 0
    while (end := out.find(b"\n", at)) >= 0:
        words = out[at:end].decode(errors="replace").split(" ")
        if len(words) != 3 or not words[2].isdigit():  # noqa: PLR2004 - as above
            at = end + 1
            continue
        size = int(words[2])
        yield words[0], out[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
