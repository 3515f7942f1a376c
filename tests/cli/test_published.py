"""`wherry build PACKAGE@VERSION` as a user calls it, with a module proxy in a folder."""

import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from module_proxy import MAIN, ORIGIN, ModuleProxy
from needs import need
from wherry.cli.main import run
from wherry.cli.world import World
from wherry.store.disk import DiskStore
from wherry.store.images import images_of

pytestmark = pytest.mark.slow

TOOL = "example.com/tool/cmd/tool"
LIBRARY = "package lib\n\nconst Answer = {}\n"
USER = 'package main\n\nimport "example.com/lib"\n\nfunc main() {{ println("hi", lib.Answer) }}\n'


class Machine:
    """A user's machine: a proxy to ask, a module cache, a store and a cache; the folder is no module."""

    def __init__(self, root: Path) -> None:
        need("go")
        self.root = root
        self.proxy = ModuleProxy(root / "proxy")
        self.folder = root / "here"
        self.folder.mkdir()
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("GO", "CGO", "WHERRY"))}
        self.environment = {
            **kept,
            **self.proxy.environment(root / "modules"),
            "WHERRY_STORE": str(root / "store"),
            "WHERRY_CACHE": str(root / "cache"),
            "WHERRY_DEBUG": "1",
        }
        self.out = self.err = ""

    def __call__(self, *arguments: str, **environment: str) -> int:
        """Run a command line; keep what it printed."""
        stdout, stderr = io.StringIO(), io.StringIO()
        code = run(list(arguments), World(stdout, stderr, {**self.environment, **environment}, self.folder))
        self.out, self.err = stdout.getvalue(), stderr.getvalue()
        return code

    @property
    def store(self) -> DiskStore:
        """The local store."""
        return DiskStore(self.root / "store")

    def image(self, name: str):
        """The image behind a name, of one platform."""
        (image,) = images_of(self.store, self.store.resolve(name))
        return image


@pytest.fixture
def machine(tmp_path):
    """A machine whose proxy has a library in two versions, and a program that needs the older one."""
    machine = Machine(tmp_path)
    for number in (1, 2):
        files = {"go.mod": "module example.com/lib\n\ngo 1.21\n", "lib.go": LIBRARY.format(number)}
        machine.proxy.publish("example.com/lib", f"v1.{number}.0", files)
    for version in ("v1.0.0", "v1.2.0", "v1.2.1-rc.1"):
        files = {
            "go.mod": "module example.com/tool\n\ngo 1.21\n\nrequire example.com/lib v1.1.0\n\nretract v1.0.5\n",
            "cmd/tool/main.go": USER.format(),
            "cmd/tool/asset.txt": version,
            "pkg/pkg.go": "package pkg\n",
        }
        machine.proxy.publish("example.com/tool", version, files, origin=ORIGIN)
    return machine


def test_it_is_built_by_its_own_go_mod(machine):
    """The author's versions are taken, the image is named after program and version, labels say where it is from."""
    assert machine("build", f"{TOOL}@v1.2.0") == 0

    assert machine.out.startswith("tool:v1.2.0@sha256:")
    image = machine.image("tool:v1.2.0")
    labels = image.config.runtime.labels
    assert labels["org.opencontainers.image.version"] == "v1.2.0"
    assert labels["org.opencontainers.image.revision"] == ORIGIN["Hash"]
    assert labels["org.opencontainers.image.source"] == "https://example.com/tool.git"
    assert image.config.created == "2026-01-02T03:04:05Z"
    recipe = json.loads(labels["dev.wherry.recipe"])
    assert recipe["module"]["version"] == "v1.2.0"


def installed(machine, version: str) -> bytes:
    """Let `go install` make the program."""
    subprocess.run(
        [need("go"), "install", "-trimpath", "-ldflags=-s", f"{TOOL}@{version}"],
        env={**machine.environment, "GOPATH": str(machine.root / "gopath"), "CGO_ENABLED": "0"},
        cwd=machine.folder,
        check=True,
        capture_output=True,
    )
    return (machine.root / "gopath" / "bin" / "tool").read_bytes()


def test_it_is_what_go_install_makes(machine):
    """The program is the same, byte for byte: module, version and checksum are in it."""
    assert machine("build", f"{TOOL}@v1.2.0", "-o", "type=local,dest=out") == 0

    program = machine.folder / "out" / "app" / "tool"
    assert program.read_bytes() == installed(machine, "v1.2.0")
    told = subprocess.run([need("go"), "version", "-m", program], capture_output=True, check=True, text=True).stdout
    assert "mod\texample.com/tool\tv1.2.0\th1:" in told
    assert "dep\texample.com/lib\tv1.1.0\th1:" in told


def test_again_it_is_unchanged_and_asks_nobody(machine):
    """The second build looks at files only; the third, of another name, neither: the proxy is gone."""
    assert machine("build", f"{TOOL}@v1.2.0") == 0
    first = machine.out
    machine.proxy.folder.rename(machine.root / "gone")
    for _ in range(2):
        assert machine("build", f"{TOOL}@v1.2.0") == 0
        assert machine.out == first
        assert "nothing changed" in machine.err
    assert machine("build", f"{TOOL}@v1.2.0", "-t", "other") == 0
    assert "nothing changed" in machine.err
    assert machine.out.rpartition("@")[2] == first.rpartition("@")[2]


