"""Attribution: sums that are the file, and owners that symbols and planted packages agree with."""

import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gobuild import PRINT, USER, go_binary, go_module, go_said
from owned_data import planted_owners, planted_program, planted_right
from twins import (
    BOTH_TEXT,
    PLANTED,
    SERVER,
    STRIPPED,
    TOOLCHAINS,
    attributed,
    judged,
    judged_by_units,
    owner_of,
    planted_module,
    planted_strings,
    share,
)  # fmt: skip
from wherry.analysis.attribution import Attribution
from wherry.analysis.data_claims import code_mentions, data_sections, ranges_of
from wherry.analysis.mapped import map_elf
from wherry.analysis.named_data import NamedData, named_data
from wherry.analysis.program import AttributedProgram
from wherry.analysis.spans import Confidence, SpanKind, unique
from wherry.analysis.type_claims import type_claims
from wherry.errors import InvalidDocument
from wherry.golang.names import package_of

_FAR = ("arm", "riscv64", "ppc64le", "loong64", "mips64")
ANONYMOUS = """package main

import ("bytes"; "io"; "os")

type counted struct { n int }

//go:noinline
func (c *counted) Count() int { c.n++; return c.n }

type both interface { io.Writer; Count() int; Len() int }

//go:noinline
func use(b both) { b.Write([]byte("x")); println(b.Count(), b.Len()) }

func main() { use(struct { *counted; *bytes.Buffer }{&counted{len(os.Args)}, &bytes.Buffer{}}) }
"""
ARCHITECTURES = ["amd64", "arm64", "386", "s390x", *(pytest.param(arch, marks=pytest.mark.peers) for arch in _FAR)]
"""32 bits and the other byte order are in the first ring; the rest costs a standard library compiled for each."""


def holds(found: Attribution, path: Path) -> None:
    """Check what holds for every binary: each byte once, in order, and no owner that is none."""
    spans = found.spans
    assert spans.start[0] == 0
    assert spans.end[-1] == path.stat().st_size
    assert (spans.start[1:] == spans.end[:-1]).all()
    assert spans.owner.min() >= 0
    assert spans.owner.max() < len(found.owners.names)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_sum_is_the_file(arch):
    """On each architecture nothing is lost; where code can be read, little is unknown."""
    path = go_binary(PRINT, *STRIPPED, arch=arch)

    found = attributed(path)

    holds(found, path)
    assert share(found, Confidence.EXACT) > 0.85
    assert share(found, Confidence.UNKNOWN) < (0.02 if arch in {"amd64", "arm64"} else 0.12)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("-buildmode=pie",), ("-buildmode=pie", "-ldflags=-s"), ()])
@pytest.mark.parametrize("cgo", [False, True])
def test_moved_and_linked_otherwise(flags, cgo):
    """PIE and cgo put tables elsewhere, with words that only a loader makes whole."""
    path = go_binary(USER, *flags, cgo=cgo)

    found = attributed(path)

    holds(found, path)
    assert share(found, Confidence.EXACT) > 0.85
    assert share(found, Confidence.UNKNOWN) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_symbols_agree(arch):
    """What is told of a stripped binary is what the symbols of its twin say."""
    stripped = go_binary(SERVER, *STRIPPED, arch=arch)

    right = judged(stripped, go_binary(SERVER, "-trimpath", arch=arch))

    assert right[".text"] >= 0.98  # symbols name assembly and linknamed functions after others than their unit
    assert right["variables"] >= 0.95
    assert right[".data"] >= 0.94


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64", "s390x"])
def test_units_agree(arch):
    """Code belongs to the package of its DWARF compile unit: wrappers of anonymous structs and assembly, too."""
    for source in (SERVER, ANONYMOUS):
        stripped = go_binary(source, *STRIPPED, arch=arch)

        wrong, exactly = judged_by_units(stripped, go_binary(source, "-trimpath", arch=arch))

        assert wrong < 0.0001
        assert not exactly


@pytest.mark.slow
def test_wrappers_of_anonymous_structs():
    """They bear no package's name, and are of the package that has the struct, not of the runtime."""
    program = AttributedProgram.of(map_elf(go_binary(ANONYMOUS, *STRIPPED)))
    names, owners = program.functions.names, program.function_owners.tolist()

    found = {program.owners.names[owner] for name, owner in zip(names, owners, strict=True) if "go:struct {" in name}

    assert found == {"main"}


