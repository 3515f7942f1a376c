"""Search the strings of a program's data for secrets and paths of developers' machines.

Source: Go 1.26, cmd/link/internal/ld/data.go (strings are stored side by side, with nothing between them).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from wherry.analysis import leak_paths
from wherry.analysis.leak_paths import Roots
from wherry.analysis.searching import Hit
from wherry.analysis.secrets import RULES, SecretRule, shown
from wherry.finding import Finding, Severity
from wherry.golang.buildinfo import BuildInfo

_DEBUGGERS = "/src/runtime/runtime-gdb.py"
"""A file named by every binary with DWARF, below GOROOT, which is reported already."""
_UNSURE = frozenset(("secret-url", "secret-password"))
"""Rules of what people write, not machines: documentation has the like."""
_HOMES = (b"/home/", b"/Users/", b"/root/", b"C:\\Users\\", b"/var/lib/jenkins/", b"/github/workspace/", b"/builds/")
_NO_NAMES = (
    rb"(?:usr|etc|var|opt|tmp|proc|sys|dev|s?bin|lib|lib64|run|mnt|srv|pkg|src|config|info|data|users?|login|api)"
)
_HOME = re.compile(
    rb"(?:/(?:home|Users)/(?!"
    + _NO_NAMES
    + rb"/)[A-Za-z0-9._-]{1,64}/|(?<![\w.-])/root/(?!"
    + _NO_NAMES
    + rb"/)|C:\\Users\\[\w. -]{1,64}\\|/var/lib/jenkins/|/github/workspace/"
    rb"|/builds/[\w.-]+/[\w.-]+/)[\w.@+~-]+(?:[/\\][\w.@+~-]+)*"
)
"""Go stores strings without separators: what only looks like a home, as `/home` before `/usr/lib`, is skipped."""
_C_ENDS = (b".h\0", b".hh\0", b".hpp\0", b".hxx\0", b".c\0", b".cc\0", b".cpp\0", b".cxx\0", b".inc\0", b".inl\0")
_PATH_LETTERS = re.compile(rb"[\w.@+~!/ -]{3,400}")


@dataclass(frozen=True, slots=True)
class Strings:
    """What was found so far."""

    folders: Collection[bytes]
    """Known folders of the build machine, each with its slash."""
    recorded: str
    """What the build info contains, and is reported for it."""
    listed: Collection[str]
    """Paths of tables, reported for them; in a file without sections the tables are searched as strings are."""
    secrets: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    """By rule: where each begins, as offset and in words, and the hidden text."""
    homes: list[tuple[str, str]] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, roots: Roots, info: BuildInfo | None, listed: Collection[str]) -> "Strings":
        """Start with what is known of the build machine."""
        folders = frozenset(f"{folder}/".encode(errors="surrogateescape") for _, folder in roots.named())
        return cls(folders, " ".join(info.settings.values()) if info else "", listed)

    @property
    def _starts(self) -> tuple[str, ...]:
        return tuple(folder.decode(errors="replace") for folder in self.folders)

    @property
    def words(self) -> frozenset[bytes]:
        """What to look for."""
        return frozenset((*_BY_ANCHOR, *_HOMES, *_C_ENDS, *self.folders))

    def take(self, hit: Hit, base: int, place: str) -> None:
        """Look at a place where one of the words stands.

        Args:
            hit: the place.
            base: where in the file the stream of hits begins.
            place: what people call it.
        """
        for rule in _BY_ANCHOR.get(hit.word, ()):
            if found := rule.found(hit.context, hit.at):
                start = base + hit.offset - hit.at + found.start()
                self.secrets.setdefault(rule.name, {}).setdefault(start, (place, _readable(shown(found))))
        if hit.word in _C_ENDS and (path := _c_path(hit)):
            self.sources.append((place, path))
        shape = _PATH_LETTERS if hit.word in self.folders else _HOME if hit.word in _HOMES else None
        if shape and (found := shape.match(hit.context, hit.at)):
            self.homes.append((place, _readable(found.group())))

    def findings(self) -> Iterator[Finding]:
        """Judge it all."""
        for rule in RULES:
            if rule.name in self.secrets:
                yield _secret(rule, list(self.secrets[rule.name].values()))
        sources = {path for _, path in self.sources}
        yield from leak_paths.headers(self.sources)
        told = sources.union(self.listed) | {folder.decode(errors="replace").rstrip("/") for folder in self.folders}
        rest = [
            (place, path)
            for place, path in self.homes
            if path not in told and path not in self.recorded and not path.endswith(_DEBUGGERS)
        ]
        yield from leak_paths.constants(rest, certain=any(path.startswith(self._starts) for _, path in rest))


def looked_for(found: list[tuple[str, str]]) -> Iterator[Finding]:
    """Report where a text of the user's own stands.

    Args:
        found: where, and which.
    """
    if found:
        yield Finding(
            "looked-for",
            Severity.WARNING,
            found[0][0],
            f"a searched text is in {len(found)} place{'s' * (len(found) != 1)}",
            leak_paths.listed(found),
            "search the source, the embedded files and the -X flags for it",
        )


def _by_anchor() -> Mapping[bytes, tuple[SecretRule, ...]]:
    anchors = {anchor for rule in RULES for anchor in rule.anchors}
    return {anchor: tuple(rule for rule in RULES if anchor in rule.anchors) for anchor in anchors}


_BY_ANCHOR: Final = _by_anchor()


def _secret(rule: SecretRule, found: list[tuple[str, str]]) -> Finding:
    return Finding(
        rule.name,
        Severity.WARNING if rule.name in _UNSURE else Severity.ERROR,
        found[0][0],
        f"what looks like {rule.what}",
        leak_paths.listed(found),
        "change it, because anyone with the binary has it; read it from a file or the environment at startup; "
        "search for it in constants, embedded files and -X",
    )


def _c_path(hit: Hit) -> str:
    """Give the absolute path that ends here; none where it is another text."""
    start = hit.context.rfind(b"\0", max(0, hit.at - 512), hit.at) + 1
    path = hit.context[start : hit.at + len(hit.word) - 1]
    return path.decode() if start and path.startswith(b"/") and _PATH_LETTERS.fullmatch(path) else ""


def _readable(text: bytes) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text.decode(errors="replace"))