@pytest.mark.parametrize(
    ("query", "version"), [("latest", "v1.2.0"), ("v1", "v1.2.0"), ("v1.0", "v1.0.0"), ("main", "v1.2.1-rc.1")]
)
def test_a_query_is_asked_each_time(machine, query, version):
    """`latest`, a prefix or a branch mean what the proxy says now; the image has the version's name."""
    machine.proxy.name("example.com/tool", "main", "v1.2.1-rc.1")
    assert machine("build", f"{TOOL}@{query}", "--json") == 0
    assert json.loads(machine.out)["images"][0]["names"] == [f"tool:{version}"]
    assert query in machine.err

    files = {"go.mod": "module example.com/tool\n\ngo 1.21\n", "cmd/tool/main.go": MAIN}
    machine.proxy.publish("example.com/tool", "v1.3.0", files)
    machine.proxy.name("example.com/tool", "main", "v1.3.0")
    assert machine("build", f"{TOOL}@{query}") == 0
    assert machine.out.startswith("tool:v1.0.0@" if query == "v1.0" else "tool:v1.3.0@")


def test_offline(machine):
    """What was built is built again; `latest` is what it was; what never was here is said to be missing."""
    assert machine("build", f"{TOOL}@latest") == 0
    built = machine.out
    assert machine("build", "--offline", f"{TOOL}@latest") == 0
    assert machine.out == built
    assert machine("build", "--offline", f"{TOOL}@v1.2.0") == 0
    assert machine.out == built

    assert machine("build", "--offline", f"{TOOL}@v1.0.0") == 69
    assert "not in Go's module cache" in machine.err
    assert machine("build", f"{TOOL}@v1.0.0", GOPROXY="off") == 69
    assert machine("build", f"{TOOL}@latest", GOPROXY="https://127.0.0.1:1") == 69
    assert "--offline" in machine.err
    assert "v1.2.0" in machine.err


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ("example.com/tool/cmd/tol@v1.2.0", 66, "example.com/tool/cmd/tool@v1.2.0"),
        ("example.com/tool/cmd/tool@v1.2.9", 66, "v1.2.0"),
        ("example.com/tool/pkg@v1.2.0", 66, "package pkg, not main"),
        ("example.com/lib@v1.1.0", 66, "programs, not libraries"),
        ("example.com/nowhere/tool@v1.0.0", 66, "no module contains it"),
        ("tool@v1.0.0", 66, "./PATH"),
        ("example.com/tool/...@v1.0.0", 64, "is not a package path"),
        ("example.com/tool@", 64, "invalid version"),
        ("example.com/tool@upgrade", 64, "invalid version"),
        ("ftp://example.com/tool", 64, "PACKAGE@VERSION"),
    ],
)
def test_what_is_not_there(machine, asked, code, words):
    """Each mistake has its words, and what is near by is named."""
    assert machine("build", asked) == code
    assert words in machine.err
    assert machine.out == ""


def test_the_longest_path_is_the_module(machine):
    """A module below another holds its packages, though the outer one has that folder too."""
    inner = {"go.mod": "module example.com/tool/cmd/tool\n\ngo 1.21\n", "main.go": MAIN, "deep/main.go": MAIN}
    machine.proxy.publish("example.com/tool/cmd/tool", "v1.2.0", inner)
    assert machine("build", f"{TOOL}@v1.2.0", "--quiet") == 0
    labels = machine.image("tool:v1.2.0").config.runtime.labels
    assert json.loads(labels["dev.wherry.recipe"])["module"]["path"] == "example.com/tool/cmd/tool"
    assert "org.opencontainers.image.revision" not in labels


def test_a_module_without_the_package_does_not_count(machine):
    """Of the modules whose path fits, the longest that has the package holds it."""
    machine.proxy.publish("example.com/tool/cmd", "v1.2.0", {"go.mod": "module example.com/tool/cmd\n", "x/x.go": MAIN})
    assert machine("build", f"{TOOL}@v1.2.0", "--quiet") == 0
    labels = machine.image("tool:v1.2.0").config.runtime.labels
    assert json.loads(labels["dev.wherry.recipe"])["module"]["path"] == "example.com/tool"


def test_what_the_author_warns_of(machine):
    """A version that was retracted is built, and each build says so; so does one of a deprecated module."""
    later = {"go.mod": "// Deprecated: use ours.\nmodule example.com/tool\n\ngo 1.21\n\nretract v1.2.0 // it leaks\n"}
    machine.proxy.publish("example.com/tool", "v1.2.5", later)
    for _ in range(3):
        assert machine("build", f"{TOOL}@v1.2.0") == 0
        assert "example.com/tool@v1.2.0 was retracted by its author: it leaks" in machine.err
        assert "example.com/tool is deprecated: use ours." in machine.err
    assert "nothing changed" in machine.err


