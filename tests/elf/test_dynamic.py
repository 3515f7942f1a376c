"""The dynamic section, against readelf and against sections made by hand."""

import re
import subprocess
from pathlib import Path

import pytest

from gobuild import USER, go_binary
from made_elf import NATIVE, Shape, made_elf
from needs import need
from wherry.elf.dynamic import Dynamic
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument


def made(*entries: tuple[int, int], texts: bytes = b"\0", shape: Shape = NATIVE) -> Elf:
    """Read a file made by hand."""
    return Elf.parse(made_elf(*entries, texts=texts, shape=shape), "made")


@pytest.mark.slow
def test_reads_what_readelf_reads():
    """A program linked by gcc needs what readelf says."""
    binary: Path = go_binary(USER, cgo=True)
    shown = subprocess.run([need("readelf"), "-dW", binary], capture_output=True, check=True, text=True, env={}).stdout

    dynamic = Dynamic.of(Elf.parse(binary.read_bytes(), "user"))

    assert list(dynamic.needed) == re.findall(r"\(NEEDED\)\s+Shared library: \[(.+)\]", shown)
    assert dynamic.needed


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_all_tags(order, wide):
    """Every tag we know is read, of both classes and byte orders."""
    texts = b"\0liba.so.1\0libself.so\0/opt/lib:$ORIGIN/../lib\0/old\0"
    elf = made(
        (1, 1), (14, texts.index(b"libself")), (29, texts.index(b"/opt")), (15, texts.index(b"/old")),
        (30, 8), (0x6FFFFFFB, 0x08000001), texts=texts, shape=Shape(order, wide),
    )  # fmt: skip

    dynamic = Dynamic.of(elf)

    assert dynamic == Dynamic(
        present=True, needed=("liba.so.1",), soname="libself.so", rpath=("/old",),
        runpath=("/opt/lib", "$ORIGIN/../lib"), flags=8, flags_1=0x08000001,
    )  # fmt: skip
    assert dynamic.search == ("/opt/lib", "$ORIGIN/../lib")


def test_a_name_outside_the_texts():
    """The tag whose name is nowhere is named."""
    with pytest.raises(InvalidDocument) as caught:
        Dynamic.of(made((1, 500)))

    assert caught.value.problem.startswith("DT_NEEDED")


def test_texts_outside_the_file():
    """A table of texts that no segment holds is refused."""
    with pytest.raises(InvalidDocument) as caught:
        Dynamic.of(made((5, 0x10), (1, 1)))

    assert caught.value.problem.startswith("DT_STRTAB")


def test_too_many_libraries():
    """A made-up number of libraries is refused before their names are read."""
    with pytest.raises(InvalidDocument) as caught:
        Dynamic.of(made(*[(1, 0)] * 5000))

    assert "5000" in caught.value.problem
