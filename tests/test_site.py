"""The documentation as a site: every page, no warnings, links that hold, nothing fetched."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors; a fork's, as a workflow of ann/boats would build it."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "-q", str(ROOT / "docs"), str(folder)]
    environment = {
        "PATH": os.environ["PATH"], "GITHUB_SERVER_URL": "https://code.example", "GITHUB_REPOSITORY": "ann/boats",
    }  # fmt: skip
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """What a page links to and loads, and the anchors it has."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Keep what matters here."""
        found = dict(attrs)
        self.anchors.add(found.get("id") or "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in {"script", "img"} and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") == "stylesheet":
            self.loads.append(found["href"])


def test_every_page_is_on_it(site):
    """And the folder opens at the first."""
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}

    assert {str(page) for page in pages if not (site / page).is_file()} == set()
    assert (site / "index.html").read_text() == (site / "README.html").read_text()
    assert "The next release" in (site / "changes.html").read_text()


def test_its_links_hold(site):
    """To pages, to anchors in them, to files that are loaded; outside of the site only what pages name themselves."""
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html") if "_static" not in path.parts}
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
            there = pages[target].anchors if target in pages else None
            if not target.is_file() or (there is not None and unquote(parts.fragment) not in there):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []
    loaded = [source for page in pages.values() for source in page.loads if urlsplit(source).scheme not in {"", "data"}]
    assert loaded == []
    outside = re.findall(r'href="(https://code\.example/[^"]+)"', (site / "README.html").read_text())
    assert "https://code.example/ann/boats/blob/main/CONTRIBUTING.md" in outside


def test_a_release_up_to_the_upload(tmp_path):
    """From a commit: the changes become one page, both files are the same bytes twice, and the wheel starts."""
    clone = tmp_path / "clone"
    _run("git", "clone", "-q", "--depth", "1", f"file://{ROOT}", str(clone), cwd=tmp_path)
    script = [sys.executable, "scripts/release.py"]
    prepared = _run(*script, "--prepare", "9.8.7", cwd=clone)
    assert "tag it v9.8.7" in prepared.stdout
    assert "## 9.8.7" in (clone / "CHANGELOG.md").read_text()
    assert not list((clone / "changes").glob("*.md"))
    early = _run(*script, "9.8.7", cwd=clone, code=1)
    assert "the commit has version" in early.stderr

    _run("git", "add", "-A", cwd=clone)
    _run("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "9.8.7", cwd=clone)
    _run(*script, "9.8.7", cwd=clone)

    files = {path.name for path in (clone / "dist").iterdir()}
    packages = {"wherry-9.8.7-py3-none-any.whl", "wherry-9.8.7.tar.gz"}
    assert files == packages | {"SHA256SUMS", "provenance.intoto.json"}
    assert _run("sha256sum", "-c", "SHA256SUMS", cwd=clone / "dist").stdout.count(": OK") == len(packages)
    shutil.rmtree(clone)


def _run(*words, cwd, code=0):
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done