def publish(machine, go_mod: str, *, main: str = MAIN, module: str = "example.com/odd", **more: str):
    """Publish a program with a go.mod of its own kind."""
    files = {"go.mod": f"module {module}\n{go_mod}", "main.go": main, **more}
    machine.proxy.publish(module, "v1.0.0", files)


def test_replaced_by_a_folder(machine):
    """The folder isn't published: it is refused, and what to do is said."""
    publish(machine, "require example.com/lib v1.1.0\n\nreplace example.com/lib => ../lib\n", main=USER.format())
    assert machine("build", "example.com/odd@v1.0.0") == 65
    assert "example.com/lib => ../lib" in machine.err
    assert "clone its repository" in machine.err


def test_replaced_by_a_version(machine):
    """What `go install` refuses is the author's word all the same: the other version is taken, and recorded."""
    replaced = "require example.com/lib v1.1.0\n\nreplace example.com/lib => example.com/lib v1.2.0\n"
    publish(machine, replaced, main=USER.format())
    assert machine("build", "example.com/odd@v1.0.0", "-o", "type=local,dest=out") == 0

    program = machine.folder / "out" / "app" / "odd"
    told = subprocess.run([need("go"), "version", "-m", program], capture_output=True, check=True, text=True).stdout
    assert "=>\texample.com/lib\tv1.2.0" in told


def test_a_go_mod_that_is_not_whole(machine):
    """A module that no go.mod names would be taken in whatever version is the latest: not by its own go.mod."""
    publish(machine, "\ngo 1.21\n", main=USER.format())
    for _ in range(2):
        assert machine("build", "example.com/odd@v1.0.0") == 65
        assert "go.mod does not list every module" in machine.err


def test_a_newer_go(machine):
    """It says which Go is asked for."""
    publish(machine, "\ngo 1.99.0\n")
    assert machine("build", "example.com/odd@v1.0.0") == 69
    assert "1.99.0" in machine.err


def test_another_module_than_was_published(machine):
    """Bytes that don't have the checksum go.sum names are refused."""
    wrong = "example.com/lib v1.1.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    publish(machine, "\ngo 1.21\n\nrequire example.com/lib v1.1.0\n", main=USER.format(), **{"go.sum": wrong})
    assert machine("build", "example.com/odd@v1.0.0") == 65
    assert "checksum mismatch" in machine.err


def test_settings_of_the_user_s_own_module_stay_out(machine):
    """A go.work, a go.mod and GOFLAGS=-mod=vendor around us are for other modules."""
    (machine.root / "go.mod").write_text("module example.com/mine\n\ngo 1.21\n")
    (machine.root / "go.work").write_text("go 1.21\n\nuse .\n")
    assert machine("build", f"{TOOL}@v1.2.0", GOFLAGS="-modcacherw -mod=vendor") == 0
    assert machine.out.startswith("tool:v1.2.0@")


def test_a_service_and_templates(machine):
    """wherry.toml may name one; templates know its version as they know a tag."""
    main = 'package main\n\nvar version string\n\nfunc main() { println("it is", version) }\n'
    publish(machine, "\ngo 1.21\n", main=main)
    (machine.folder / "wherry.toml").write_text(
        '[services.odd]\npackage = "example.com/odd@v1.0.0"\nldflags = "-X main.version=<{{.Version}}>"\n'
        'platforms = ["linux/amd64", "linux/arm64"]\n'
    )
    assert machine("build", "-o", "type=local,dest=out") == 0

    assert b"<1.0.0>" in (machine.folder / "out" / "linux_amd64" / "app" / "odd").read_bytes()
    (machine.folder / "wherry.toml").write_text(
        '[services.odd]\npackage = "example.com/odd@v1.0.0"\nldflags = "-X main.version={{.FullCommit}}"\n'
    )
    assert machine("build") == 64
    assert "the module proxy does not report" in machine.err


def test_gc_takes_what_is_not_used(machine):
    """After a month without a build it goes; a build makes it again, and nothing changed."""
    publish(machine, "\ngo 1.21\n")
    assert machine("build", "example.com/odd@v1.0.0") == 0
    (kept,) = (machine.root / "cache" / "published").iterdir()
    assert machine("gc") == 0
    assert kept.exists()

    os.utime(kept, (0, 0))
    assert machine("gc") == 0
    assert not kept.exists()
    assert machine("build", "example.com/odd@v1.0.0") == 0
    assert "nothing changed" in machine.err
    assert [folder.name for folder in (machine.root / "cache" / "published").iterdir()] == [kept.name]


def test_a_folder_with_an_at_is_a_folder(machine):
    """What is there counts; ./ forces it."""
    folder = machine.folder / "odd@v1"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.com/folder\n\ngo 1.21\n")
    (folder / "main.go").write_text(MAIN)
    assert machine("build", "odd@v1") == 0
    assert machine.out.startswith("folder:latest@") or machine.out.startswith("folder@")
    assert machine("build", "./nothing@v1") == 66
    assert "no such directory" in machine.err
