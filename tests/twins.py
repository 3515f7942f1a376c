"""What is known of binaries by other means: symbols of an unstripped twin, packages planted for the purpose.

Both are used by the tests and by bench/size.py.
"""

import subprocess
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np

from gobuild import go_module
from wherry.analysis.attribution import Attribution, attribute
from wherry.analysis.mapped import map_elf
from wherry.analysis.named_data import named_data
from wherry.analysis.program import AttributedProgram
from wherry.analysis.spans import Confidence
from wherry.elf.symbols import Symbols
from wherry.golang.names import is_instance, package_of

STRIPPED: Final = ("-trimpath", "-ldflags=-s")
TOOLCHAINS = ["go1.20.14", "go1.21.13", "go1.22.12", "go1.23.12", "go1.24.9", "go1.25.3", "go1.27.3"]
SERVER = """package main

import ("encoding/json"; "log"; "net/http"; "os"; "text/template")

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(r.Header) })
	template.Must(template.New("x").Parse("{{.}}")).Execute(os.Stdout, 1)
	log.Fatal(http.ListenAndServe("127.0.0.1:0", nil))
}
"""
PLANTED = {
    "main.go": """package main

import (
	"example.com/planted/hard"
	"example.com/planted/left"
	"example.com/planted/right"
)

func main() {
	println(left.Say(), right.Say(), len(right.Files()), left.Pick([]int{3, 1, 2}), left.Both(), right.Both())
	println(hard.Say(left.Pick([]int{2, 7})))
}
""",
    "left/left.go": """package left

import "slices"

type Left struct{ Name, Street string; Next *Left }

var Texts = []string{%LEFT%}

//go:noinline
func Say() string { return Texts[len(Texts)-1] + "left only, written once, nowhere else to be found" }

func Pick(all []int) int { slices.SortFunc(all, func(a, b int) int { return a - b }); return all[0] }

//go:noinline
func Both() string { return "%BOTH%" }

func Any() any { return &Left{} }
""",
    "right/right.go": """package right

import "embed"

//go:embed files
var files embed.FS

//go:noinline
func Say() string { return "right has this text for itself, and it is not short either" + %RIGHT% }

//go:noinline
func Both() string { return "%BOTH%" }

func Files() string { text, _ := files.ReadFile("files/big.txt"); return string(text) }
""",
    "hard/hard.go": """package hard

import ("errors"; "fmt")

type row struct { id int; text string; more []string }

%HARD%
""",
    "right/files/big.txt": "a file that is embedded\n" * 500,
}  # fmt: skip
UNITS = """package main

import (
	"bufio"
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"os"
)

// Prints a line for each range of a compile unit of Go or of its assembler: package, first address, end.
func main() {
	file, err := elf.Open(os.Args[1])
	check(err)
	data, err := file.DWARF()
	check(err)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for reader := data.Reader(); ; reader.SkipChildren() {
		entry, err := reader.Next()
		check(err)
		if entry == nil {
			return
		}
		language, name := entry.Val(dwarf.AttrLanguage), entry.Val(dwarf.AttrName)
		if entry.Tag != dwarf.TagCompileUnit || language != int64(0x16) && language != int64(0x8001) {
			continue
		}
		ranges, err := data.Ranges(entry)
		check(err)
		for _, one := range ranges {
			fmt.Fprintf(out, "%s\\t%d\\t%d\\n", name, one[0], one[1])
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
"""
"""Source: DWARF 5, 3.1 (compilation units); 0x16 is DW_LANG_Go, 0x8001 what the assembler has."""
LEFT_TEXTS = [f"a text of the left package, number {number * 7919}" for number in range(400)]
HARD_TEXTS = [f"{number}: {'abcdefghijklmnop' * (number % 5)} of the hard package" for number in range(600)]
BOTH_TEXT = "two packages say this, and the linker keeps it once"
RIGHT_TEXT = "".join(f"part {number * 104729} " for number in range(300))


def attributed(path: Path, *, origin: bool = False, twin: Path | None = None) -> Attribution:
    """Settle a binary, by the symbols of its twin where one is given."""
    symbols = named_data(map_elf(twin)) if twin else None
    return attribute(AttributedProgram.of(map_elf(path), origin=origin, symbols=symbols))


def share(found: Attribution, confidence: Confidence) -> float:
    """Give what part of the file is known so."""
    spans = found.spans
    return float(spans.sizes[spans.confidence == confidence].sum() / spans.sizes.sum())


def owner_of(found: Attribution, content: bytes, text: bytes) -> Counter[str]:
    """Count whose the bytes of a text are, by where it stands in the file."""
    at = content.find(text)
    assert at > 0
    counts: Counter[str] = Counter()
    spans = found.spans
    row = int(np.searchsorted(spans.start, at, side="right")) - 1
    while row < len(spans) and spans.start[row] < at + len(text):
        bytes_ = min(int(spans.end[row]), at + len(text)) - max(int(spans.start[row]), at)
        counts[found.owners.names[int(spans.owner[row])]] += bytes_
        row += 1
    return counts


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


