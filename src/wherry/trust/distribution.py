"""Packages of a distribution, by the files that its package manager leaves in an image.

Sources: Debian Policy 4.7, 5.3 (control files); GoogleContainerTools/distroless (`var/lib/dpkg/status.d`); Alpine's
apk-tools 2.14, apk-installed(5); os-release(5).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

DPKG_FOLDER = "var/lib/dpkg/status.d/"
DPKG, APK = "var/lib/dpkg/status", "lib/apk/db/installed"
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
ACCOUNTS = "etc/passwd"
LARGEST_LIST = 64 << 20
"""Bytes of a list that is read; Debian's whole desktop has 5 MB."""
_MOST = 100_000
_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*)$", re.MULTILINE)
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_APK = re.compile(r"^([PVALo]):(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A package as its manager knows it."""

    kind: str
    """`deb` or `apk`."""
    name: str
    version: str
    architecture: str
    source: str = ""
    """Of a binary package with another name than its source's."""
    source_version: str = ""
    """Where the source package has another version."""
    licence: str = ""


@dataclass(frozen=True, slots=True, order=True)
class DebianPackage:
    """An installed package of Debian, and the source package that it was built from."""

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


def is_package_list(path: str) -> bool:
    """Report whether a file of an image lists packages."""
    return path in {DPKG, APK} or (path.startswith(DPKG_FOLDER) and not path.endswith(".md5sums"))


def installed(path: str, content: bytes) -> Iterator[InstalledPackage]:
    """Read a list of packages; what is malformed in it is passed over."""
    text = content[:LARGEST_LIST].decode(errors="replace")
    for count, block in enumerate(re.split(r"\n[ \t]*\n", text)):
        if count >= _MOST:
            return
        found = _apk(dict(_APK.findall(block))) if path == APK else _deb(dict(_FIELD.findall(block)))
        if found is not None:
            yield found


def _deb(fields: Mapping[str, str]) -> InstalledPackage | None:
    said = {name.lower(): text.strip() for name, text in fields.items()}
    name, version = said.get("package", ""), said.get("version", "")
    if not name or not version or not said.get("status", "install ok installed").endswith(" installed"):
        return None
    source = _SOURCE.match(said.get("source", ""))
    return InstalledPackage(
        "deb",
        name,
        version,
        said.get("architecture", ""),
        source[1] if source else "",
        (source[2] or "") if source else "",
    )


def _apk(fields: Mapping[str, str]) -> InstalledPackage | None:
    if not fields.get("P") or not fields.get("V"):
        return None
    return InstalledPackage("apk", fields["P"], fields["V"], fields.get("A", ""), fields.get("o", ""))


def is_package_file(path: str) -> bool:
    """Report whether a file of an image says which of Debian's packages, or which accounts, it has."""
    return path in {DPKG, ACCOUNTS} or path in OS_RELEASE or (path != APK and is_package_list(path))


def debian_packages(files: Mapping[str, bytes]) -> DebianPackages | None:
    """Read the packages of an image of Debian.

    Args:
        files: those that `is_package_file` names, by path.

    Returns:
        None where there are none, or the system is not Debian.
    """
    release = next((files[path] for path in OS_RELEASE if path in files), b"")
    distribution, version = distribution_of(release)
    if distribution not in {"", "debian"}:
        return None
    found = {
        DebianPackage(one.name, one.version, one.source or one.name, one.source_version or one.version)
        for path, content in files.items()
        if is_package_list(path) and path != APK
        for one in installed(path, content)
    }
    return DebianPackages(version, tuple(sorted(found))[:_MOST]) if found else None


def distribution_of(os_release: bytes) -> tuple[str, str]:
    """Read the identifier and the version of a distribution."""
    pairs = re.findall(r"^(ID|VERSION_ID)=(.*)$", os_release[: 1 << 16].decode(errors="replace"), re.MULTILINE)
    values = {key: value.strip().strip("\"'") for key, value in pairs}
    return values.get("ID", ""), values.get("VERSION_ID", "")
