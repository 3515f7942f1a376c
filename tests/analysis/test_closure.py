"""Whether a program can start in a root, and whether it reads its own build info."""

import os
import posixpath
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gobuild import HELLO, PRINT, USER, go_binary
from made_elf import Shape, made_elf
from needs import need
from wherry.analysis.closure import Needs, needs_of, reads_build_info, start_findings
from wherry.analysis.deps.facts import ElfFacts, Facts
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument, NotFound
from wherry.finding import Severity
from wherry.platform import Platform

AMD64 = Platform("linux", "amd64")
LOADER = "/lib64/ld-linux-x86-64.so.2"
READS = """package main

import "runtime/debug"

func main() { info, ok := debug.ReadBuildInfo(); println(info.GoVersion, ok) }
"""
COLLECTS = """package main

import "runtime/debug"

type collector struct{ read func() (*debug.BuildInfo, bool) }

func newCollector() *collector { return &collector{debug.ReadBuildInfo} }

func main() { info, _ := newCollector().read(); println(info.Path) }
"""
READS_ITS_FILE = """package main

import (
	"debug/buildinfo"
	"os"
)

func main() { info, _ := buildinfo.ReadFile(os.Args[0]); println(info.GoVersion) }
"""
LINKS_BY_NAME = """package main

import (
	_ "runtime/debug"
	_ "unsafe"
)

//go:linkname modinfo runtime/debug.modinfo
func modinfo() string

func main() { println(modinfo()) }
"""
SETS = """package main

import "runtime/debug"

func main() { println(debug.SetGCPercent(50)) }
"""
NEVER_CALLS = (
    SETS
    + """
func never() { info, _ := debug.ReadBuildInfo(); println(info) }
"""
)
PLUGIN = """package main

import "plugin"

func main() { _, err := plugin.Open("x"); println(err != nil) }
"""


@dataclass(frozen=True)
class Root:
    """A root with libraries at some paths, each of one architecture, and texts at others."""

    libraries: frozenset[str] = frozenset()
    texts: Mapping[str, bytes] = field(default_factory=dict)
    machine: int = 62

    def find(self, path: str) -> str | None:
        """Give a path without dots, if something is there."""
        path = posixpath.normpath(path)
        return path if path in self.libraries or path in self.texts else None

    def facts(self, path: str) -> Facts | None:
        """Read a library: it needs nothing."""
        if path not in self.libraries:
            return None
        return ElfFacts.of(Elf.parse(made_elf(entry=0, shape=Shape(machine=self.machine)), path))

    def text(self, path: str) -> bytes | None:
        """Read a text."""
        return self.texts.get(path)

    def environment(self) -> Mapping[str, str]:
        """Give no variables."""
        return {}


def root(*paths: str, **more: object) -> Root:
    """Make a root with libraries at these paths."""
    return Root(frozenset(paths), **more)


@pytest.fixture
def made(tmp_path):
    """Write a file made by hand."""

    def write(*entries: tuple[int, int], **options: object) -> Path:
        path = tmp_path / "made"
        path.write_bytes(made_elf(*entries, **options))
        return path

    return write


def test_a_static_program_starts_anywhere():
    """Without interpreter and libraries an empty root is enough."""
    binary = go_binary(HELLO, "-trimpath", "-ldflags=-s")

    assert needs_of(binary).static
    assert start_findings(binary, root=root(), platform=AMD64) == ()


@pytest.mark.slow
def test_a_cgo_program_names_what_it_asks_for():
    """The finding has the interpreter, the libraries and the package that brought cgo in."""
    binary = go_binary(USER, "-ldflags=-s", cgo=True)

    (finding,) = start_findings(binary, root=root(), platform=AMD64, place="/app/api")

    assert (finding.rule, finding.severity, finding.place) == ("missing-interpreter", Severity.ERROR, "/app/api")
    assert LOADER in finding.message
    assert "libc.so.6" in finding.message
    assert "os/user" in finding.evidence[0]
    assert f"no {LOADER}" in finding.evidence[1]
    assert "CGO_ENABLED=0" in finding.remedy


