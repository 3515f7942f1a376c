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
LARGEST_LIST = 64 << 20
"""Bytes of a list that is read; Debian's whole desktop has 5 MB."""
_MOST = 50_000
_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*)$", re.MULTILINE)
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
    licence: str = ""


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
    state = fields.get("Status", "install ok installed")
    if not fields.get("Package") or not fields.get("Version") or not state.endswith(" installed"):
        return None
    source = fields.get("Source", "").partition(" ")[0]
    return InstalledPackage(
        "deb", fields["Package"].strip(), fields["Version"].strip(), fields.get("Architecture", "").strip(), source
    )


def _apk(fields: Mapping[str, str]) -> InstalledPackage | None:
    if not fields.get("P") or not fields.get("V"):
        return None
    return InstalledPackage("apk", fields["P"], fields["V"], fields.get("A", ""), fields.get("o", ""))


def distribution_of(os_release: bytes) -> tuple[str, str]:
    """Read the identifier and the version of a distribution."""
    pairs = re.findall(r"^(ID|VERSION_ID)=(.*)$", os_release[: 1 << 16].decode(errors="replace"), re.MULTILINE)
    values = {key: value.strip().strip("\"'") for key, value in pairs}
    return values.get("ID", ""), values.get("VERSION_ID", "")
