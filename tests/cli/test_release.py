"""`--release`: zstd 19 where everybody concerned reads it, else gzip 9 and why."""

import io
import json
import os

import pytest

from hostile_registry import hostile
from needs import need
from small_images import put_image
from wherry.cli.main import run
from wherry.cli.world import World
from wherry.oci import media
from wherry.oci.manifest import Manifest
from wherry.store.contract import read_whole, write_document
from wherry.store.disk import DiskStore
from wherry.store.images import images_of

pytestmark = pytest.mark.slow


class Shell:
    """Calls wherry in the folder of a program."""

    def __init__(self, root) -> None:
        need("go")
        self.folder = root / "app"
        self.folder.mkdir()
        (self.folder / "go.mod").write_text("module example.com/app\n\ngo 1.21\n")
        (self.folder / "main.go").write_text('package main\n\nfunc main() { println("hi") }\n')
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("GO", "CGO", "WHERRY"))}
        self.environment = {
            **kept,
            "GOENV": "off",
            "GOWORK": "off",
            "GOTOOLCHAIN": "local",
            "DOCKER_CONFIG": str(root / "docker"),
            "WHERRY_STORE": str(root / "store"),
            "WHERRY_CACHE": str(root / "cache"),
            "WHERRY_DEBUG": "1",
        }
        self.store = DiskStore(root / "store")
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Run a command line; keep what it printed."""
        stdout, stderr = io.StringIO(), io.StringIO()
        code = run(list(arguments), World(stdout, stderr, self.environment, self.folder))
        self.out, self.err = stdout.getvalue(), stderr.getvalue()
        return code

    def program(self, name: str):
        """The layer with the program, and the encoder its recipe names."""
        (image,) = images_of(self.store, self.store.resolve(name))
        recipe = json.loads(image.config.runtime.labels["dev.wherry.recipe"])
        return image.manifest.stack[-1], recipe["layers"]["encoder"]


@pytest.fixture
def wherry(tmp_path):
    """A shell in a module with one program."""
    return Shell(tmp_path)


def test_a_release_is_zstd_19(wherry):
    """Fewer bytes than the default and than gzip 9; it is said who can't read it."""
    sizes = {}
    for name, flags in {"small": ["--release"], "plain": [], "nine": ["--compression-level", "9"]}.items():
        assert wherry("build", "-t", f"{name}:x", *flags) == 0
        if name == "small":
            assert "Docker before 23" in wherry.err
        layer, encoder = wherry.program(f"{name}:x")
        sizes[name] = layer.size
        assert ("zstd" in encoder) == (layer.media_type == media.OCI_LAYER_ZSTD) == (name == "small")
    assert "level 19" in wherry.program("small:x")[1]
    assert sizes["small"] < sizes["nine"] < sizes["plain"]


def test_a_base_of_docker_s_schema_allows_it(wherry):
    """Its layers stay the blobs they are, under OCI's names, below a layer of zstd: a manifest may mix them."""
    base = Manifest.parse(read_whole(wherry.store, put_image(wherry.store)), "base")
    renamed = base.encoded().replace(media.OCI_LAYER_GZIP.encode(), media.DOCKER_LAYER_GZIP.encode())
    renamed = renamed.replace(media.OCI_MANIFEST.encode(), media.DOCKER_MANIFEST.encode())
    renamed = renamed.replace(media.OCI_CONFIG.encode(), media.DOCKER_CONFIG.encode())
    wherry.store.tag("base:x", write_document(wherry.store, media.DOCKER_MANIFEST, renamed))
    assert wherry("build", "-t", "app:x", "--base", "base:x", "--platform", "linux/amd64", "--release") == 0

    (image,) = images_of(wherry.store, wherry.store.resolve("app:x"))
    assert [layer.media_type for layer in image.manifest.stack] == [media.OCI_LAYER_GZIP, media.OCI_LAYER_ZSTD]
    assert image.manifest.stack[0].digest == base.stack[0].digest


def test_an_archive_for_docker_is_gzip_9(wherry):
    """`docker load` of an older Docker has to read it."""
    assert wherry("build", "-t", "app:x", "--release", "-o", "type=docker,dest=app.tar") == 0
    assert "release: gzip 9, because Docker before 23" in wherry.err
    assert "level 9" in wherry.program("app:x")[1]


def test_a_registry_that_takes_no_zstd(wherry):
    """Its words are told, gzip 9 is pushed, and the store's name leads to what the registry has."""
    with hostile() as registry:
        registry.refused_layers = "+zstd"
        name = f"{registry.host}/app:x"
        assert wherry("build", "-t", name, "--release", "--push") == 0
        assert "MANIFEST_INVALID" in wherry.err
        assert "gzip 9 instead of zstd" in wherry.err
        layer, encoder = wherry.program(name)
        assert (layer.media_type, "level 9" in encoder) == (media.OCI_LAYER_GZIP, True)
        assert registry.manifests["x"][1] == read_whole(wherry.store, wherry.store.resolve(name))
        assert wherry.out == f"{name}@{wherry.store.resolve(name).digest}\n"

        assert wherry("build", "-t", name, "--compression", "zstd", "--push") == 69
        assert "MANIFEST_INVALID" in wherry.err


def test_a_registry_that_takes_it(wherry):
    """Nothing is encoded twice."""
    with hostile() as registry:
        name = f"{registry.host}/app:x"
        assert wherry("build", "-t", name, "--release", "--push") == 0
        assert wherry.program(name)[0].media_type == media.OCI_LAYER_ZSTD


@pytest.mark.parametrize(
    "flags",
    [
        ["--compression", "zstd"],
        ["--compression-level", "9"],
        ["-o", "type=oci,dest=a.tar,compression=gzip"],
    ],
)
def test_a_release_chooses_alone(wherry, flags):
    """Two that choose the encoding are refused."""
    assert wherry("build", "--release", *flags) == 64
    assert "--release" in wherry.err


def test_the_command_line_stands_above_the_file(wherry):
    """`release = true` in wherry.toml gives way to a compression that is asked for, and to --no-release."""
    (wherry.folder / "wherry.toml").write_text("[build]\nrelease = true\n")
    for flags, encoder in {
        (): "zstd",
        ("--no-release",): "level 5",
        ("--compression", "gzip"): "level 5",
        ("--compression-level", "6"): "level 6",
    }.items():
        assert wherry("build", "-t", "app:x", *flags) == 0
        assert encoder in wherry.program("app:x")[1]
    (wherry.folder / "wherry.toml").write_text('[build]\ncompression = "gzip"\n')
    assert wherry("build", "-t", "app:x", "--release") == 0
    assert "zstd" in wherry.program("app:x")[1]


def test_a_file_that_says_both(wherry):
    """The line is named."""
    (wherry.folder / "wherry.toml").write_text('[build]\ncompression = "gzip"\nrelease = true\n')
    assert wherry("build") == 78
    assert "line 3" in wherry.err
