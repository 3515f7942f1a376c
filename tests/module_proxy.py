"""A module proxy in a folder, as GOPROXY=file://… has it, with small modules that a test writes.

Source: go.dev/ref/mod, "GOPROXY protocol" and "Module zip files".
"""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

ORIGIN = {
    "VCS": "git",
    "URL": "https://user:secret@example.com/tool.git",
    "Hash": "0123456789abcdef0123456789abcdef01234567",
}
TIME = "2026-01-02T03:04:05Z"
MAIN = 'package main\n\nfunc main() { println("hi") }\n'


class ModuleProxy:
    """Serves what was published to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def publish(
        self, module: str, version: str, files: Mapping[str, str], *, origin: Mapping[str, str] | None = None
    ) -> None:
        """Publish a version; `files` by path inside the module, go.mod among them."""
        place = self.folder / re.sub("[A-Z]", lambda letter: "!" + letter[0].lower(), module) / "@v"
        place.mkdir(parents=True, exist_ok=True)
        with (place / "list").open("a") as listed:
            listed.write(f"{version}\n")
        about = {"Version": version, "Time": TIME, **({"Origin": dict(origin)} if origin else {})}
        (place / f"{version}.info").write_text(json.dumps(about))
        (place / f"{version}.mod").write_text(files["go.mod"])
        with zipfile.ZipFile(place / f"{version}.zip", "w") as archive:
            for name, text in files.items():
                archive.writestr(f"{module}@{version}/{name}", text)

    def name(self, module: str, query: str, version: str) -> None:
        """Let a branch mean a version."""
        place = self.folder / module / "@v"
        (place / f"{query}.info").write_text((place / f"{version}.info").read_text())

    def environment(self, cache: Path) -> dict[str, str]:
        """Give Go's settings: this proxy alone, and a module cache of the test's own."""
        return {
            "GOPROXY": f"file://{self.folder}",
            "GONOSUMDB": "*",
            "GOSUMDB": "off",
            "GOFLAGS": "-modcacherw",
            "GOMODCACHE": str(cache),
            "GOENV": "off",
            "GOTOOLCHAIN": "local",
        }
