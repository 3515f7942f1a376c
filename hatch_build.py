"""Put the documentation into the wheel: pages for `wherry help`, and manual pages of docs/reference/cli.md for man.

The project's URLs are those of the repository that publishes it, so a fork's are its own.

Sources: hatchling 1.27, "Build hook plugins", "Wheel builder" (force_include, shared_data) and "Metadata hook plugins";
GitHub Actions, "Default environment variables".
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

PAGES = ("reference", "how-to", "explanation")
"""Folders of docs/ that `wherry help` shows."""


class DocumentationHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling names no type for its settings
    """Adds pages to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files, and write those that are made."""
        if version == "editable":
            return  # the pages are read from docs/
        docs = Path(self.root) / "docs"
        for page in pages(docs):
            build_data["force_include"][str(page)] = f"wherry/pages/{page.relative_to(docs)}"
        self._made = TemporaryDirectory(prefix="wherry-man-")
        for name, text in manuals(Path(self.root), self.metadata.version):
            file = Path(self._made.name) / name
            file.write_text(text)
            build_data["shared_data"][str(file)] = f"share/man/man{name[-1]}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Delete what was written."""
        del build_data, artifact_path
        if version != "editable":
            self._made.cleanup()


class UrlsHook(MetadataHookInterface):
    """Names the repository that publishes."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the URLs; outside of a workflow there are none."""
        server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
        if not server or not repository:
            metadata["urls"] = {}
            return
        source = f"{server}/{repository}"
        metadata["urls"] = {
            "Homepage": source,
            "Documentation": f"{source}/tree/main/docs",
            "Changes": f"{source}/tree/main/changes",
            "Issues": f"{source}/issues",
        }


def pages(docs: Path) -> Iterator[Path]:
    """List the pages that the wheel has."""
    for folder in PAGES:
        yield from sorted((docs / folder).glob("*.md"))
    yield docs / "tutorial.md"


def manuals(root: Path, version: str) -> Iterator[tuple[str, str]]:
    """Write the manual pages: one for each command, from its section of the reference, and wherry.toml(5)."""
    sys.path.insert(0, str(root / "src"))
    try:
        from wherry.report.markdown import manual_page
    finally:
        sys.path.pop(0)
    sections = re.split(r"(?m)^## ", (root / "docs" / "reference" / "cli.md").read_text())[1:]
    for section in sections:
        name = section.partition("\n")[0].replace(" ", "-")
        yield f"{name}.1", manual_page(f"# {section}", name=name, section=1, version=version)
    settings = (root / "docs" / "reference" / "wherry-toml.md").read_text()
    yield "wherry.toml.5", manual_page(settings, name="wherry.toml", section=5, version=version)
