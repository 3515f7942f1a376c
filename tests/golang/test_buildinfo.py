"""Build info, against `go version -m` and against texts of our own."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gobuild import HELLO, PRINT, go_binary, go_said, go_version
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument
from wherry.golang import buildinfo
from wherry.golang.buildinfo import MAGIC, BuildInfo, Module, parse_modinfo

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\t\n"), min_size=1, max_size=12)
PLAIN = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=' \t\r\n"`='), min_size=1, max_size=12
)
MODULES = st.builds(Module, WORDS, WORDS, WORDS | st.just(""))
INFOS = st.builds(
    BuildInfo,
    st.just(""),
    WORDS,
    MODULES | st.none(),
    st.lists(
        st.builds(lambda one, by: replace(one, sum="" if by else one.sum, replace=by), MODULES, MODULES | st.none()),
        max_size=4,
    ).map(tuple),
    st.dictionaries(PLAIN, st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=4),
)


def blob_of(version: bytes, modinfo: bytes, flags: int = 2) -> bytes:
    """Put a section together as the linker does."""
    return MAGIC + bytes([8, flags]) + bytes(16) + _counted(version) + _counted(modinfo)


def _counted(text: bytes) -> bytes:
    size, length = b"", len(text)
    while length >= 0x80:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return size + bytes([length]) + text


def written(info: BuildInfo) -> str:
    """Write the lines as Go's BuildInfo.String does."""
    lines = [f"path\t{info.path}"]
    mains = [("mod", info.main)] if info.main else []
    for word, module in [*mains, *(("dep", module) for module in info.modules)]:
        lines.append(f"{word}\t{module.path}\t{module.version}" + ("" if module.replace else f"\t{module.sum}"))
        if module.replace:
            lines.append(f"=>\t{module.replace.path}\t{module.replace.version}\t{module.replace.sum}")
    lines += [f"build\t{key}={_quoted(text)}" for key, text in info.settings.items()]
    return "".join(line + "\n" for line in lines)


def _quoted(text: str) -> str:
    if not any(char in ' \t\r\n"`' for char in text):
        return text
    return '"' + "".join(f"\\U{ord(char):08x}" if char in '"\\\n\r\t' else char for char in text) + '"'


def section_of(binary: Path) -> bytes:
    """Cut the section out."""
    elf = Elf.parse(binary.read_bytes(), binary.name)
    section = elf.section(buildinfo.SECTION)
    assert section
    return bytes(elf.content(section))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "arch"), [(["-ldflags=-s -X 'main.x=a b'"], "amd64"), (["-trimpath", "-tags=a,b"], "s390x"), ([], "386")]
)
def test_reads_what_go_reads(flags, arch):
    """Every line of `go version -m` is there, whatever the byte order."""
    binary = go_binary(HELLO, *flags, arch=arch)
    shown = go_said("version", "-m", str(binary)).split("\n", 1)
    lines = "".join(line.removeprefix("\t") + "\n" for line in shown[1].splitlines())

    info = BuildInfo.parse(section_of(binary), "hello")

    assert info.go_version == go_version() == shown[0].rpartition(" ")[2]
    assert replace(info, go_version="") == parse_modinfo(lines, "shown")
    assert info.path == "example.com/hello"
    assert info.settings["GOARCH"] == arch


@pytest.mark.slow
def test_modules_and_replacements():
    """A dependency that a folder stands for is shown with that folder."""
    library = Path(__file__).parent / "library"
    source = PRINT.replace('import "fmt"', 'import "fmt"\nimport _ "example.com/library"')
    go_mod = f"\nrequire example.com/library v1.2.3\nreplace example.com/library => {library}\n"

    info = BuildInfo.parse(section_of(go_binary(source, go_mod=go_mod)), "hello")

    assert info.main == Module("example.com/hello", "(devel)")
    assert info.modules == (Module("example.com/library", "v1.2.3", "", Module(str(library), "(devel)")),)


def test_found_without_sections():
    """Without a section table it is found by its mark, at a multiple of 16 only."""
    blob = blob_of(b"go1.26.8", b"")

    assert buildinfo.find(bytes(32) + blob) == 32
    assert buildinfo.find(bytes(8) + blob + bytes(8 - len(blob) % 16 + 16) + blob) is not None
    assert buildinfo.find(bytes(8) + blob) is None


def test_refuses_the_form_of_old_go():
    """Before Go 1.18 the section only points at its texts; that is said."""
    with pytest.raises(InvalidDocument) as caught:
        BuildInfo.parse(blob_of(b"", b"", flags=0), "old")

    assert "1.18" in caught.value.problem


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"something else entirely, and long enough for it",
        MAGIC + bytes([8, 2]),
        MAGIC + bytes([8, 2]) + bytes(16),
        MAGIC + bytes([8, 2]) + bytes(16) + b"\x05go1",
        MAGIC + bytes([8, 2]) + bytes(16) + b"\xff" * 12,
    ],
)
def test_refuses_what_is_cut_short(blob):
    """A text that goes past the end is refused, however long it says it is."""
    with pytest.raises(InvalidDocument):
        BuildInfo.parse(blob + (b"" if len(blob) != 32 else b"\x85"), "cut")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("path\ta\nmod\tonly\n", 2),
        ("dep\ta\tv1\th1\tmore\n", 1),
        ("=>\ta\tv1\t\n", 1),
        ("mod\ta\tv1\n=>\tb\tv1\t\n=>\tc\tv1\t\n", 3),
        ("build\tnothing\n", 1),
        ("build\t=x\n", 1),
        ('build\tkey="open\n', 1),
        ('build\t"key"x=1\n', 1),
    ],
)
def test_names_the_wrong_line(text, line):
    """A line that says too little or too much is named."""
    with pytest.raises(InvalidDocument) as caught:
        parse_modinfo(text, "binary")

    assert f"line {line}:" in caught.value.problem


def test_passes_over_unknown_lines():
    """What a later Go may add is no error."""
    assert parse_modinfo("path\ta\nnews\tfrom the future\n", "binary").path == "a"


@settings(max_examples=100)
@given(INFOS)
def test_reads_what_was_written(info):
    """Every build info survives being written."""
    assert parse_modinfo(written(info), "binary") == info


@settings(max_examples=50)
@given(INFOS, WORDS)
def test_reads_what_was_packed(info, version):
    """So it does in the section."""
    framed = b"0" * 16 + written(info).encode() + b"1" * 16

    assert BuildInfo.parse(blob_of(version.encode(), framed), "binary") == replace(info, go_version=version)


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_mangled_sections_end_in_an_error_or_a_value(blob):
    """Whatever follows the mark, reading ends with nothing but our own error."""
    try:
        info = BuildInfo.parse(MAGIC + bytes([8, 2]) + blob, "mangled")
    except InvalidDocument:
        return
    assert len(info.go_version) <= len(blob)
