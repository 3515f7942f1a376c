"""Paths and versions of modules: what is allowed, how they are escaped in file names and URLs, patterns of them.

Source: golang.org/x/mod v0.30, module/module.go and semver/semver.go; Go's path.Match.
"""

import re
import unicodedata
from functools import cache

_MODULE = re.compile(r"[-._~A-Za-z0-9]*")
_FILE = frozenset("!#$%&()+,-.=@[]^_{}~ ")
_PLAIN = re.compile(r"[-_~A-Za-z0-9+]+(?:\.[-_~A-Za-z0-9+]+)*(?:/[-_~A-Za-z0-9+]+(?:\.[-_~A-Za-z0-9+]+)*)*")
"""Most file paths there are; nothing in them needs a closer look but names that Windows keeps."""
_WINDOWS = re.compile(r"(?:^|/)(?:con|com[1-9]|lpt[1-9]|nul|prn|aux)(?:\.|/|$)", re.IGNORECASE)
_TILDE = re.compile(r"~[0-9]+$")
_SEMVER = re.compile(
    r"v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_MAJOR = re.compile(r"(.*?)([/.]v([1-9][0-9]*|0)(?:-unstable)?)")


def escape(word: str) -> str:
    """Escape a module's path or version for file names and URLs: a capital becomes `!` and its small letter."""
    return re.sub("[A-Z]", lambda letter: "!" + letter[0].lower(), word)


def unescape(word: str) -> str:
    """Undo `escape`."""
    return re.sub("!([a-z])", lambda letter: letter[1].upper(), word)


def file_path_problem(path: str) -> str:
    """Say what a module's file may not be called; empty where the path is fine."""
    if _PLAIN.fullmatch(path) and not _WINDOWS.search(path):
        return ""
    problem = _path_problem(path, file=True)
    return f'malformed file path "{path}": {problem}' if problem else ""


def module_problem(path: str, version: str) -> str:
    """Say why a module of this path and version cannot be; empty where it can."""
    problem = _path_problem(path, file=False) or _first_problem(path.partition("/")[0])
    if not problem and _major_of(path) is None:
        problem = "invalid version"
    if problem:
        return f'malformed module path "{path}": {problem}'
    found = _SEMVER.fullmatch(version)
    if found is None:
        return f'version "{version}" is not canonical (not a semantic version)'
    if found[5] and found[5] != "+incompatible":
        return f'version "{version}" is not canonical (should be "{version.partition("+")[0]}")'
    return _version_problem(path, version, found[1])


def _version_problem(path: str, version: str, major: str) -> str:
    wanted = _major_of(path) or ""
    wanted = wanted.removesuffix("-unstable")
    incompatible = version.endswith("+incompatible")
    if wanted.lstrip("/.") == "" and (major in {"0", "1"} or incompatible):
        return ""
    if wanted.startswith(".") and wanted.endswith("v1") and version.startswith("v0.0.0-"):
        return ""
    if wanted and wanted[1:] == f"v{major}" and not incompatible:
        return ""
    should = f"should be {wanted[1:]}" if wanted else "should be v0 or v1"
    return f"{path}@{version}: invalid version: {should}, not v{major}"


def _major_of(path: str) -> str | None:
    """Give the suffix of a path that names a major version; empty where there is none, None where it is wrong."""
    found = _MAJOR.fullmatch(path)
    if path.startswith("gopkg.in/"):
        return found[2] if found and found[2].startswith(".") else None
    if not found or not found[2].startswith("/"):
        return ""
    return found[2] if found[3] not in {"0", "1"} and found[1] and not found[2].endswith("-unstable") else None


def _first_problem(first: str) -> str:
    if "." not in first:
        return "missing dot in first path element"
    if first.startswith("-"):
        return "leading dash in first path element"
    wrong = next((letter for letter in first if not re.match(r"[-.a-z0-9]", letter)), "")
    return f"invalid char {_quoted(wrong)} in first path element" if wrong else ""


def _path_problem(path: str, *, file: bool) -> str:
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in path):  # noqa: PLR2004 - bytes that were no UTF-8
        return "invalid UTF-8"
    if not path:
        return "empty string"
    if path.startswith("-") and not file:
        return "leading dash"
    if "//" in path:
        return "double slash"
    if path.endswith("/"):
        return "trailing slash"
    return next(filter(None, (_element_problem(element, file=file) for element in path.split("/"))), "")


def _element_problem(element: str, *, file: bool) -> str:  # noqa: PLR0911 - one return a rule
    if not element:
        return "empty path element"
    if not element.strip("."):
        return f'invalid path element "{element}"'
    if element[0] == "." and not file:
        return "leading dot in path element"
    if element.endswith("."):
        return "trailing dot in path element"
    wrong = next((letter for letter in element if not _allowed(letter, file=file)), "")
    if wrong:
        return f"invalid char {_quoted(wrong)}"
    short = element.partition(".")[0]
    if _WINDOWS.fullmatch(short):
        return f'"{short}" disallowed as path element component on Windows'
    if not file and _TILDE.search(short):
        return "trailing tilde and digits in path element"
    return ""


def _allowed(letter: str, *, file: bool) -> bool:
    if not file:
        return bool(_MODULE.fullmatch(letter))
    if letter.isascii():
        return letter.isalnum() or letter in _FILE
    return unicodedata.category(letter).startswith("L")


def _quoted(letter: str) -> str:
    r"""Write a character as Go's %q does: `'\''`."""
    return "'" + letter.replace("\\", "\\\\").replace("'", "\\'") + "'"


def matches(patterns: str, path: str) -> bool:
    """Report whether a path or a prefix of it matches one of several patterns, as GOPRIVATE has them.

    Args:
        patterns: separated by commas; each matches as many elements of the path as it has itself.
        path: of a module.
    """
    elements = path.split("/")
    for pattern in patterns.split(","):
        pattern = pattern.removesuffix("/")  # noqa: PLW2901 - as Go reads it
        count = pattern.count("/") + 1
        if not pattern or len(elements) < count:
            continue
        compiled = _compiled(pattern)
        if compiled and compiled.fullmatch("/".join(elements[:count])):
            return True
    return False


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Translate a pattern of path.Match; None where it is malformed, which matches nothing."""
    parts: list[str] = []
    rest = pattern
    while rest:
        if rest[0] == "*":
            parts, rest = [*parts, "[^/]*"], rest[1:]
        elif rest[0] == "?":
            parts, rest = [*parts, "[^/]"], rest[1:]
        elif rest[0] == "[":
            found = re.match(r"\[(\^?)((?:\\.|[^\]\\])+)\]", rest)
            if not found:
                return None
            parts, rest = [*parts, _class(found[1], found[2])], rest[found.end() :]
        else:
            skip = rest[0] == "\\"
            if skip and len(rest) == 1:
                return None
            parts, rest = [*parts, re.escape(rest[skip])], rest[1 + skip :]
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return None


def _class(negated: str, body: str) -> str:
    quoted = re.sub(r"\\(.)|([\[&~|])", lambda found: re.escape(found[1] or found[2]), body)
    return f"(?!/)[{negated}{quoted}]"
