"""What a build says of cgo: files that are left out, stubs that would fail when called, compilers that are missing."""

import os
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from wherry.source.cgo import holds

pytestmark = pytest.mark.slow

NEEDS_C = 'package main\n\n/*\nint two(void) { return 2; }\n*/\nimport "C"\n\nfunc two() int { return int(C.two()) }\n'
MAIN = "package main\n\nfunc main() { println(two()) }\n"
STUB = """\
//go:build !cgo

package db

import "errors"

// Open fails.
func Open() error { return errors.New("built with CGO_ENABLED=0, db requires cgo to work. This is a stub") }
"""
DRIVER = """\
//go:build cgo

package db

// int one(void) { return 1; }
import "C"

func Open() error { _ = C.one(); return nil }
"""


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A module without a file yet."""
    need("go")
    shell = Shell(tmp_path / "home")
    shell.environment.pop("CGO_ENABLED", None)
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    return shell


def test_names_the_file_that_is_left_out(wherry):
    """What Go calls undefined is in a file that it ignores without a word."""
    wherry.write("main.go", MAIN)
    wherry.write("two.go", NEEDS_C)

    wherry("build", code=65)

    assert "undefined: two" in wherry.err
    assert 'cgo is off, and files that import "C" are left out: two.go' in wherry.err
    assert "CGO_ENABLED=1" in wherry.err


def test_a_module_of_nothing_else(wherry):
    """Where every file imports "C", Go speaks of build constraints; the reason is named."""
    wherry.write("main.go", NEEDS_C + "\nfunc main() { println(two()) }\n")

    wherry("build", code=65)

    assert "left out: main.go" in wherry.err


def test_warns_of_a_file_that_is_missing_silently(wherry):
    """The program compiles without it, and does less."""
    wherry.write("main.go", "package main\n\nvar run = func() {}\n\nfunc main() { run() }\n")
    wherry.write("fast.go", NEEDS_C.replace("func two", "func init() { run = func() { println(two()) } }\n\nfunc two"))

    wherry("build", "--no-vcs")

    assert "warning: cgo is off" in wherry.err
    assert "fast.go" in wherry.err


def test_says_nothing_where_a_file_is_meant_for_it(wherry):
    """A package with another way for builds without cgo is complete; files of other systems are not missing."""
    wherry.write("main.go", MAIN)
    wherry.write("two_cgo.go", "//go:build cgo\n\n" + NEEDS_C)
    wherry.write("two_pure.go", "//go:build !cgo\n\npackage main\n\nfunc two() int { return 2 }\n")
    wherry.write("other_windows.go", NEEDS_C.replace("two", "three"))

    wherry("build", "--no-vcs")

    assert "cgo" not in wherry.err


def test_warns_of_a_stub(wherry):
    """As sqlite's driver is one: it compiles, and its first call fails; its own words say so."""
    wherry.write("go.mod", "module example.com/app\n\ngo 1.21\n\nrequire example.com/db v1.0.0\n\n"
                           "replace example.com/db => ./db\n")  # fmt: skip
    wherry.write("db/go.mod", "module example.com/db\n\ngo 1.21\n")
    wherry.write("db/driver.go", DRIVER)
    wherry.write("db/static_mock.go", STUB)
    wherry.write("main.go", 'package main\n\nimport "example.com/db"\n\nfunc main() { println(db.Open() == nil) }\n')

    wherry("build", "--no-vcs")

    assert "warning: example.com/db is a stub without cgo" in wherry.err
    assert "requires cgo to work" in wherry.err


@pytest.mark.parametrize(
    ("compiler", "why"), [("no-such-gcc", "no-such-gcc is not installed"), ("", "which compiles for x86_64-linux-gnu")]
)
def test_a_compiler_that_is_missing(wherry, compiler, why):
    """One sentence, not the assembler's lines."""
    if not compiler and os.uname().machine != "x86_64":
        pytest.skip("needs a compiler for amd64")
    need("gcc")
    wherry.write("main.go", MAIN)
    wherry.write("two.go", NEEDS_C)
    wherry.environment["CGO_ENABLED"] = "1"
    if compiler:
        wherry.environment["CC"] = compiler

    wherry("build", "--platform", "linux/arm64", "--no-vcs", code=65)

    (line,) = [line for line in wherry.err.splitlines() if line.startswith("error:")]
    assert "there is no C compiler for linux/arm64" in line
    assert why in line
    assert "gcc-aarch64-linux-gnu" in wherry.err


@pytest.mark.parametrize(
    ("constraint", "value"),
    [
        ("cgo", True),
        ("!cgo", False),
        ("linux && (amd64 || arm64)", True),
        ("(windows || darwin) && cgo", False),
        ("!windows && cgo && go1.18", True),
        ("custom || !linux", False),
        ("", True),
    ],
)
def test_constraints(constraint, value):
    """As `go help buildconstraint` has them."""
    assert holds(constraint, {"linux", "amd64", "cgo", "unix", "gc"}) is value
