"""Kinds of files that a container rarely needs, by where they are.

Sources: Filesystem Hierarchy Standard 3.0, 4.11 and 5.5; the package managers' own manuals for their caches.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Unneeded(StrEnum):
    """Why a file is rarely needed in an image."""

    PACKAGE_CACHE = "package-cache"
    BUILD_CACHE = "build-cache"
    TOOLCHAIN = "builder-leftovers"
    VCS = "vcs"
    TEST_DATA = "test-data"
    DEBUG = "debug-symbols"
    BYTECODE = "python-bytecode"
    DOCS = "docs"
    MAN = "man-pages"
    LOCALES = "locales"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: Unneeded
    pattern: str
    """Of a path without its leading slash."""


_SHARE = r"usr/(?:local/)?share"
_HOME = r"(?:root|home/[^/]+)"
_RULES = (
    _Rule(Unneeded.VCS, r"(?:.+/)?\.(?:git|hg|svn|bzr)/.+"),
    _Rule(
        Unneeded.PACKAGE_CACHE,
        r"var/lib/apt/lists/.+|var/cache/(?:apt|apk|dnf|yum|libdnf5|zypp|pacman|debconf|man)/.+|var/lib/(?:dnf|yum)/.+"
        r"|var/lib/dpkg/[^/]+-old|etc/apk/cache/.+|var/lib/pacman/sync/.+|lib/apk/db/[^/]*\.tar\.gz",
    ),
    _Rule(
        Unneeded.BUILD_CACHE,
        rf"{_HOME}/\.(?:cache|npm|yarn|gradle/caches|m2/repository|cargo/registry|bundle/cache|composer/cache)/.+"
        rf"|{_HOME}/\.local/share/(?:pnpm|virtualenv)/.+|usr/local/share/\.cache/.+|(?:.+/)?node_modules/\.cache/.+"
        rf"|(?:go|{_HOME}/go)/pkg/(?:mod/cache|sumdb)/.+|usr/local/bundle/cache/.+|tmp/(?:go-build|npm-|pip-|v8-compile)[^/]*/.+",
    ),
    _Rule(Unneeded.TEMPORARY, r"(?:var/)?tmp/.+|var/log/.+"),
    _Rule(Unneeded.DEBUG, r"usr/lib/debug/.+|(?:.+/)?[^/]+\.(?:debug|dwo|dwp|pdb)|(?:.+/)?[^/]+\.dSYM/.+"),
    _Rule(Unneeded.BYTECODE, r"(?:.+/)?__pycache__/[^/]+|(?:.+/)?[^/]+\.py[co]"),
    _Rule(
        Unneeded.TEST_DATA,
        r"(?:.+/)?testdata/.+|(?:.+/)?(?:site|dist)-packages/(?:.+/)?tests?/.+|(?:.+/)?node_modules/(?:.+/)?(?:tests?|__tests__)/.+"
        r"|(?:usr/(?:local/)?)?lib/python[0-9.]+/(?:.+/)?tests?/.+|(?:.+/)?[^/]+_test\.go",
    ),
    _Rule(
        Unneeded.TOOLCHAIN,
        r"usr/local/go/.+|usr/lib/go(?:-[0-9.]+)?/.+|(?:go|root/go)/pkg/mod/.+|(?:go|root/go)/src/.+"
        r"|usr/(?:lib|libexec)/gcc/.+|usr/(?:local/)?include/.+|usr/(?:local/)?(?:rustup|cargo)/.+"
        r"|root/\.(?:rustup|cargo)/.+|usr/lib/(?:[^/]+/)?[^/]+\.(?:a|la)|usr/local/lib/[^/]+\.(?:a|la)|usr/lib/llvm[^/]*/.+"
        r"|(?:usr/src|src|build|workspace)/(?:.+/)?[^/]+\.(?:go|c|cc|cpp|h|hpp|rs|java|o|ts)"
        r"|(?:.+/)?go\.(?:mod|sum|work)|(?:.+/)?(?:Dockerfile|Makefile)",
    ),
    _Rule(Unneeded.MAN, rf"{_SHARE}/man/.+|usr/local/man/.+"),
    _Rule(Unneeded.LOCALES, rf"{_SHARE}/(?:locale|i18n)/.+|usr/lib/locale/(?!C\.utf8/).+|{_SHARE}/X11/locale/.+"),
    # Licences have to be shipped with what they are of, so these files stay.
    _Rule(
        Unneeded.DOCS,
        rf"{_SHARE}/(?:doc|info|gtk-doc|doc-base|help)/(?!(?:.+/)?(?i:copyright|licen[cs]e|notice)[^/]*$).+",
    ),
)
_ALL = re.compile(
    "|".join(f"(?P<r{number}>(?:{rule.pattern})$)" for number, rule in enumerate(_RULES)).encode(), re.DOTALL
)
_KIND = {f"r{number}": rule.kind for number, rule in enumerate(_RULES)}

MEANING = {
    Unneeded.PACKAGE_CACHE: "indexes and downloads of package managers",
    Unneeded.BUILD_CACHE: "caches of compilers and of language package managers",
    Unneeded.TOOLCHAIN: "compilers, headers, static libraries, sources",
    Unneeded.VCS: "history of version control",
    Unneeded.TEST_DATA: "tests and their data",
    Unneeded.DEBUG: "symbols and debug information",
    Unneeded.BYTECODE: "byte code that Python makes again from its source",
    Unneeded.DOCS: "documentation",
    Unneeded.MAN: "manual pages",
    Unneeded.LOCALES: "translations and locales",
    Unneeded.TEMPORARY: "temporary files and logs",
}


_TELLING = frozenset(b"debug dwo dwp pdb pyc pyo a la go c cc cpp h hpp rs java o ts gz mod sum work".split())
"""Last parts of names that rules ask for; of all other names the folder says all."""
_NAMES = frozenset({b"Dockerfile", b"Makefile"})


def unneeded(path: bytes) -> Unneeded | None:
    """Report which kind a file is of; None where a container may well need it.

    Args:
        path: as `Row.path`, without a leading slash.
    """
    above, _, name = path.rpartition(b"/")
    if name.rpartition(b".")[2] in _TELLING or name in _NAMES or name.endswith(b"-old"):
        return by_rules(path)
    kind = _of_folder(above)
    return by_rules(path) if kind is Unneeded.DOCS else kind


@lru_cache(maxsize=1 << 12)
def _of_folder(path: bytes) -> Unneeded | None:
    """Give the kind of a file that has a name which no rule asks for."""
    return by_rules(path + b"/x" if path else b"x")


def by_rules(path: bytes) -> Unneeded | None:
    """Ask every rule; `unneeded` says the same and asks few."""
    match = _ALL.match(path)
    return _KIND[match.lastgroup] if match and match.lastgroup else None
