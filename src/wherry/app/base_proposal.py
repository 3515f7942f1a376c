"""The `[base]` of wherry.toml that a program's needs amount to: packages by the files that it loads or can ask for.

Which package a library is of is read from dpkg's own lists, those of the image or of this machine; where there are
none, from Debian's rule for names of library packages, which is a guess and is said to be one.

Source: Debian policy 4.7, section 8.1 (names of packages of shared libraries).
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.analysis.deps.document import DepsDocument, PlatformDeps

_INFO = "var/lib/dpkg/info/"
_STATUS = "var/lib/dpkg/status.d/"
_LARGEST = 4 << 20
_SONAME = re.compile(r"(?P<name>lib.+?)\.so\.(?P<version>[0-9]+)[0-9.]*")
_OF_LIBC = frozenset({"libc", "libm", "libpthread", "libdl", "librt", "libresolv", "libutil", "libanl"})
_ASKED: Mapping[str, str] = {"certificates": "ca-certificates", "zones": "tzdata"}
"""Packages by the kind of file that linked packages can ask for; Go has its own of the rest."""


def proposed_base(session: Session, name: str, document: "DepsDocument") -> str:
    """Write the table.

    Args:
        session: where the image is.
        name: an image or a program, as `deps` took it.
        document: what `deps` said of it; of several platforms, the first counts.
    """
    (one, *_) = document.platforms
    libraries = dict(_libraries(one))
    owners = _owners(session, name, one)
    reasons: dict[str, list[str]] = {}
    for library, path in libraries.items():
        package = owners.get(_plain(path)) or ""
        guess = "" if package else " (by Debian's rule for names, as no list of dpkg has it)"
        if package := package or package_by_rule(library):
            reasons.setdefault(package, []).append(f"{library}{guess}")
    for kind, package in _ASKED.items():
        if any(ask.kind == kind and ask.state != "embedded" for program in one.programs for ask in program.asks):
            reasons.setdefault(package, []).append(f"{kind}, which linked packages can ask for")
    if not reasons:
        return f"# {_harmless(name)}: needs no package of Debian; --base auto chooses the smallest base\n"
    return "".join(f"{line}\n" for line in _lines(name, one, libraries, reasons))


def _lines(
    name: str, one: "PlatformDeps", libraries: Mapping[str, str], reasons: Mapping[str, list[str]]
) -> Iterator[str]:
    how = "linked and opened in a traced run" if one.trace else "linked; libraries that it opens by name need --trace"
    yield f"# {_harmless(name)}: {how}"
    if not libraries:
        yield "# it is static: --base static has certificates and zones, and is smaller"
    yield "[base]"
    yield "packages = ["
    width = max(map(len, reasons)) + 4
    for package in sorted(reasons):
        quoted = f'"{package}",'
        yield f"    {quoted:<{width}}# {_harmless(', '.join(reasons[package]))}"
    yield "]"


def _libraries(one: "PlatformDeps") -> Iterator[tuple[str, str]]:
    """Yield libraries by name, with their paths: those of programs that a container starts, else of all."""
    entries = [program for program in one.programs if program.entry] or list(one.programs)
    for program in entries:
        yield from ((file.name, file.path) for file in program.interpreters if file.name.startswith("/lib"))
        yield from ((library.name, library.path) for library in program.libraries)
    if one.trace is not None:
        for file in one.trace.opened:
            if _SONAME.fullmatch(posixpath.basename(file.path)):
                yield posixpath.basename(file.path), file.path


def _owners(session: Session, name: str, one: "PlatformDeps") -> Mapping[str, str]:
    """Give packages by the paths of libraries, without a leading /usr."""
    from wherry.app.subjects import is_program

    if is_program(session.cwd / name):
        return dict(_of_machine())
    return _of_image(session, name, one.platform)


def _of_machine() -> Iterator[tuple[str, str]]:
    for file in sorted(Path("/", _INFO).glob("*.list")):
        yield from _owned(_package(file.stem), file.read_text(errors="replace").splitlines()).items()


def _of_image(session: Session, name: str, platform: str) -> Mapping[str, str]:
    from wherry.app.images import open_image
    from wherry.layer.changes import flatten, layers_of
    from wherry.layer.entry import EntryKind

    found = open_image(session, name)
    (image, *_) = found.images(Platform.parse(platform) if platform else None)
    owners: dict[str, str] = {}
    links: dict[str, str] = {}
    for entry, body in flatten(layers_of(found.source, image)):
        folder, _, file = entry.path.rpartition("/")
        stem, _, kind = file.rpartition(".")
        if entry.kind is EntryKind.SYMLINK and ".so" in file:
            links[_plain(entry.path)] = _plain(posixpath.normpath(posixpath.join("/", folder, entry.target)))
        elif f"{folder}/" in {_INFO, _STATUS} and kind in {"list", "md5sums"} and entry.size <= _LARGEST:
            lines = body.read(_LARGEST).decode(errors="replace").splitlines()
            owners |= _owned(
                _package(stem), [line.rpartition("  ")[2] if kind == "md5sums" else line for line in lines]
            )
    # dpkg's checksums have no links, and a library is found by one: libx.so.0 points to libx.so.0.8.6.
    return {**{path: owners[target] for path, target in links.items() if target in owners}, **owners}


def _owned(package: str, lines: Iterable[str]) -> dict[str, str]:
    return {_plain(line): package for line in lines if package and ".so" in line}


def _package(stem: str) -> str:
    name = stem.partition(":")[0]
    return name if re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) else ""


def _plain(path: str) -> str:
    """Give a path in one form for a merged /usr and one that is not."""
    return "/" + path.strip("/").removeprefix("usr/")


def package_by_rule(library: str) -> str:
    """Name a library's package by its soname: libsqlite3.so.0 is in libsqlite3-0; empty where it is none."""
    match = _SONAME.fullmatch(library)
    if match is None:
        return "libc6" if library.startswith("/lib") else ""
    if match["name"] in _OF_LIBC:
        return "libc6"
    name = match["name"].lower().replace("_", "-")
    return f"{name}{'-' * name[-1:].isdigit()}{match['version']}"


def _harmless(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
