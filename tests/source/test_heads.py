"""What of a source decides which files a build reads."""

import hashlib

import pytest

from wherry.source.heads import head_of, heads_of, same_heads
from wherry.source.inputs import CHANGED_WHILE_BUILDING, Input, InputKind, content_of

SOURCE = b"""//go:build linux

// Package main does things.
package main

import "fmt"
import (
	"embed"; other "example.com/a" // why
	. `example.com/b`
	/* blank */ _ "example.com/c"
)

//go:embed data
var data embed.FS

func main() { fmt.Println(data) }
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"fmt.Println(data)", b"fmt.Println(other.X, data)"),
        (b"func main", b"// Does it.\nfunc main"),
        (b"func main() {", b'var x = `import "unsafe"`\n\nfunc main() {'),
        (b"var data", b"var\tdata"),
    ],
)
def test_a_body_is_not_in_the_head(old, new):
    """What is declared decides nothing."""
    assert old in SOURCE
    assert head_of(SOURCE) == head_of(SOURCE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"go:build linux", b"go:build darwin"),
        (b"package main", b"package other"),
        (b'import "fmt"', b'import "log"'),
        (b'import "fmt"\n', b'import "fmt"\nimport "log"\n'),
        (b"example.com/a", b"example.com/z"),
        (b"example.com/b", b"example.com/z"),
        (b"example.com/c", b"example.com/z"),
        (b"\n)\n", b'\n\t"log"\n)\n'),
        (b"go:embed data", b"go:embed data2"),
        (b"func main", b"//go:embed more\nvar more string\n\nfunc main"),
    ],
)
def test_constraints_imports_and_patterns_are(old, new):
    """Each makes Go read other files."""
    assert old in SOURCE
    assert head_of(SOURCE) != head_of(SOURCE.replace(old, new))


@pytest.mark.parametrize(
    "source",
    [
        b"", b"package", b"package 1", b"package main\nimport", b'package main\nimport (\n"a"', b"\x00",
        b"/* package main",
        b'package main\nimport "a" "b"\nfunc f() {}', b"package main\nimport (1)\nvar a = 1", b"package main\n}\n",
    ],
)  # fmt: skip
def test_what_is_no_source_is_all_head(source):
    """Where the end of the imports isn't clear, each byte counts."""
    assert head_of(source) == hashlib.sha256(source).digest()


def test_words_that_begin_like_import_are_declarations_of_another_time():
    """A name that only begins with `import` ends the imports."""
    one, two = (b"package a\nimportant := %d\n" % number for number in (1, 2))

    assert head_of(one) == head_of(two)


def test_a_file_that_changed_since_it_was_recorded_has_no_head(tmp_path):
    """Its head would be of other bytes than the record's."""
    file = tmp_path / "a.go"
    file.write_bytes(SOURCE)
    entry = Input(str(file), InputKind.FILE, content_of(str(file), InputKind.FILE))
    assert heads_of([entry], ()) == {str(file): head_of(SOURCE)}

    file.write_bytes(SOURCE + b"// more\n")
    assert heads_of([entry], ()) == {}
    assert heads_of([Input(str(file), InputKind.FILE, CHANGED_WHILE_BUILDING)], ()) == {}
    assert heads_of([entry], [str(tmp_path)]) == {}


def test_only_bodies_of_known_sources_may_have_changed(tmp_path):
    """Another import, a deleted file, a folder and an unknown file make Go list them again."""
    file = tmp_path / "a.go"
    heads = {str(file): head_of(SOURCE)}

    def now(path=file):
        return Input(str(path), InputKind.FILE, content_of(str(path), InputKind.FILE))

    file.write_bytes(SOURCE.replace(b"fmt.Println(data)", b""))
    assert same_heads([now()], heads)
    assert not same_heads([now(), Input(str(tmp_path), InputKind.FOLDER, b"x")], heads)
    assert not same_heads([now(), now(tmp_path / "b.go")], heads)
    file.write_bytes(SOURCE.replace(b'"fmt"', b'"log"'))
    assert not same_heads([now()], heads)
    file.unlink()
    assert not same_heads([now()], heads)
