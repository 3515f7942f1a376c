"""Platforms of a Go build: levels from the environment, `all` on a base, and what no image is made for."""

import json
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from small_images import put_image, put_index
from wherry.oci import media
from wherry.oci.manifest import Index
from wherry.platform import Platform
from wherry.store.contract import write_document
from wherry.store.images import images_of, read_image

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A small module."""
    need("go")
    shell = Shell(tmp_path / "home")
    shell.module()
    return shell


def recipe(wherry: Shell, name: str) -> dict[str, str]:
    """Read what an image was compiled with."""
    image = read_image(wherry.store, wherry.store.resolve(name))
    return dict(json.loads((image.config.runtime.labels or {})["dev.wherry.recipe"])["go"])


def test_a_level_of_the_environment(wherry):
    """GOAMD64 counts, stands in the recipe, and makes another program; the image stays one for linux/amd64."""
    wherry("build", "--platform", "linux/amd64", "-t", "a:1", "--no-vcs")
    plain = wherry.out
    wherry.environment["GOAMD64"] = "v3"
    wherry("build", "--platform", "linux/amd64", "-t", "a:1", "--no-vcs")

    assert wherry.out != plain
    assert recipe(wherry, "a:1")["GOAMD64"] == "v3"
    assert images_of(wherry.store, wherry.store.resolve("a:1"))[0].platform == Platform("linux", "amd64")


def test_a_level_that_go_env_keeps(wherry):
    """`go env -w GOAMD64=v3` counts as the variable does."""
    wherry.environment["GOENV"] = str(wherry.root / "goenv")
    wherry.write("goenv", "GOAMD64=v3\n")

    wherry("build", "--platform", "linux/amd64", "-t", "a:1", "--no-vcs")

    assert recipe(wherry, "a:1")["GOAMD64"] == "v3"


def test_a_level_that_contradicts(wherry):
    """A variant that was written is not overruled, and the variable is not ignored."""
    wherry.environment["GOAMD64"] = "v3"
    wherry("build", "--platform", "linux/amd64/v1", code=64)

    assert "GOAMD64=v3 in the environment, but --platform asks for linux/amd64/v1" in wherry.err


@pytest.mark.parametrize(
    ("platform", "words"), [("windows/amd64", "nanoserver"), ("wasip1/wasm", "GOARCH=wasm go build")]
)
def test_other_systems(wherry, platform, words):
    """They are refused before anything is compiled."""
    wherry("build", "--platform", platform, code=64)

    assert "wherry makes Linux images only" in wherry.err
    assert words in wherry.err
    assert "compile" not in wherry.err


def test_all_takes_what_the_base_has(wherry):
    """It names what it leaves out, and nests no index."""
    store = wherry.store
    with store.writing():
        first = put_image(store, "amd64", Platform("linux", "amd64"))
        inner = put_index(store, "more", (Platform("linux", "arm", "v6"), Platform("windows", "amd64")))
        store.tag("base:1", write_document(store, media.OCI_INDEX, Index.of((first, inner)).encoded()))

    wherry("build", "--platform", "all", "--base", "base:1", "-t", "a:1", "--no-vcs")

    built = images_of(wherry.store, wherry.store.resolve("a:1"))
    assert [str(image.platform) for image in built] == ["linux/amd64", "linux/arm/v6"]
    assert "linux/arm64" in wherry.err
    assert "windows/amd64 (wherry builds for linux)" in wherry.err
