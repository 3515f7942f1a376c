"""Debian packages of an image: dpkg's status, whole or one file a package as distroless has it.

Sources: deb822(5); dpkg(1), /var/lib/dpkg/status; GoogleContainerTools/distroless, "package metadata" (status.d);
os-release(5).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

STATUS: Final = "var/lib/dpkg/status"
STATUS_FOLDER: Final = "var/lib/dpkg/status.d/"
ACCOUNTS: Final = "etc/passwd"
"""Kept with them, as whoever asks for packages may ask for accounts."""
OS_RELEASE: Final = ("etc/os-release", "usr/lib/os-release")
LARGEST: Final = 32 << 20
"""Bytes of one of these files; the status of a full desktop has 4 MB."""
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_MOST = 100_000


@dataclass(frozen=True, slots=True, order=True)
class DebianPackage:
    """An installed package, and the source package that it was built from."""

    name: str
    version: str
    source: str
    source_version: str


@dataclass(frozen=True, slots=True)
class DebianPackages:
    """What is installed, of which release."""

    release: str
    """Such as `12`; empty where os-release does not say."""
    installed: tuple[DebianPackage, ...]


def is_package_file(path: str) -> bool:
    """Tell whether a file of an image is kept: it says which packages or accounts there are."""
    if path.startswith(STATUS_FOLDER):
        return not path.endswith(".md5sums")
    return path in {STATUS, ACCOUNTS} or path in OS_RELEASE


def read_packages(files: Mapping[str, bytes]) -> DebianPackages | None:
    """Read the packages of an image.

    Args:
        files: those that `is_package_file` names, by path.

    Returns:
        None where there are none, or the system is not Debian.
    """
    release = next((_release(files[path]) for path in OS_RELEASE if path in files), {})
    if release.get("ID", "debian") != "debian":
        return None
    found: list[DebianPackage] = []
    for path, content in sorted(files.items()):
        if path != ACCOUNTS and path not in OS_RELEASE:
            found += _packages(content.decode(errors="replace"))
    if not found:
        return None
    return DebianPackages(release.get("VERSION_ID", ""), tuple(sorted(set(found)))[:_MOST])


def _packages(text: str) -> Iterator[DebianPackage]:
    for fields in _paragraphs(text.splitlines()):
        name, version = fields.get("package", ""), fields.get("version", "")
        status = fields.get("status", "install ok installed")
        source = _SOURCE.match(fields.get("source", ""))
        if name and version and status.endswith(" installed"):
            yield DebianPackage(name, version, source[1] if source else name, (source and source[2]) or version)


def _paragraphs(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in lines:
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
    if fields:
        yield fields


def _release(content: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in content.decode(errors="replace").splitlines())
    return {name: value.strip().strip("\"'") for name, _, value in lines}
