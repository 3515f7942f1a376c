"""The pclntab's names, against `go tool nm` and against mangled tables."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gobuild import HELLO, PRINT, go_binary, go_said
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument
from wherry.golang.pclntab import SECTIONS, Pclntab, function_names, has_function


def section_of(binary: Path) -> memoryview:
    """Cut the section out."""
    elf = Elf.parse(binary.read_bytes(), binary.name)
    return next(elf.content(section) for section in elf.sections if section.name in SECTIONS)


def small(order: str = "<", pointer: int = 8, magic: int = 0xFFFFFFF1) -> bytes:
    """Make a table of two functions and one file."""
    functions, files = b"main.main\0main.help\0", b"example.com/hello/main.go\0"
    start = 8 + 8 * pointer
    offsets = [start, start + len(functions), start + len(functions), start + len(functions) + len(files)]
    words = [2, 1, 0, *offsets, offsets[-1]]
    head = struct.pack(f"{order}I2xBB8{'Q' if pointer == 8 else 'I'}", magic, 1, pointer, *words)
    return head + functions + files


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "386", "s390x"])
def test_names_what_nm_names(arch):
    """Every Go function of the symbol table is in the stripped twin's table too."""
    symbols = go_said("tool", "nm", str(go_binary(HELLO, arch=arch))).splitlines()
    texts = {row.split(None, 2)[2] for row in symbols if row.split(None, 2)[1] in "Tt"}
    linkers_own = {
        name for name in texts if name.startswith(("_rt0_", "runtime.text", "runtime.etext", "go:", "type:"))
    }
    table = Pclntab.parse(section_of(go_binary(HELLO, "-trimpath", "-ldflags=-s", arch=arch)), "hello")

    names = set(table.function_names())

    assert {name for name in texts - linkers_own if not name.endswith(".abi0")} <= names
    assert len(names) >= table.functions / 2
    assert "main.main" in names


@pytest.mark.slow
def test_files():
    """With -trimpath the files go by import path; without, by where they lay."""
    trimmed = Pclntab.parse(section_of(go_binary(HELLO, "-trimpath", "-ldflags=-s")), "hello")
    plain = Pclntab.parse(section_of(go_binary(PRINT)), "hello")

    assert "example.com/hello/main.go" in set(trimmed.file_names())
    assert "fmt/print.go" not in set(plain.file_names())
    assert any(name.startswith("/") and name.endswith("/fmt/print.go") for name in plain.file_names())
    assert len(list(trimmed.file_names())) == trimmed.files


@pytest.mark.slow
def test_has_function():
    """A function that is linked is found; one that is only a part of a name is not."""
    section = section_of(go_binary(PRINT, "-ldflags=-s"))

    assert has_function(section, "fmt.Println")
    assert has_function(section, "main.main")
    assert not has_function(section, "fmt.Printl")
    assert not has_function(section, "mt.Println")
    assert not has_function(section, "net/http.Get")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pointer", [4, 8])
def test_all_shapes(order, pointer):
    """Both byte orders and both pointer sizes are read."""
    table = Pclntab.parse(small(order, pointer), "small")

    assert list(table.function_names()) == list(function_names(small(order, pointer))) == ["main.main", "main.help"]
    assert list(table.file_names()) == ["example.com/hello/main.go"]
    assert table.has_function("main.main")
    assert table.has_any(("a.b", "main.help"))
    assert not table.has_function("main.")


@pytest.mark.parametrize(("magic", "said"), [(0xFFFFFFF0, "Go 1.18"), (0xFFFFFFFA, "Go 1.16"), (0xFFFFFFFB, "1.16")])
def test_says_which_go_is_too_old(magic, said):
    """A table of an older Go is recognised and refused."""
    with pytest.raises(InvalidDocument) as caught:
        Pclntab.parse(small(magic=magic), "old")

    assert said in caught.value.problem


@pytest.mark.parametrize("length", [0, 7, 8, 71, 72, 100])
def test_cut_short(length):
    """A table that was cut short is refused."""
    with pytest.raises(InvalidDocument):
        Pclntab.parse(small()[:length], "cut")


@settings(max_examples=300)
@given(st.integers(0, 71), st.integers(0, 255), st.integers(0, 71), st.integers(0, 255))
def test_mangled_headers_end_in_an_error_or_a_value(first, one, second, other):
    """Whatever the header says, reading ends with nothing but our own error."""
    blob = bytearray(small())
    blob[first], blob[second] = one, other

    try:
        table = Pclntab.parse(bytes(blob), "mangled")
    except InvalidDocument:
        return
    assert sum(map(len, table.function_names())) + sum(map(len, table.file_names())) <= len(blob)