@pytest.mark.slow
def test_a_cgo_program_starts_where_all_is_there():
    """Interpreter and library in one of the folders that ld.so searches."""
    binary = go_binary(USER, "-ldflags=-s", cgo=True)

    assert start_findings(binary, root=root(LOADER, "/lib/x86_64-linux-gnu/libc.so.6"), platform=AMD64) == ()
    assert start_findings(binary, root=root(LOADER, "/usr/lib64/libc.so.6"), platform=AMD64) == ()


def test_the_pie_trap():
    """A PIE without cgo needs no library, but an interpreter all the same; the remedy names the flag."""
    binary = go_binary(HELLO, "-buildmode=pie")

    (finding,) = start_findings(binary, root=root("/etc/passwd"), platform=AMD64)

    assert finding.rule == "pie-on-static-base"
    assert "-buildmode=pie" in finding.remedy
    assert start_findings(binary, root=root(LOADER), platform=AMD64) == ()


def test_another_architecture():
    """A program for another machine is named with both."""
    (finding,) = start_findings(
        go_binary(HELLO, "-trimpath", "-ldflags=-s"), root=root(), platform=Platform("linux", "arm64")
    )

    assert finding.rule == "wrong-architecture"
    assert "amd64" in finding.message
    assert "arm64" in finding.message


@pytest.mark.parametrize("variant", ["v5", "v6", "v7"])
def test_a_variant_is_no_other_architecture(made, variant):
    """The level of an arm is not written into the header."""
    binary = made(shape=Shape(wide=False, machine=40))

    assert start_findings(binary, root=root(), platform=Platform("linux", "arm", variant)) == ()


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "empty"), (b"#!/bin/sh\n", "not an ELF file"), (b"\x7fELF\x02\x01", "e_ident")]
)
def test_what_is_no_executable(tmp_path, content, said):
    """A script, a file of nothing and one that was cut short are findings, not errors."""
    (tmp_path / "run").write_bytes(content)

    (finding,) = start_findings(tmp_path / "run", root=root())

    assert finding.rule == "not-an-executable"
    assert said in finding.evidence[0]


def test_a_library_is_no_executable(made):
    """A file without an entry point can't start."""
    (finding,) = start_findings(made(entry=0), root=root())

    assert finding.rule == "not-an-executable"
    assert "shared library" in finding.message


def test_a_file_that_is_not_there(tmp_path):
    """That is an error of the caller."""
    with pytest.raises(NotFound):
        start_findings(tmp_path / "none", root=root())


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (["/srv/api/lib/liba.so", "/opt/libb.so"], ()),
        (["/lib/liba.so", "/usr/lib/x86_64-linux-gnu/libb.so"], ()),
        (["/lib/aarch64-linux-gnu/liba.so", "/opt/libb.so"], ("liba.so",)),
        ([], ("liba.so", "libb.so")),
    ],
)
def test_where_libraries_are_looked_for(made, there, missing):
    """RUNPATH with $ORIGIN first, then the default folders of the machine, multi-arch among them."""
    binary = made((1, 1), (1, 9), (29, 17), texts=b"\0liba.so\0libb.so\0$ORIGIN/../lib:/opt/\0", interpreter=LOADER)

    findings = start_findings(binary, root=root(LOADER, *there), place="/srv/api/bin/api")

    assert [finding.rule for finding in findings] == (["missing-library"] if missing else [])
    assert [text for finding in findings for text in finding.evidence] == [
        f"/srv/api/bin/api needs {library}, which the root does not have" for library in missing
    ]


def test_default_folders_may_be_switched_off(made):
    """DF_1_NODEFLIB leaves the file's own folders only."""
    binary = made((1, 1), (29, 9), (0x6FFFFFFB, 0x800), texts=b"\0liba.so\0/opt\0", interpreter=LOADER)

    assert start_findings(binary, root=root(LOADER, "/lib/liba.so"))
    assert not start_findings(binary, root=root(LOADER, "/opt/liba.so"))


def test_a_broken_cache_of_the_loader_makes_it_a_warning(made):
    """The library may be where only /etc/ld.so.cache says."""
    binary = made((1, 1), texts=b"\0liba.so\0", interpreter=LOADER)

    (sure,) = start_findings(binary, root=root(LOADER))
    (unsure,) = start_findings(binary, root=root(LOADER, texts={"/etc/ld.so.cache": b"no cache"}))

    assert (sure.severity, unsure.severity) == (Severity.ERROR, Severity.WARNING)