@pytest.mark.peers
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_every_go(toolchain, arch):
    """The same by each Go from 1.20 to 1.27; the oldest two have pclntabs and data that tell a little less."""
    files = {"main.go": SERVER}
    stripped, twin = (
        go_module(files, *flags, arch=arch, module="example.com/server", toolchain=toolchain)
        for flags in (STRIPPED, ("-trimpath",))
    )
    found = attributed(stripped)

    right = judged(stripped, twin)

    holds(found, stripped)
    assert share(found, Confidence.EXACT) >= 0.85
    assert share(found, Confidence.UNKNOWN) <= 0.02
    types_adjoin(found.program)
    if toolchain >= "go1.21":
        planted_twins(arch, toolchain)
    wrong, exactly = judged_by_units(stripped, twin)
    assert wrong <= 0.001
    assert not exactly
    old = toolchain < "go1.22"
    assert right[".text"] >= 0.98
    assert right["variables"] >= (0.9 if old else 0.95)


def types_adjoin(program: AttributedProgram) -> None:
    """Check that types were measured right: they lie one behind the other, and none begins inside another."""
    mentions = code_mentions(program, ranges_of(data_sections(program)))
    types = type_claims(program, unique(mentions.target)).types
    between = types.start[1:] - types.end[:-1]

    assert len(types) > 500
    assert between.min() >= 0
    assert (between < 32).mean() > 0.95
    dense = program.module.get("typedesclen")
    if dense:
        inside = types.end <= dense
        assert dense - int((types.end - types.start)[inside].sum()) <= program.functions.table.pointer


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_types_lie_one_behind_the_other(arch):
    """Sizes of types are right where each ends before the next one begins, and most do so at once."""
    types_adjoin(AttributedProgram.of(map_elf(go_binary(PRINT, *STRIPPED, arch=arch))))


@pytest.mark.peers
@pytest.mark.parametrize(
    ("toolchain", "experiment", "arch"),
    [("go1.24.9", "noswissmap", "amd64"), ("go1.25.3", "noswissmap", "arm64"), ("go1.27.3", "", "386"),
     ("go1.27.3", "", "s390x"), ("go1.22.12", "", "s390x"), ("go1.23.12", "", "arm")],
)  # fmt: skip
def test_types_of_other_maps(toolchain, experiment, arch):
    """Map types were changed twice, and an experiment keeps the old ones."""
    path = go_module(
        {"main.go": SERVER}, *STRIPPED, arch=arch, module="example.com/server", toolchain=toolchain,
        experiment=experiment,
    )  # fmt: skip

    found = attributed(path)

    holds(found, path)
    types_adjoin(found.program)


@pytest.fixture(scope="module", params=["amd64", "arm64"])
def planted(request) -> Path:
    """A stripped program of packages whose code, strings, types and files are known."""
    return planted_module(request.param)


def planted_twins(arch: str, toolchain: str = "local") -> None:
    """Check strings: what only variables have is open in a stripped program, right by symbols, and never another's."""
    stripped, twin = (planted_module(arch, toolchain, strip=strip) for strip in (True, False))
    right, wrong = planted_strings(stripped)
    assert right >= 0.4  # those in code; Go before 1.26 keeps a few more in variables
    assert wrong == 0
    right, wrong = planted_strings(stripped, twin)
    assert right >= 0.99
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_planted_strings(arch):
    """Strings of planted packages are given to them, or to none; one that two packages have is shared."""
    planted_twins(arch)
    planted = planted_module(arch)
    shared = owner_of(attributed(planted), planted.read_bytes(), BOTH_TEXT.encode())
    assert shared == {"(shared)": len(BOTH_TEXT)}


@pytest.mark.slow
def test_planted_files_types_and_code(planted):
    """By symbols an embedded file is exactly its package's; a type and a function are without them, too."""
    arch = "amd64" if planted.read_bytes()[18:20] == b"\x3e\x00" else "arm64"
    found, plain = attributed(planted, twin=planted_module(arch, strip=False)), attributed(planted)
    spans, names = found.spans, found.owners.names

    content = PLANTED["right/files/big.txt"].encode()
    assert owner_of(found, planted.read_bytes(), content) == {"example.com/planted/right": len(content)}
    assert owner_of(plain, planted.read_bytes(), content) == {"(unknown)": len(content)}
    right = names.index("example.com/planted/right")
    embedded = (spans.owner == right) & (spans.kind == SpanKind.EMBED)
    assert int(spans.sizes[embedded].sum()) == len(content)
    assert set(spans.confidence[embedded].tolist()) == {Confidence.EXACT}
    spans, left = plain.spans, plain.owners.names.index("example.com/planted/left")
    for kind in (SpanKind.CODE, SpanKind.PCLNTAB):
        own = (spans.owner == left) & (spans.kind == kind)
        assert int(spans.sizes[own].sum()) > 0
        assert set(spans.confidence[own].tolist()) == {Confidence.EXACT}


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "cgo"), [("amd64", False), ("arm64", False), ("amd64", True)])
def test_data_that_others_use(arch, cgo):
    """Embeds, tables and texts that only other packages mention: open when stripped, right by symbols of a twin."""
    stripped, twin = (planted_program(strip=strip, cgo=cgo, arch=arch) for strip in (True, False))
    content = stripped.read_bytes()

    plain = planted_owners(attributed(stripped), content, cgo=cgo)
    exact = planted_owners(attributed(stripped, twin=twin), content, cgo=cgo)

    assert planted_right(plain)[1] == 0, plain
    assert planted_right(exact) == (1, 0), exact


