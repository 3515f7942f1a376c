"""Whose bytes: sums that are the file, and owners that symbols and planted packages agree with."""

import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gobuild import PRINT, USER, go_binary, go_module
from wherry.analysis.attribution import Attribution, attribute
from wherry.analysis.mapped import map_elf
from wherry.analysis.program import Program
from wherry.analysis.spans import Confidence, Kind
from wherry.elf.symbols import Symbols
from wherry.golang.names import is_instance, package_of

STRIPPED = ("-trimpath", "-ldflags=-s")
SERVER = """package main

import ("encoding/json"; "log"; "net/http"; "os"; "text/template")

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(r.Header) })
	template.Must(template.New("x").Parse("{{.}}")).Execute(os.Stdout, 1)
	log.Fatal(http.ListenAndServe("127.0.0.1:0", nil))
}
"""
TOOLCHAINS = ["go1.20.14", "go1.21.13", "go1.22.12", "go1.23.12", "go1.24.9", "go1.25.3", "go1.27.3"]
ARCHITECTURES = ["amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x", "loong64", "mips64"]
PLANTED = {
    "main.go": """package main

import (
	"example.com/planted/left"
	"example.com/planted/right"
)

func main() { println(left.Say(), right.Say(), len(right.Files()), left.Pick([]int{3, 1, 2})) }
""",
    "left/left.go": """package left

import "slices"

type Left struct{ Name, Street string; Next *Left }

var Texts = []string{%LEFT%}

//go:noinline
func Say() string { return Texts[len(Texts)-1] + "left only, written once, nowhere else to be found" }

func Pick(all []int) int { slices.SortFunc(all, func(a, b int) int { return a - b }); return all[0] }

func Any() any { return &Left{} }
""",
    "right/right.go": """package right

import "embed"

//go:embed files
var files embed.FS

//go:noinline
func Say() string { return "right has this text for itself, and it is not short either" + %RIGHT% }

func Files() string { text, _ := files.ReadFile("files/big.txt"); return string(text) }
""",
    "right/files/big.txt": "a file that is embedded\n" * 500,
}  # fmt: skip
LEFT_TEXTS = [f"a text of the left package, number {number * 7919}" for number in range(400)]
RIGHT_TEXT = "".join(f"part {number * 104729} " for number in range(300))


def attributed(path: Path, *, origin: bool = False) -> Attribution:
    """Settle a binary."""
    return attribute(Program.of(map_elf(path), origin=origin))


def share(found: Attribution, confidence: Confidence) -> float:
    """Give what part of the file is known so."""
    spans = found.spans
    return float(spans.sizes[spans.confidence == confidence].sum() / spans.sizes.sum())


def holds(found: Attribution, path: Path) -> None:
    """Check what holds for every binary: each byte once, in order, and no owner that is none."""
    spans = found.spans
    assert spans.start[0] == 0
    assert spans.end[-1] == path.stat().st_size
    assert (spans.start[1:] == spans.end[:-1]).all()
    assert spans.owner.min() >= 0
    assert spans.owner.max() < len(found.owners.names)


def owner_of(found: Attribution, path: Path, text: bytes) -> Counter[str]:
    """Count whose the bytes of a text are, by where it stands in the file."""
    at = path.read_bytes().find(text)
    assert at > 0
    counts: Counter[str] = Counter()
    spans = found.spans
    row = int(np.searchsorted(spans.start, at, side="right")) - 1
    while row < len(spans) and spans.start[row] < at + len(text):
        bytes_ = min(int(spans.end[row]), at + len(text)) - max(int(spans.start[row]), at)
        counts[found.owners.names[int(spans.owner[row])]] += bytes_
        row += 1
    return counts


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