def test_a_library_of_another_machine_is_none(made):
    """It is named with what it is built for."""
    binary = made((1, 1), texts=b"\0liba.so\0", interpreter=LOADER)

    (finding,) = start_findings(binary, root=root(LOADER, "/lib/liba.so", machine=183))

    assert finding.evidence == ("/made needs liba.so, which the root does not have; /lib/liba.so is built for arm64",)


def test_musl_is_its_own_library(made):
    """Musl's dynamic linker is libc, libm and the like itself."""
    musl = "/lib/ld-musl-x86_64.so.1"
    texts = b"\0libc.so\0libc.musl-x86_64.so.1\0libz.so\0"
    binary = made((1, 1), (1, 9), (1, 31), texts=texts, interpreter=musl)

    (finding,) = start_findings(binary, root=root(musl))
    assert finding.evidence == ("/made needs libz.so, which the root does not have",)
    (finding,) = start_findings(binary, root=root())
    assert "musl" in finding.remedy


def test_the_interpreter_may_be_a_library_too(made):
    """Programs linked against ld.so itself find it where it is."""
    binary = made((1, 1), texts=b"\0ld-linux-x86-64.so.2\0", interpreter=LOADER)

    assert start_findings(binary, root=root(LOADER)) == ()
    assert start_findings(binary, root=root())[0].evidence == (f"the root file system has no {LOADER}",)


def test_a_path_as_a_library(made):
    """A name with a slash is looked for nowhere else."""
    binary = made((1, 1), texts=b"\0/opt/liba.so\0", interpreter=LOADER)

    assert start_findings(binary, root=root(LOADER, "/opt/liba.so")) == ()
    (finding,) = start_findings(binary, root=root(LOADER, "/lib/liba.so"))
    assert "/opt/liba.so" in finding.remedy


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["static", "pie", "cgo"])
def test_the_kernel_agrees(kind, tmp_path):
    """What we say cannot start in an empty root does not, and what we say can does."""
    binary = {
        "static": lambda: go_binary(HELLO, "-trimpath", "-ldflags=-s"),
        "pie": lambda: go_binary(HELLO, "-buildmode=pie"),
        "cgo": lambda: go_binary(USER, "-ldflags=-s", cgo=True),
    }[kind]()
    shutil.copy(binary, tmp_path / "hello")
    enter = [need("chroot")] if os.geteuid() == 0 else [need("unshare"), "--map-root-user", need("chroot")]

    done = subprocess.run([*enter, str(tmp_path), "/hello"], capture_output=True, check=False)

    assert (done.returncode == 0) == (not start_findings(binary, root=root(), platform=AMD64))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "reads"),
    [
        (READS, True),
        (COLLECTS, True),
        (READS_ITS_FILE, True),
        (LINKS_BY_NAME, True),
        (SETS, False),
        (NEVER_CALLS, False),
        (PRINT, False),
        (HELLO, False),
    ],
    ids=["reads", "collects", "reads its file", "links by name", "sets", "never calls", "prints", "hello"],
)
def test_who_reads_build_info(source, reads):
    """The linker keeps the function where it may be called, however it is reached; dead code does not count."""
    assert reads_build_info(go_binary(source, "-trimpath", "-ldflags=-s")) is reads


@pytest.mark.slow
def test_a_program_with_plugins_may_read_build_info():
    """What a plugin calls is not known, so the answer is yes."""
    assert reads_build_info(go_binary(PLUGIN, "-ldflags=-s", cgo=True))


@pytest.mark.slow
def test_without_optimisation_the_answer_is_the_same():
    """Inlining or not, debug information or not."""
    assert reads_build_info(go_binary(READS, "-gcflags=-l"))
    assert not reads_build_info(go_binary(SETS, "-gcflags=-N -l"))


def test_what_cannot_be_told_is_yes(made):
    """A program without pclntab keeps what it may read."""
    assert reads_build_info(made())


def test_needs_of_something_else(tmp_path):
    """A file that is no ELF has no needs."""
    (tmp_path / "text").write_text("hello")

    with pytest.raises(InvalidDocument):
        needs_of(tmp_path / "text")


def test_needs_are_values(made):
    """All that is asked for, at one look."""
    assert needs_of(made((1, 1), texts=b"\0liba.so\0", interpreter="/lib/ld.so", shape=Shape(machine=183))) == Needs(
        "/lib/ld.so", ("liba.so",)
    )
