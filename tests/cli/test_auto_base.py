"""`wherry build --base auto`: the smallest base that has what is linked, with the reason."""

import json

import pytest

from cli_shell import Shell
from needs import need

pytestmark = pytest.mark.slow

HELLO = 'package main\n\nfunc main() { println("hi") }\n'
CERTIFICATES = 'package main\n\nimport "crypto/x509"\n\nfunc main() { println(x509.SystemCertPool()) }\n'
ZONES = 'package main\n\nimport "time"\n\nfunc main() { println(time.LoadLocation("Europe/Berlin")) }\n'
CGO = 'package main\n\n// #include <stdlib.h>\nimport "C"\n\nfunc main() { println(C.abs(-1)) }\n'


@pytest.fixture
def wherry(tmp_path) -> Shell:
    """A shell in an empty module."""
    shell = Shell(tmp_path / "shell")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    return shell


@pytest.mark.parametrize(
    ("source", "base", "why"),
    [
        (HELLO, "scratch", "nothing that is linked asks for a file that it lacks"),
        (CERTIFICATES, "static-notz", "the next smaller one, scratch, lacks certificates"),
        (ZONES, "static", "the next smaller one, static-notz, lacks zones"),
    ],
)
def test_chooses_by_what_is_linked(wherry, source, base, why):
    """The image is the one that this base would have given by its name."""
    wherry.write("main.go", source)

    wherry("build", ".", "-t", "app:auto", "--base", "auto", "--json")

    (image,) = json.loads(wherry.out)["images"]
    assert f"base auto: {base}; {why}" in wherry.err
    assert image["base"] == base
    wherry("build", ".", "-t", "app:named", "--base", base, "--json")
    assert json.loads(wherry.out)["images"][0]["digest"] == image["digest"]


def test_of_wherry_toml_and_unchanged(wherry):
    """`base = "auto"` means the same; nothing is built again when nothing changed, and `lock` passes it over."""
    wherry.write("main.go", HELLO)
    wherry.write("wherry.toml", '[build]\nbase = "auto"\n')
    first = wherry("build")

    assert wherry("build") == first
    assert "nothing changed" in wherry.err
    wherry("lock")


def test_a_program_with_a_dynamic_linker(wherry):
    """None of them has one: nothing is stored, and what to do is said."""
    need("gcc")
    wherry.write("main.go", CGO)
    wherry.environment["CGO_ENABLED"] = "1"

    wherry("build", ".", "-t", "app:cgo", "--base", "auto", code=65)

    assert "--base auto chooses among scratch, static-notz, static" in wherry.err
    assert "deb:base" in wherry.err
    assert "app:cgo" not in wherry.store.tags()


def test_a_declared_base_that_is_not_used(wherry):
    """Its names are checked all the same, and a warning says that another base is taken."""
    wherry.write("main.go", HELLO)
    wherry.write("wherry.toml", '[build]\nbase = "scratch"\n[base]\npackages = ["no such"]\n')
    wherry("build", "--platform", "linux/amd64", "-t", "app:dev", code=64)
    wrong = wherry.err
    wherry.write("wherry.toml", '[build]\nbase = "scratch"\n[base]\npackages = ["libsqlite3-0"]\n')
    wherry("build", "--platform", "linux/amd64", "-t", "app:dev")

    assert "'no such' is not a package name" in wrong
    assert '[base] of wherry.toml is not used: the file says base = "scratch" too' in wherry.err
