"""Write src/wherry/base/data from named versions of the certifi and tzdata wheels; `make base-data` calls it.

The base's digests are made of these files, so an update of either is a release of wherry: change the pins in
pyproject.toml, run this, and run `python tests/golden_digests.py > tests/golden/digests.json`.
"""

import importlib.metadata
import json
import re
import sys
import tomllib
import zipfile
from importlib import import_module
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src" / "wherry" / "base" / "data"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\n.+?-----END CERTIFICATE-----\n", re.DOTALL)
_DAY = (1980, 1, 1, 0, 0, 0)
"""The first that a zip can name."""


def pinned() -> dict[str, str]:
    """Give the versions that pyproject.toml names.

    Raises:
        SystemExit: another one is installed.
    """
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    pins = dict(text.split("==") for text in groups["dev"] if text.count("==") == 1)
    versions = {name: pins[name] for name in ("certifi", "tzdata")}
    for name, version in versions.items():
        if (found := importlib.metadata.version(name)) != version:
            sys.exit(f"{name} {found} is installed, and pyproject.toml pins {version}: run `make setup`")
    return versions


def files() -> dict[str, bytes]:
    """Make the files, by name."""
    versions = pinned()
    tzdata = import_module("tzdata")
    bundle = Path(import_module("certifi").where()).read_bytes()
    described = {**versions, "iana": tzdata.IANA_VERSION}
    return {
        "certificates.pem": b"".join(_CERTIFICATE.findall(bundle)),
        "zones.zip": _zones(Path(tzdata.__file__).parent / "zoneinfo"),
        "versions.json": json.dumps(described, indent=2).encode() + b"\n",
    }


def _zones(root: Path) -> bytes:
    """Pack zone files; the same ones give the same bytes, so nothing is compressed here."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and (zone := path.read_bytes()).startswith(b"TZif"):
                archive.writestr(zipfile.ZipInfo(path.relative_to(root).as_posix(), _DAY), zone)
    return out.getvalue()


if __name__ == "__main__":
    for name, content in files().items():
        (DATA / name).write_bytes(content)