def judged(stripped: Path, twin: Path) -> dict[str, float]:
    """Compare owners with the symbols of the same program that has them; give the right part by section."""
    found, elf = attributed(stripped), map_elf(twin)
    symbols, spans = Symbols.of(elf), found.spans
    right, all_ = Counter[str](), Counter[str]()
    for row in np.flatnonzero((symbols.size > 0) & (symbols.section < len(elf.sections))).tolist():
        name, section = symbols.text(row), elf.sections[int(symbols.section[row])].name
        package, offset = package_of(name), found.program.space.offset(int(symbols.value[row]))
        if not package or offset is None or name.endswith(".*") or is_instance(name):
            continue
        end = offset + int(symbols.size[row])
        first = int(np.searchsorted(spans.start, offset, side="right")) - 1
        last = int(np.searchsorted(spans.start, end, side="left"))
        for at in range(first, last):
            bytes_ = min(end, int(spans.end[at])) - max(offset, int(spans.start[at]))
            all_[section] += bytes_
            right[section] += bytes_ if found.owners.names[int(spans.owner[at])] == package else 0
    for counts in (right, all_):
        counts["variables"] = counts[".data"] + counts[".noptrdata"]
    return {section: right[section] / all_[section] for section in all_}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_symbols_agree(arch):
    """What is told of a stripped binary is what the symbols of its twin say."""
    stripped = go_binary(SERVER, *STRIPPED, arch=arch)

    right = judged(stripped, go_binary(SERVER, "-trimpath", arch=arch))

    assert right[".text"] == 1
    assert right["variables"] >= 0.95
    assert right[".data"] >= 0.94


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
    old = toolchain < "go1.22"
    assert right[".text"] >= (0.999 if old else 1)
    assert right["variables"] >= (0.9 if old else 0.95)


@pytest.fixture(scope="module", params=["amd64", "arm64"])
def planted(request) -> Path:
    """A stripped program of packages whose code, strings, types and files are known."""
    left = ", ".join(f'"{text}"' for text in LEFT_TEXTS)
    files = {name: text.replace("%LEFT%", left).replace("%RIGHT%", f'"{RIGHT_TEXT}"') for name, text in PLANTED.items()}
    return go_module(files, *STRIPPED, arch=request.param, module="example.com/planted")


@pytest.mark.slow
def test_planted_strings(planted):
    """Of the strings of planted packages, 95 of 100 bytes are given to them."""
    found = attributed(planted)
    right = all_ = 0
    for text in LEFT_TEXTS:
        counts = owner_of(found, planted, text.encode())
        right += counts["example.com/planted/left"]
        all_ += counts.total()
    counts = owner_of(found, planted, RIGHT_TEXT.encode())

    assert (right + counts["example.com/planted/right"]) / (all_ + counts.total()) >= 0.95


@pytest.mark.slow
def test_planted_files_types_and_code(planted):
    """An embedded file is exactly its package's, and so are a type and a function."""
    found = attributed(planted)
    spans, names = found.spans, found.owners.names

    content = PLANTED["right/files/big.txt"].encode()
    assert owner_of(found, planted, content) == {"example.com/planted/right": len(content)}
    right = names.index("example.com/planted/right")
    embedded = (spans.owner == right) & (spans.kind == Kind.EMBED)
    assert int(spans.sizes[embedded].sum()) == len(content)
    assert set(spans.confidence[embedded].tolist()) == {Confidence.EXACT}
    left = names.index("example.com/planted/left")
    for kind in (Kind.CODE, Kind.PCLNTAB):
        own = (spans.owner == left) & (spans.kind == kind)
        assert int(spans.sizes[own].sum()) > 0
        assert set(spans.confidence[own].tolist()) == {Confidence.EXACT}


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
    """`go tool nm` and we count the same bytes of code for a package; it leaves out the alignment between functions."""
    path = go_binary(PRINT, "-trimpath")
    words = subprocess.run(["go", "tool", "nm", "-size", path], capture_output=True, text=True, check=True).stdout
    theirs, functions = Counter[str](), Counter[str]()
    for line in words.splitlines():
        columns = line.split(None, 3)
        if len(columns) == 4 and columns[2] in "tT":
            theirs[package_of(columns[3])] += int(columns[1])
            functions[package_of(columns[3])] += 1

    found = attributed(path)

    spans = found.spans
    code = np.bincount(spans.owner[spans.kind == Kind.CODE], weights=spans.sizes[spans.kind == Kind.CODE])
    for package in ("fmt", "strconv", "reflect", "os", "unicode/utf8"):
        ours = int(code[found.owners.names.index(package)])
        assert theirs[package] <= ours < theirs[package] + 64 * functions[package]