def units_of(twin: Path) -> list[tuple[int, int, str]]:
    """Give the ranges of code that DWARF's compile units have: first address, end, package; sorted."""
    words = [go_module({"main.go": UNITS}, module="example.com/units"), twin]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    rows = (line.split("\t") for line in said.splitlines())
    return sorted((int(start), int(end), package) for package, start, end in rows)


def judged_by_units(stripped: Path, twin: Path) -> tuple[float, Counter[tuple[str, str]]]:
    """Compare owners of code with DWARF's compile units.

    Returns:
        The part of the code that has another owner, and its bytes by owner and unit, where the owner is said to be
        exact. Code that is in no unit is C's, or
        marks of the linker.
    """
    program, units = AttributedProgram.of(map_elf(stripped)), units_of(twin)
    main = program.info.path if program.info else ""
    starts = np.array([start for start, _, _ in units])
    wrong, exactly = 0, Counter[tuple[str, str]]()
    rows = zip(
        (program.functions.starts[:-1] + program.text).tolist(), program.functions.sizes.tolist(),
        program.function_owners.tolist(), program.guessed.tolist(), strict=True,
    )  # fmt: skip
    for address, size, owner, guessed in rows:
        start, end, package = units[int(np.searchsorted(starts, address, side="right")) - 1]
        unit = ("main" if package == main else package) if start <= address < end else ""
        own = program.owners.names[owner]
        if own != unit and not (not unit and own.startswith("(")):
            wrong += size
            exactly[own, unit] += 0 if guessed else size
    return wrong / int(program.functions.sizes.sum()), +exactly


def hard_code() -> str:
    """Write Go that has strings wherever they can be: in code, tables, maps, errors, formats, cases."""
    texts = [f'"{text}"' for text in HARD_TEXTS]
    functions = [f"//go:noinline\nfunc f{at}(n int) string {{ if n > {at} {{ return {text} }}; return more(n) }}"
                 for at, text in enumerate(texts[:150])]  # fmt: skip
    inlined = [f"func g{at}(n int) string {{ return {text} }}" for at, text in enumerate(texts[150:250])]
    rows = [f"{{{at}, {text}, []string{{{texts[at + 75]}}}}}," for at, text in enumerate(texts[250:325], 250)]
    pairs = [f"{text}: {at}," for at, text in enumerate(texts[400:475])]
    errors = [f"var err{at} = errors.New({text})" for at, text in enumerate(texts[475:500])]
    formats = [f'case {at}: return fmt.Sprintf({text[:-1]} %d", n)' for at, text in enumerate(texts[500:550])]
    cases = [f"case {text}: return {at}" for at, text in enumerate(texts[550:600])]
    calls = [f"f{at}(n)" for at in range(150)] + [f"g{at}(n)" for at in range(100)]
    calls += [*(f"err{at}.Error()" for at in range(25)), "rows[n].text", "rows[n].more[0]", "format(n)"]
    return "\n".join([
        *functions, *inlined, "var rows = []row{", *rows, "}", "var pairs = map[string]int{", *pairs, "}", *errors,
        "func format(n int) string { switch n {", *formats, '}; return "" }',
        "func number(text string) int { switch text {", *cases, "}; return pairs[text] }",
        "//go:noinline\nfunc more(n int) string { return fmt.Sprint(n) }",
        "func Say(n int) int { sum := 0; for _, text := range []string{", *(f"{call}," for call in calls),
        "} { sum += len(text) + number(text) }; return sum }",
    ])  # fmt: skip


def planted_module(arch: str = "amd64", toolchain: str = "local", *, strip: bool = True) -> Path:
    """Build the planted packages, stripped or not."""
    left = ", ".join(f'"{text}"' for text in LEFT_TEXTS)
    texts = {"%LEFT%": left, "%RIGHT%": f'"{RIGHT_TEXT}"', "%HARD%": hard_code(), "%BOTH%": BOTH_TEXT}
    files = dict(PLANTED)
    for mark, written in texts.items():
        files = {name: text.replace(mark, written) for name, text in files.items()}
    flags = STRIPPED if strip else STRIPPED[:1]
    return go_module(files, *flags, arch=arch, module="example.com/planted", go="1.21", toolchain=toolchain)


def planted_strings(binary: Path, twin: Path | None = None) -> tuple[float, float]:
    """Give what part of the planted packages' strings is said to be theirs, and what part another package's."""
    found, content = attributed(binary, twin=twin), binary.read_bytes()
    right = wrong = all_ = 0
    for package, texts in (("left", LEFT_TEXTS), ("right", [RIGHT_TEXT]), ("hard", HARD_TEXTS)):
        # Some compilers compare a case by numbers in the code, so that its text is nowhere.
        there = [text for text in texts if text.encode() in content]
        assert len(there) > 0.9 * len(texts)
        for text in there:
            counts = owner_of(found, content, text.encode())
            right += counts[f"example.com/planted/{package}"]
            wrong += sum(size for owner, size in counts.items() if not owner.startswith("("))
            all_ += counts.total()
    return right / all_, (wrong - right) / all_
