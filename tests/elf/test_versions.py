"""Symbol versions, against readelf and against sections made by hand."""

import re
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_elf import BASE, NATIVE, Shape, made_elf
from needs import need
from wherry.elf.reader import Elf
from wherry.elf.versions import NeededVersion, SymbolVersions
from wherry.errors import InvalidDocument

VERDEF, VERDEFNUM, VERNEED, VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
WORD = st.text("ABCDEFGILZ_.0123456789", min_size=1, max_size=20)
SHAPES = st.builds(Shape, st.sampled_from("<>"), st.booleans(), st.just(62))


class Texts:
    """A table of strings that grows."""

    def __init__(self) -> None:
        self.content = b"\0"

    def put(self, text: str) -> int:
        """Add a text; give where it is."""
        at = len(self.content)
        self.content += text.encode() + b"\0"
        return at


def built(needs: list[tuple[str, list[tuple[str, bool]]]], defines: list[str], shape: Shape) -> bytes:
    """Make a file with both sections behind its strings."""
    texts, order = Texts(), shape.order
    need = b""
    for place, (library, versions) in enumerate(needs):
        more = 16 + 16 * len(versions) if place + 1 < len(needs) else 0
        need += struct.pack(order + "2H3I", 1, len(versions), texts.put(library), 16, more)
        for at, (version, weak) in enumerate(versions):
            following = 16 if at + 1 < len(versions) else 0
            need += struct.pack(order + "I2H2I", 0, 2 * weak, 2, texts.put(version), following)
    define = b""
    for place, version in enumerate(defines):
        more = 28 if place + 1 < len(defines) else 0
        define += struct.pack(order + "4H3I", 1, 0, place + 1, 1, 0, 20, more)
        define += struct.pack(order + "2I", texts.put(version), 0)
    tags = [(VERNEED, 0), (VERNEEDNUM, len(needs)), (VERDEF, 0), (VERDEFNUM, len(defines))]
    strings = texts.content + need + define
    end = len(made_elf(*tags, texts=strings, shape=shape))
    tags[0] = (VERNEED, BASE + end - len(need) - len(define))
    tags[2] = (VERDEF, BASE + end - len(define))
    return made_elf(*tags, texts=strings, shape=shape)


@given(
    st.lists(st.tuples(WORD, st.lists(st.tuples(WORD, st.booleans()), min_size=1, max_size=5)), min_size=1, max_size=4),
    st.lists(WORD, min_size=1, max_size=6),
    SHAPES,
)
def test_what_is_written_is_read(needs, defines, shape):
    """Of both classes and byte orders."""
    found = SymbolVersions.of(Elf.parse(built(needs, defines, shape), "made"))

    assert found.defined == tuple(defines)
    assert found.needed == tuple(
        NeededVersion(library, version, weak) for library, versions in needs for version, weak in versions
    )


@given(st.binary(max_size=200), st.integers(0, 250), st.integers(0, 1 << 40), SHAPES)
def test_any_bytes(content, offset, count, shape):
    """Give versions or a clear error, in bounded time."""
    word = (1 << 64 if shape.wide else 1 << 32) - 1
    tags = [(tag, value & word) for tag, value in ((VERNEED, BASE + offset), (VERNEEDNUM, count))]
    tags += [(VERDEF, BASE + offset), (VERDEFNUM, count & word)]
    try:
        SymbolVersions.of(Elf.parse(made_elf(*tags, texts=b"\0" + content, shape=shape), "made"))
    except InvalidDocument as error:
        assert error.problem  # noqa: PT017 - either end is right


def test_entries_in_a_circle_end():
    """A chain that goes on for ever is refused by the number of its entries."""
    entry = struct.pack("<I2H2I", 0, 0, 2, 1, 0xFFFFFFF0) + struct.pack("<2H3I", 1, 0xFFFF, 1, 0, 1)
    tags = [(VERNEED, 0), (VERNEEDNUM, 1 << 30)]
    texts = b"\0a\0" + entry + bytes(1 << 16)
    tags[0] = (VERNEED, BASE + len(made_elf(*tags, texts=texts)) - (1 << 16) - 16)

    with pytest.raises(InvalidDocument):
        SymbolVersions.of(Elf.parse(made_elf(*tags, texts=texts), "made"))


def test_a_file_without_versions():
    """Has none."""
    assert SymbolVersions.of(Elf.parse(made_elf(shape=NATIVE), "made")) == SymbolVersions()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sh", "gcc", "git"])
def test_reads_what_readelf_reads(name):
    """Programs of this machine, and the C library that they load."""
    program = Path(need(name)).resolve()
    library = next(Path("/lib").glob("*-linux-gnu/libc.so.6"), None)
    for file in filter(None, (program, library)):
        shown = subprocess.run(
            [need("readelf"), "-VW", file], capture_output=True, check=True, text=True, env={"LC_ALL": "C"}
        ).stdout
        defined, _, needed = shown.partition("Version needs section")

        found = SymbolVersions.of(Elf.parse(file.read_bytes(), name))

        assert [one.version for one in found.needed] == re.findall(r"Name: (\S+)  Flags", needed)
        assert list(found.defined) == re.findall(r"Cnt: \d+\s+Name: (\S+)", defined)
        assert found.needed
