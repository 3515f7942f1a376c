"""go.mod and go.work, against `go mod edit -json` and against files of our own."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gobuild import go_said
from wherry.errors import InvalidDocument
from wherry.golang.modfile import GoMod, Replacement, Requirement, Retraction, parse_go_mod, parse_go_work

GO_MOD = """\
// Package comment, not about the module.

// Deprecated: use example.com/app/v2
// instead.
module "example.com/app" // a quoted name

go 1.24.0

toolchain go1.26.8

godebug default=go1.21
godebug (
	panicnil=1
	asynctimerchan=0
)

require example.com/single v1.0.0 // indirect; and more
require (
	example.com/a v1.2.3
	example.com/b v0.0.0-20240102030405-0123456789ab // indirect

	"example.com/c" v2.0.0+incompatible // not indirect
)

exclude example.com/a v1.2.2

replace example.com/a => ../a
replace (
	example.com/b v0.0.0-20240102030405-0123456789ab => ./forks/b
	example.com/c => example.com/fork/c v2.0.1+incompatible
)

// Never published.
retract v1.0.0
retract (
	[v1.1.0, v1.1.5] // broken
	v1.2.0
)

tool example.com/tools/gen
tool (
	example.com/tools/lint
)

ignore ./web
"""

GO_WORK = """\
go 1.26

toolchain go1.26.8

use ./app
use (
	./lib
	"../other lib"
)