@pytest.mark.slow
def test_a_record_of_names_is_a_few_bytes_a_variable():
    """It gives back what it was made of, and takes little; of another program it is refused."""
    twin = planted_program(strip=False)
    names = named_data(map_elf(twin))

    record = names.encoded("sha256:abc")

    assert len(record) < 5000 * twin.stat().st_size / 1e6
    read = NamedData.parse(record, "sha256:abc", "record")
    assert (read.start == names.start).all()
    assert (read.size == names.size).all()
    assert [read.packages[at] for at in read.package] == [names.packages[at] for at in names.package]
    with pytest.raises(InvalidDocument, match="expected sha256:def"):
        NamedData.parse(record, "sha256:def", "record")
    for broken in (b"", record[:-9], record[:40] + bytes(20) + record[60:]):
        with pytest.raises(InvalidDocument):
            NamedData.parse(broken, "sha256:abc", "record")


ODD = {
    "main.go": """package main

import (
	"go.example.org/odd/embedding"
	"go.example.org/odd/local.d/inner"
	"go.example.org/odd/yaml.v3"
)

func main() { println(yaml.Say(3), inner.Say("x"), embedding.Hold(&embedding.Outer{}).Open()) }
""",
    "yaml.v3/yaml.go": """package yaml

//go:noinline
func Say(n int) int { defer func() { n++ }(); return n * 3 }
""",
    "local.d/inner/inner.go": """package inner

type T struct{ name string }

//go:noinline
func (t T) hidden() string { return t.name + "!" }
func (t T) Open() string { return t.hidden() }

type Hidden interface { hidden() string; Open() string }

//go:noinline
func Say(text string) string { var h Hidden = T{text}; return h.hidden() }
""",
    "embedding/embedding.go": """package embedding

import "go.example.org/odd/local.d/inner"

type Outer struct { inner.T; Other int }

//go:noinline
func Hold(o *Outer) inner.Hidden { if o.Other > 5 { return *o }; return o }
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_owners_are_packages_that_go_lists(arch):
    """Whatever paths and names look like, owners are packages of the program, and those that it has own code."""
    path = go_module(ODD, *STRIPPED, arch=arch, module="go.example.org/odd")
    listed = set(go_said("list", "-deps", ".", folder=path.parent / "src").split())
    # Some functions of the runtime bear the name of the package they are for (go:linkname), imported or not.
    standard = {*go_said("list", "std").split(), "unsafe"}

    found = attributed(path)

    owners = {name for name in found.owners.names if not name.startswith("(")} - {"main"}
    assert owners <= listed | standard
    code = found.spans.owner[found.spans.kind == SpanKind.CODE]
    own = {found.owners.names[owner] for owner in np.unique(code).tolist()}
    assert own >= {package for package in listed if package.startswith("go.example.org/odd/")}


@pytest.mark.slow
def test_generic_instances(planted):
    """An instance is of the package it was compiled for, or by origin of the one that wrote it."""
    compiled, origin = attributed(planted), attributed(planted, origin=True)

    def owners(found: Attribution) -> set[str]:
        program = found.program
        rows = [row for row, name in enumerate(program.functions.names) if name.startswith("slices.") and "[" in name]
        assert rows
        return {program.owners.names[int(program.function_owners[row])] for row in rows}

    assert owners(origin) == {"slices"}
    assert "example.com/planted/left" in owners(compiled)


@pytest.mark.slow
def test_sizes_of_code_are_nms():
    """`go tool nm` and we count the same bytes of code by name; it leaves out the alignment between functions."""
    path = go_binary(PRINT, "-trimpath")
    words = subprocess.run(["go", "tool", "nm", "-size", path], capture_output=True, text=True, check=True).stdout
    theirs, functions = Counter[str](), Counter[str]()
    for line in words.splitlines():
        columns = line.split(None, 3)
        if len(columns) == 4 and columns[2] in "tT":
            theirs[package_of(columns[3])] += int(columns[1])
            functions[package_of(columns[3])] += 1

    table, ours_by_name = AttributedProgram.of(map_elf(path)).functions, Counter[str]()
    for name, size in zip(table.names, table.sizes.tolist(), strict=True):
        ours_by_name[package_of(name)] += size
    for package in ("fmt", "strconv", "reflect", "os", "unicode/utf8"):
        ours = ours_by_name[package]
        assert theirs[package] <= ours < theirs[package] + 64 * functions[package]
