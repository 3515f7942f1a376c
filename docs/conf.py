"""The documentation as a site (`make site`): the pages as they are, with a search that works offline.

Sources: Sphinx 8, "Configuration"; MyST-Parser 4, "Cross-references"; furo, "Customisation".
"""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from sphinx.application import Sphinx

from wherry import __version__

project = "wherry"
author = "The wherry authors"
project_copyright = f"{datetime.now(UTC):%Y}, {author}"
release = version = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "README"
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = f"wherry {__version__}"
html_show_sourcelink = False
html_copy_source = False
html_static_path: list[str] = []
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# Console blocks show programs' answers, which are in no language that a lexer knows.
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]

_CHAPTERS = (
    ("Start", ("tutorial", "gallery")),
    ("How to", ("how-to/*",)),
    ("Reference", ("reference/*",)),
    ("Explanation", ("explanation/*",)),
    ("Benchmarks", ("benchmarks*",)),
    ("Project", ("layout", "decisions", "security", "sources", "changes")),
)


_OUTSIDE = re.compile(r"(!?)\[([^\]]+)\]\(((?:\.\./)+)([^)#]+\.md)(#[^)]*)?\)")
"""A link to a page; one that leaves docs/ is no page of the site."""


def setup(app: Sphinx) -> None:
    """Complete pages that are read on disk as they are, but not by Sphinx."""
    app.connect("source-read", _with_contents)
    app.connect("source-read", _with_changes)
    app.connect("source-read", _without_outside)
    app.connect("build-finished", _with_index)


def _with_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the first page what Sphinx makes its navigation of."""
    if name != root_doc:
        return
    here = Path(app.srcdir)
    for title, patterns in _CHAPTERS:
        found = sorted(
            str(page.relative_to(here).with_suffix("")) for pattern in patterns for page in here.glob(f"{pattern}.md")
        )
        source[0] += "\n".join(["\n", "```{toctree}", ":hidden:", f":caption: {title}", "", *found, "```", ""])


def _with_changes(app: Sphinx, name: str, source: list[str]) -> None:
    """Put what the next release changes on its page, and the releases before."""
    if name != "changes":
        return
    root = Path(app.srcdir).parent
    words = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "The next release"]
    draft = subprocess.run(words, cwd=root, check=True, capture_output=True, text=True).stdout  # noqa: S603
    released = (root / "CHANGELOG.md").read_text().partition("<!-- changes -->\n")[2]
    source[0] += f"\n{draft}\n{released}".replace("](docs/", "](")


def _without_outside(app: Sphinx, name: str, source: list[str]) -> None:
    """Point links to pages outside docs/ to the repository that publishes, or say their path where none does."""
    server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    docs = Path(app.srcdir)
    page = docs / name

    def mended(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / link[3] / link[4]))
        if target.is_relative_to(docs):
            return link[0]
        path = target.relative_to(docs.parent)
        if server and repository:
            return f"[{link[2]}]({server}/{repository}/blob/main/{path}{link[5] or ''})"
        return f"{link[2]} (`{path}`)"

    source[0] = _OUTSIDE.sub(mended, source[0])


def _with_index(app: Sphinx, exception: Exception | None) -> None:
    """Let the site's folder open at its first page."""
    if exception is None and app.builder.name == "html":
        shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")