replace example.com/a v1.0.0 => ./a
"""

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="-._~/"), min_size=1).filter(
    lambda word: "//" not in word and "/*" not in word
)


@pytest.mark.slow
def test_reads_what_go_reads(tmp_path):
    """Every directive is what `go mod edit -json` says it is."""
    (tmp_path / "go.mod").write_text(GO_MOD)
    said = json.loads(go_said("mod", "edit", "-json", str(tmp_path / "go.mod")))

    read = parse_go_mod(GO_MOD, "go.mod")

    assert read.module == said["Module"]["Path"]
    assert read.deprecated == said["Module"]["Deprecated"]
    assert (read.go, read.toolchain) == (said["Go"], said["Toolchain"])
    assert read.godebug == {"default": "go1.21", "panicnil": "1", "asynctimerchan": "0"}
    assert [(one.path, one.version, one.indirect) for one in read.require] == [
        (one["Path"], one["Version"], one.get("Indirect", False)) for one in said["Require"]
    ]
    assert [(one.path, one.version) for one in read.exclude] == [
        (one["Path"], one["Version"]) for one in said["Exclude"]
    ]
    assert _replaced(read) == [_sides(one) for one in said["Replace"]]
    assert [(one.low, one.high, one.rationale) for one in read.retract] == [
        (one["Low"], one["High"], one.get("Rationale", "")) for one in said["Retract"]
    ]
    assert list(read.tool) == [one["Path"] for one in said["Tool"]]
    assert list(read.ignore) == [one["Path"] for one in said["Ignore"]]


@pytest.mark.slow
def test_reads_the_work_file_that_go_reads(tmp_path):
    """So is every directive of a go.work."""
    (tmp_path / "go.work").write_text(GO_WORK)
    said = json.loads(go_said("work", "edit", "-json", str(tmp_path / "go.work")))

    read = parse_go_work(GO_WORK, "go.work")

    assert (read.go, read.toolchain) == (said["Go"], "go1.26.8")
    assert list(read.use) == [one["DiskPath"] for one in said["Use"]]
    assert _replaced(read) == [_sides(one) for one in said["Replace"]]


def _replaced(read) -> list[tuple[str, str, str, str]]:
    return [(one.old_path, one.old_version, one.new_path, one.new_version) for one in read.replace]


def _sides(said) -> tuple[str, str, str, str]:
    old, new = said["Old"], said["New"]
    return old["Path"], old.get("Version", ""), new["Path"], new.get("Version", "")


def test_lines_are_known():
    """Every entry knows its line, so that a message can point at it."""
    read = parse_go_mod(GO_MOD, "go.mod")

    for one in (*read.require, *read.replace):
        name = one.path if isinstance(one, Requirement) else one.old_path
        assert name in GO_MOD.splitlines()[one.line - 1]


@pytest.mark.parametrize(
    ("new", "local"),
    [("./a", True), ("../a", True), (".", True), ("..", True), ("/srv/a", True), ("C:\\a", True), (".a/b v1", False)],
)
def test_local_replacements(new, local):
    """A folder is what starts like one."""
    (one,) = parse_go_mod(f"module m\nreplace a => {new}\n", "go.mod").replace

    assert one.is_local is local


def test_raw_strings():
    """The reference allows them, `go` does not yet: it is for `go` to judge."""
    assert parse_go_mod("module `m`\n", "go.mod").module == "m"


def test_windows_line_ends():
    """Carriage returns are white space."""
    read = parse_go_mod("module m\r\nrequire (\r\n\ta v1 // indirect\r\n)\r\n", "go.mod")

    assert read == GoMod("m", require=(Requirement("a", "v1", indirect=True, line=3),))


def test_a_later_go_may_say_more():
    """A directive from the future is for `go` to judge."""
    assert parse_go_mod("module m\nfuture (\n\tx y z\n)\n", "go.mod") == GoMod("m")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("go 1.26\n", None),
        ("module\n", 1),
        ("module a\nmodule b\n", 2),
        ("module a\ngo 1.26 1.27\n", 2),
        ("module a\nrequire b\n", 2),
        ("module a\nrequire (\n\tb v1 v2\n)\n", 3),
        ("module a\nrequire (\n\tb v1\n", 2),
        ("module a\nreplace b v1\n", 2),
        ("module a\nreplace b => \n", 2),
        ("module a\nreplace b => c\n", 2),
        ("module a\nreplace b => c => d\n", 2),
        ("module a\nexclude b\n", 2),
        ("module a\nretract [v1, v2\n", 2),
        ("module a\nretract [\n", 2),
        ("module a\ngodebug panicnil\n", 2),
        ('module "a\n', 1),
        ("module `a\n`\n", 1),
        ("module a\n/* no comment */\n", 2),
        ('module "\\q"\n', 1),
    ],
)
def test_names_the_wrong_line(text, line):
    """What is wrong is told with its line."""
    with pytest.raises(InvalidDocument) as caught:
        parse_go_mod(text, "go.mod")

    assert caught.value.name == (f"go.mod:{line}" if line else "go.mod")


@settings(max_examples=100)
@given(st.lists(st.tuples(WORDS, WORDS, st.booleans()), max_size=6), st.booleans())
def test_reads_what_was_written(entries, block):
    """Requirements survive being written, in either form."""
    lines = [f"{path} {version}{' // indirect' if indirect else ''}" for path, version, indirect in entries]
    text = "require (\n" + "".join(f"\t{line}\n" for line in lines) + ")\n"
    text = text if block else "".join(f"require {line}\n" for line in lines)

    read = parse_go_mod("module m\n" + text, "go.mod")

    assert [(one.path, one.version, one.indirect) for one in read.require] == entries


@settings(max_examples=200)
@given(st.text(alphabet='module reqi()[],=>"`/*\\ab1.\t\n', max_size=120))
def test_mangled_files_end_in_an_error_or_a_value(text):
    """Whatever comes, reading ends with nothing but our own error."""
    with suppress(InvalidDocument):
        assert parse_go_mod(f"module m\n{text}", "go.mod").module == "m"


def test_comments_alone_take_no_time():
    """A large file of nothing but comments is read in one pass."""
    assert parse_go_mod("module m\n" + "//\n" * 100_000 + "go 1.26\n", "go.mod").go == "1.26"


def test_of_this_repository():
    """The example's own go.mod is read."""
    path = Path(__file__).resolve().parents[2] / "examples" / "hello" / "go.mod"

    assert parse_go_mod(path.read_text(), str(path)).module == "example.com/hello"


def test_values():
    """What is read is typed."""
    read = parse_go_mod("module m\nreplace a v1 => b v2\nretract v1 // why\n", "go.mod")

    assert read.replace == (Replacement("a", "v1", "b", "v2", 2),)
    assert read.retract == (Retraction("v1", "v1", "why", 3),)
