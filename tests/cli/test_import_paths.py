"""Programs named by import path: of the module, of modules it requires, of a workspace."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from cli_shell import Shell
from needs import need
from registries import distribution
from wherry.store.images import read_image

pytestmark = pytest.mark.slow

TOOL = 'package main\n\nimport "example.com/lib"\n\nfunc main() { println(lib.Word) }\n'


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A module that requires another, which has a program; `replace` has the other in a folder."""
    need("go")
    shell = Shell(tmp_path / "home")
    shell.write("lib/go.mod", "module example.com/lib\n\ngo 1.21\n")
    shell.write("lib/lib.go", 'package lib\n\nconst Word = "lib"\n')
    shell.write("lib/cmd/t/main.go", TOOL)
    shell.write("lib/cmd/t/kodata/page.html", "hello")
    replaced = "require example.com/lib v1.2.3\n\nreplace example.com/lib => ./lib\n"
    shell.write("go.mod", f"module example.com/app\n\ngo 1.21\n\n{replaced}")
    shell.write("tools.go", '//go:build tools\n\npackage app\n\nimport _ "example.com/lib/cmd/t"\n')
    shell.write("cmd/api/main.go", 'package main\n\nfunc main() { println("api") }\n')
    return shell


def config(wherry: Shell, name: str):
    """Read the config of an image in the store."""
    return read_image(wherry.store, wherry.store.resolve(name)).config.runtime


def test_a_program_of_a_required_module(wherry):
    """It is built with the versions of the module here, brings its kodata, and names its module in the recipe."""
    wherry("build", "example.com/lib/cmd/t", "-t", "t:1", "--json")

    built = config(wherry, "t:1")
    recipe = json.loads((built.labels or {})["dev.wherry.recipe"])
    assert built.entrypoint == ("/app/t",)
    assert recipe["module"]["path"] == "example.com/lib"
    assert recipe["module"]["package"] == "example.com/lib/cmd/t"
    assert recipe["module"]["version"] == "v1.2.3"
    assert "KO_DATA_PATH=/var/run/ko" in (built.env or ())
    assert (built.labels or {})["org.opencontainers.image.version"] == "v1.2.3"


def test_a_change_of_it_is_seen(wherry):
    """What is not of the module at hand is an input all the same."""
    wherry("build", "example.com/lib/cmd/t", "-t", "t:1", "--no-vcs")
    first = wherry.out
    wherry("build", "example.com/lib/cmd/t", "-t", "t:1", "--no-vcs")
    assert wherry.out == first
    wherry.write("lib/lib.go", 'package lib\n\nconst Word = "another"\n')

    wherry("build", "example.com/lib/cmd/t", "-t", "t:1", "--no-vcs")

    assert wherry.out != first


def test_vendored(wherry):
    """Where the module has a vendor folder, that is what is built."""
    environment = {**wherry.environment, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOWORK": "off"}
    subprocess.run([need("go"), "mod", "vendor"], cwd=wherry.root, env=environment, check=True, capture_output=True)
    wherry.write("vendor/example.com/lib/lib.go", 'package lib\n\nconst Word = "vendored"\n')

    wherry("build", "example.com/lib/cmd/t", "-t", "t:1")
    recipe = json.loads((config(wherry, "t:1").labels or {})["dev.wherry.recipe"])

    assert recipe["module"]["source"] == "vendor"


def test_a_workspace(wherry):
    """A module that go.work uses needs no `require`."""
    wherry.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    wherry.write("go.work", "go 1.21\n\nuse (\n\t.\n\t./lib\n)\n")

    wherry("build", "example.com/lib/cmd/t", "-t", "t:1")

    assert config(wherry, "t:1").entrypoint == ("/app/t",)


def test_a_workspace_without_arguments(wherry):
    """The programs of all its modules are listed."""
    (wherry.root / "go.mod").rename(wherry.root / "cmd/go.mod")
    (wherry.root / "cmd/go.mod").write_text("module example.com/app/cmd\n\ngo 1.21\n")
    wherry.write("go.work", "go 1.21\n\nuse ./cmd\nuse ./lib\n")

    wherry("build", code=66)

    assert "./cmd/api, ./lib/cmd/t" in wherry.err


@pytest.mark.parametrize("path", ["example.com/app/cmd/api", "ko://example.com/app/cmd/api"])
def test_of_the_module_itself(wherry, path):
    """A plain path or ko's; neither needs a folder's spelling."""
    wherry("build", path, "-t", "api:1")

    assert config(wherry, "api:1").entrypoint == ("/app/api",)


def test_a_service_by_import_path(wherry):
    """A `package` of wherry.toml may be one, and the service's options count for it."""
    wherry.write("wherry.toml", '[services.t]\npackage = "example.com/lib/cmd/t"\ntags = ["own:1"]\n')

    wherry("build", "t")
    wherry("build", "example.com/lib/cmd/t")

    assert wherry.out.startswith("own:1@")
    wherry.write("wherry.toml", '[services.t]\npackage = "example.com/lib/cmd/t"\nbudgets = { unpacked = "100MB" }\n')
    wherry("build", "t")
    wherry("check", "t")


def test_resolved(wherry, tmp_path):
    """A manifest names programs of required modules as ko has them."""
    with distribution(tmp_path / "registry") as registry:
        wherry("resolve", "-f", "-", "--repo", f"{registry.host}/x", "-B", stdin="a: ko://example.com/lib/cmd/t\n")

        assert yaml.safe_load(wherry.out)["a"].startswith(f"{registry.host}/x/t@sha256:")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("example.com/other/cmd/x", "example.com/other/cmd/x@latest"),
        ("example.com/lib", "package lib, not main"),
        ("cmd/none", "cmd/none: no such directory"),
        ("cmd/link", "cmd/link: no such directory"),
        ("cmd/api/main.go", "wherry build cmd/api"),
        ("./cmd/api/main.go", "wherry build ./cmd/api"),
        ("https://example.com/x/cmd", "PACKAGE@VERSION"),
    ],
)
def test_no_program(wherry, path, words):
    """What it is not is said, and what to write."""
    code = 64 if path.endswith(".go") or "://" in path else 66
    wherry("build", "--go", path, code=code)

    assert words in wherry.err
    assert wherry.out == ""


def test_size_of_a_program_of_a_required_module(wherry):
    """A later command links it again by the way it was built."""
    wherry("build", "example.com/lib/cmd/t", "-t", "t:1", "--size-record")

    wherry("size", "t:1", "--json")

    assert json.loads(wherry.out)["binaries"]
