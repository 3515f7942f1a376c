"""A program of packages whose data are known and are used by other packages: what is judged are owners of data."""

import struct
from collections import Counter
from pathlib import Path
from typing import Final

from gobuild import go_module
from twins import STRIPPED, owner_of
from wherry.analysis.attribution import Attribution

MODULE: Final = "example.com/data"
TEXT = "".join(f"line {number * 7919} of an embedded text\n" for number in range(6000))
OCTETS = "".join(f"row {number * 104729} of embedded bytes\n" for number in range(3000))
FILE = "".join(f"entry {number * 1299709} of an embedded file\n" for number in range(2000))
NUMBERS = [(number * 2654435761) % (1 << 32) for number in range(10_000)]
NAMES = [f"name {number * 15485863} in a table of pointers" for number in range(500)]
WORDS = [f"word {number * 32452843} of a package that one other uses" for number in range(300)]
KINDS = [f"kind {number * 49979687} beside a generic function" for number in range(200)]
C_TEXT = [f"text {number * 86028121} of a package with cgo" for number in range(200)]
_EXTRA = 'func extra(n int) int { s := 0; for i := 0; i < n; i++ { s += i * n }; println("more of main", s); return s }'


def _quoted(texts: list[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)


FILES: Final = {
    "text/text.go": 'package text\n\nimport _ "embed"\n\n//go:embed big.txt\nvar Text string\n',
    "text/big.txt": TEXT,
    "octets/octets.go": 'package octets\n\nimport _ "embed"\n\n//go:embed big.bin\nvar Octets []byte\n',
    "octets/big.bin": OCTETS,
    "files/files.go": 'package files\n\nimport "embed"\n\n//go:embed big.txt\nvar Files embed.FS\n',
    "files/big.txt": FILE,
    "numbers/numbers.go": f"package numbers\n\nvar Table = [...]uint32{{{', '.join(map(str, NUMBERS))}}}\n",
    "pointers/pointers.go": "package pointers\n\ntype Row struct { Name *string; Next *Row }\n\n"
    + "".join(f'var n{at} = "{name}"\n' for at, name in enumerate(NAMES))
    + f"var Rows = []Row{{{', '.join(f'{{Name: &n{at}}}' for at in range(len(NAMES)))}}}\n",
    "only/only.go": f"package only\n\nvar Words = []string{{{_quoted(WORDS)}}}\n",
    "via/via.go": f'package via\n\nimport "{MODULE}/only"\n\n'
    "//go:noinline\nfunc Word(n int) string { return only.Words[n] }\n",
    "generic/generic.go": "package generic\n\n" + f"var Kinds = [...]string{{{_quoted(KINDS)}}}\n\n"
    "type List[T any] struct { All []T }\n\n"
    "//go:noinline\nfunc (l *List[T]) Add(one T) { l.All = append(l.All, one) }\n\n"
    "//go:noinline\nfunc Map[T any](all []T, f func(T) string) string "
    '{ s := ""; for _, one := range all { s += f(one) }; return s }\n',
}
_MAIN: Final = """package main

import (
	"os"

	"MODULE/files"
	"MODULE/generic"
	"MODULE/numbers"
	"MODULE/octets"
	"MODULE/pointers"
	"MODULE/text"
	"MODULE/via"
CGO_IMPORT
)

type own struct{ n int }

var ours = []string{"main has a text", "and one more"}

EXTRA

func main() {
	n := len(os.Args)
	println(text.Text[n:n+9], octets.Octets[n], numbers.Table[n], *pointers.Rows[n].Name, via.Word(n), ours[n%2])
	list := generic.List[own]{}
	list.Add(own{n})
	println(generic.Kinds[n], generic.Map(list.All, func(o own) string { return ours[o.n%2] }))
	content, _ := files.Files.ReadFile("big.txt")
	println(len(content))
	CGO_CALL
	EXTRA_CALL
}
"""
_CGO: Final = {
    "withc/withc.go": "package withc\n\n// static int twice(int n) { return 2 * n; }\n"
    f'import "C"\n\nvar Texts = []string{{{_quoted(C_TEXT)}}}\n\n'
    "//go:noinline\nfunc Twice(n int) int { return int(C.twice(C.int(n))) }\n",
}


def planted_program(
    *, strip: bool = True, more: bool = False, cgo: bool = False, arch: str = "amd64", toolchain: str = "local"
) -> Path:
    """Build the program.

    Args:
        strip: whether it has no symbols.
        more: whether the main package has one function more: a change of no package's data.
        cgo: whether one more package uses C.
        arch: GOARCH.
        toolchain: GOTOOLCHAIN.
    """
    return go_module(
        planted_files(more=more, cgo=cgo), *(STRIPPED if strip else STRIPPED[:1]),
        module=MODULE, go="1.20", cgo=cgo, arch=arch, toolchain=toolchain,
    )  # fmt: skip


def planted_files(*, more: bool = False, cgo: bool = False) -> dict[str, str]:
    """Write the program's source, by path."""
    marks = {
        "CGO_IMPORT": f'\t"{MODULE}/withc"' if cgo else "",
        "CGO_CALL": "println(withc.Twice(n), withc.Texts[n])" if cgo else "",
        "EXTRA_CALL": "println(extra(n))" if more else "",
        "EXTRA": _EXTRA if more else "",
        "MODULE": MODULE,
    }
    main = _MAIN
    for mark, text in marks.items():
        main = main.replace(mark, text)
    return {"main.go": main, **FILES, **(_CGO if cgo else {})}


def planted_owners(found: Attribution, content: bytes, *, cgo: bool = False) -> dict[str, Counter[str]]:
    """Count the owners that the bytes of each package's data are given to.

    Args:
        found: the program, attributed.
        content: its bytes.
        cgo: whether it has the package that uses C.
    """
    numbers = struct.pack(f"<{len(NUMBERS)}I", *NUMBERS)
    planted = {
        "text": [TEXT.encode()],
        "octets": [OCTETS.encode()],
        "files": [FILE.encode()],
        "numbers": [numbers],
        "pointers": [name.encode() for name in NAMES],
        "only": [word.encode() for word in WORDS],
        "generic": [kind.encode() for kind in KINDS],
        **({"withc": [text.encode() for text in C_TEXT]} if cgo else {}),
    }
    return {
        name: sum((owner_of(found, content, piece) for piece in pieces), Counter()) for name, pieces in planted.items()
    }


def planted_right(owners: dict[str, Counter[str]]) -> tuple[float, float]:
    """Give which part of planted bytes has its owner, and which part has another package."""
    right = sum(counts[f"{MODULE}/{name}"] for name, counts in owners.items())
    whole = sum(counts.total() for counts in owners.values())
    open_ = sum(size for counts in owners.values() for owner, size in counts.items() if owner.startswith("("))
    return right / whole, (whole - right - open_) / whole
