"""`wherry inspect` as a user calls it."""

import io
import json
from pathlib import Path

import pytest

from built_images import file, put_layers, put_platforms
from gobuild import HELLO, go_binary, go_version
from wherry.cli.main import run
from wherry.cli.world import World
from wherry.oci.config import History, RuntimeConfig
from wherry.platform import Platform
from wherry.store.disk import DiskStore

AMD64, S390X = Platform("linux", "amd64"), Platform("linux", "s390x")
RECIPE = {
    "version": 1,
    "wherry": "0.1.0",
    "go": {"version": "go1.26.8", "flags": "-trimpath"},
    "base": {"name": "static"},
}
RUNTIME = RuntimeConfig(
    entrypoint=("/app/hello", "--name", "a b"),
    env=("PATH=/bin", "ODD=\x1b[31mred"),
    user="65532",
    working_dir="/home/nonroot",
    exposed_ports={"8080/tcp": {}},
    labels={"org.opencontainers.image.title": "hello", "dev.wherry.recipe": json.dumps(RECIPE)},
)


class Shell:
    """Calls wherry with a store of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = DiskStore(root / "store")
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Run a command line; keep what it said."""
        stdout, stderr = io.StringIO(), io.StringIO()
        world = World(stdout, stderr, {"WHERRY_STORE": str(self.root / "store"), "HOME": str(self.root)}, self.root)
        code = run([*arguments], world)
        self.out, self.err = stdout.getvalue(), stderr.getvalue()
        return code

    @property
    def said(self) -> dict[str, object]:
        """Read what was printed as JSON."""
        return json.loads(self.out)


@pytest.fixture
def wherry(tmp_path):
    """A shell whose store has `hello:dev` for two platforms and `one:dev` for one."""
    shell = Shell(tmp_path)
    images = {
        platform: put_layers(
            shell.store,
            [
                [file("etc/passwd", b"root:x:0:0\n")],
                [file("app/hello", go_binary(HELLO, "-trimpath", "-ldflags=-s").read_bytes(), 0o755)],
            ],
            RUNTIME,
            platform,
            (History(created_by="wherry base static"), History(created_by="RUN \x1b[2J" + "x" * 200)),
        )
        for platform in (S390X, AMD64)
    }
    shell.store.tag("hello:dev", put_platforms(shell.store, images))
    shell.store.tag("one:dev", images[AMD64])
    return shell


def test_tells_a_person(wherry):
    """What it is, its layers, and where its bytes went."""
    assert wherry("inspect", "one:dev") == 0

    out = wherry.out
    assert out.startswith(f"one:dev@{wherry.store.resolve('one:dev').digest}\nlinux/amd64  ")
    assert "entrypoint  /app/hello --name 'a b'\n" in out
    assert "user        65532\n" in out
    assert "ports       8080/tcp\n" in out
    assert "labels      org.opencontainers.image.title=hello\n" in out
    assert "recipe      go1.26.8  -trimpath\n              base static\n              wherry 0.1.0\n" in out
    assert f"/app/hello  {go_version()}, amd64, stripped, static\n" in out
    assert "    pclntab   Go's function table" in out
    assert "total       2 files\n" in out


def test_nothing_of_an_image_reaches_the_terminal_raw(wherry):
    """Control characters of somebody else's image are shown, not sent; what is too long is cut."""
    wherry("inspect", "one:dev")

    assert "\x1b" not in wherry.out
    assert "ODD=\\x1b[31mred" in wherry.out
    assert max(map(len, wherry.out.splitlines())) < 140


def test_shares_add_up(wherry):
    """The parts of the program are all of it, and files and folders all of the image."""
    wherry("inspect", "one:dev", "--json")

    (image,) = wherry.said["images"]
    (program,) = image["programs"]
    assert sum(program["parts"].values()) == program["size"]
    assert sum(one["size"] for one in (*image["biggest"], *image["folders"])) == image["visible"]
    assert image["pulled"] == sum(layer["pulled"] for layer in image["layers"])


def test_json_has_the_same_values(wherry):
    """Of all platforms, in the order of the index, under a version."""
    assert wherry("inspect", "hello:dev", "--json") == 0

    said = wherry.said
    assert said["version"] == 1
    assert said["digest"] == wherry.store.resolve("hello:dev").digest
    assert [image["platform"] for image in said["images"]] == ["linux/s390x", "linux/amd64"]
    assert said["images"][0]["entrypoint"] == ["/app/hello", "--name", "a b"]
    assert said["images"][0]["recipe"] == RECIPE
    assert said["images"][0]["programs"][0]["go"]["version"] == go_version()


def test_chooses_a_platform(wherry):
    """The one that is named; of what there is not, the error lists what there is."""
    assert wherry("inspect", "hello:dev", "--platform", "s390x") == 0
    assert "\nlinux/s390x  " in wherry.out
    assert "--platform" not in wherry.err

    assert wherry("inspect", "hello:dev", "--platform", "linux/riscv64") == 66
    assert "linux/s390x, linux/amd64" in wherry.err


def test_of_several_platforms_one_is_shown(wherry):
    """All are listed, one is told of, and how to see another."""
    wherry("inspect", "hello:dev")

    lines = wherry.out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["platform", "linux/s390x", "linux/amd64"]
    assert "--platform" in wherry.err


def test_raw_documents(wherry):
    """Byte for byte as they are stored."""
    root = wherry.store.resolve("one:dev")
    index = wherry.store.resolve("hello:dev")

    for arguments, blob in [(["one:dev"], root), (["hello:dev"], index), (["hello:dev", "--platform", "amd64"], root)]:
        assert wherry("inspect", *arguments, "--raw", "manifest") == 0
        assert wherry.out.encode() == b"".join(wherry.store.read(blob))

    assert wherry("inspect", "one:dev", "--raw", "config") == 0
    assert json.loads(wherry.out)["architecture"] == "amd64"


def test_one_config_of_several(wherry):
    """Which one has to be said."""
    assert wherry("inspect", "hello:dev", "--raw", "config") == 64
    assert "--platform" in wherry.err


def test_a_layout_folder(wherry):
    """Any layout is read as it is; where it holds several images one has to be named."""
    assert wherry("inspect", "./store:one:dev") == 0
    assert "linux/amd64" in wherry.out

    assert wherry("inspect", "./store") == 66
    assert "hello:dev" in wherry.err
    assert wherry("inspect", "./store:none") == 66


def test_an_image_that_is_not_there(wherry):
    """The error has the nearest name."""
    assert wherry("inspect", "helo:dev") == 66
    assert "hello:dev" in wherry.err
    assert wherry("inspect", "./helo.tar") == 66
    assert "./helo.tar: not found" in wherry.err


def test_an_image_of_others(wherry):
    """Without config, history or recipe there is less to tell, and no trouble."""
    wherry.store.tag("bare:dev", put_layers(wherry.store, [[file("a", b"1")]]))
    odd = RuntimeConfig(labels={"dev.wherry.recipe": "[" * 5000})
    wherry.store.tag("odd:dev", put_layers(wherry.store, [], odd))

    assert wherry("inspect", "bare:dev") == 0
    assert "recipe" not in wherry.out
    assert wherry("inspect", "odd:dev") == 0
    assert wherry("inspect", "odd:dev", "--json") == 0
