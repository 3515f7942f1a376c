"""The head of a Go source: what of it decides which further files a build reads.

`go list` reads of a file its constraints, its package clause, its imports, and the patterns of `//go:embed`. While
those stay, an edit changes no list of inputs, and Go need not be asked for one.

Sources: Go 1.26, go/build (`readGoInfo`, `readComments`, `readImport`); The Go Programming Language Specification,
"Source file organization", "Import declarations" and "Semicolons".
"""

import hashlib
import os
import re
from collections.abc import Iterable

from wherry.source.inputs import CHANGED_WHILE_BUILDING, Input, InputKind

_SPACE = re.compile(rb"(?:[ \t\r\n;]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NAME = rb"(?:[A-Za-z_]|[^\x00-\x7f])(?:[A-Za-z_0-9]|[^\x00-\x7f])*"
_WORD = re.compile(_NAME)
_SPEC = re.compile(rb"(?:(?:\.|" + _NAME + rb")(?:[ \t\r\n]+|/\*.*?\*/)*)?(?:\"[^\"\n]*\"|`[^`]*`)", re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EMBED = b"go:embed"


def head_of(source: bytes) -> bytes:
    """Hash what decides which files are read; of a source that is unlike Go's, hash all of it."""
    end = _end_of_imports(source)
    if end is None:
        return hashlib.sha256(source).digest()
    state = hashlib.sha256(source[:end])
    for line in source[end:].split(b"\n") if _EMBED in source else ():
        if _EMBED in line:
            state.update(b"\0" + line)
    return state.digest()


def _end_of_imports(source: bytes) -> int | None:
    at = _blank(source, len(_BYTE_ORDER_MARK) if source.startswith(_BYTE_ORDER_MARK) else 0)
    if not source.startswith(b"package", at):
        return None
    name = _WORD.match(source, _blank(source, at + len(b"package")))
    if name is None:
        return None
    at = name.end()
    while (word := _WORD.match(source, _blank(source, at))) and word[0] == b"import":
        end = _specs(source, _blank(source, word.end()))
        if end is None:
            return None
        at = end
    following = _blank(source, at)
    # A declaration begins with a word; what does not may belong to an import in a way that is not understood here.
    return at if following == len(source) or source[following : following + 1].isalpha() else None


def _specs(source: bytes, at: int) -> int | None:
    """Go past what one `import` brings in; None where it is no import."""
    if not source.startswith(b"(", at):
        single = _SPEC.match(source, at)
        return single.end() if single else None
    at = _blank(source, at + 1)
    while spec := _SPEC.match(source, at):
        at = _blank(source, spec.end())
    return at + 1 if source.startswith(b")", at) else None


def _blank(source: bytes, at: int) -> int:
    found = _SPACE.match(source, at)
    return found.end() if found else at


def heads_of(inputs: Iterable[Input], left_out: Iterable[str]) -> dict[str, bytes]:
    """Give the heads of the sources among inputs.

    Args:
        inputs: as they were recorded; what changed while it was built is left out, and what changed since.
        left_out: folders of sources that are not edited: Go's own, and the module cache.
    """
    outside = tuple(f"{folder}{os.sep}" for folder in left_out if folder)
    found: dict[str, bytes] = {}
    for entry in inputs:
        if entry.kind is not InputKind.FILE or not entry.path.endswith(".go") or entry.path.startswith(outside):
            continue
        source = _read(entry.path)
        # The same bytes are asked for head and content: a head of later bytes would hide a change of the earlier.
        if entry.content != CHANGED_WHILE_BUILDING and hashlib.sha256(source).digest() == entry.content:
            found[entry.path] = head_of(source)
    return found


def same_heads(changed: Iterable[Input], heads: dict[str, bytes]) -> bool:
    """Tell whether of all that changed only sources did, and none of them in its head."""
    for entry in changed:
        if entry.kind is not InputKind.FILE or entry.path not in heads:
            return False
        source = _read(entry.path)
        if hashlib.sha256(source).digest() != entry.content or head_of(source) != heads[entry.path]:
            return False
    return True


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - called for hundreds of paths
            return file.read()
    except OSError:
        return b""
