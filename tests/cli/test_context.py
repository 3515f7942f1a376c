"""`wherry context`: what a build context ships, and lines for .dockerignore."""

import json
from contextlib import closing

import msgspec
import pytest
from tests.cli_shell import Shell

from wherry.build.values import Observed
from wherry.dockerfile.ignore import Patterns, read_ignore_file
from wherry.source.inputs import Input, InputKind
from wherry.store.results import Results, StepRecord


@pytest.fixture
def shell(tmp_path):
    """A context in which instructions take some files."""
    shell = Shell(tmp_path / "context")
    shell.write("Dockerfile", "FROM a AS b\nCOPY go.* src /x/\nFROM c\nCOPY --from=b /x /x\n")
    shell.write("go.mod", "a")
    shell.write("src/main.go", "ab")
    shell.write("docs/a/b.md", "abc")
    shell.write("docs/c.md", "abcd")
    return shell


def content(shell: Shell, *words: str) -> dict:
    """Give the document."""
    return json.loads("\n".join(shell("context", ".", "--json", *words)))


def suggested(found: dict) -> dict[str, tuple[int, bool]]:
    """Give bytes and safety by line."""
    return {one["pattern"]: (one["bytes"], one["safe"]) for one in found["suggested"]}


def test_what_no_instruction_takes_is_folded(shell):
    """One line for a folder of which nothing is taken; sizes add up."""
    found = content(shell)

    assert (found["bytes"], found["files"], found["taken_bytes"], found["taken_files"]) == (10, 4, 3, 2)
    assert suggested(found) == {"docs": (7, True)}
    assert [(one["name"], one["bytes"], one["taken_bytes"]) for one in found["entries"]] == [
        ("docs", 7, 0),
        ("src", 2, 2),
        ("go.mod", 1, 1),
    ]


def test_the_lines_do_what_they_say(shell):
    """With them in .dockerignore nothing is left to say, and all that was taken is there."""
    for name in ("!a", "#b", "c*d", "e[f", "src2/g?", "h\\i", "src2/j k"):
        shell.write(name, "abc")
    before = content(shell)
    shell.write(".dockerignore", "".join(f"{line}\n" for line in suggested(before)))

    after = content(shell)

    assert after["suggested"] == []
    assert after["bytes"] == after["taken_bytes"] == before["taken_bytes"]


def test_taken_next_to_untaken(shell):
    """A folder with something taken is not left out whole."""
    shell.write("Dockerfile", "FROM a\nCOPY docs/a /a\n")
    lines = suggested(content(shell))

    assert set(lines) == {"docs/c.md", "go.mod", "src"}
    assert not Patterns(read_ignore_file("\n".join(lines))).fit("docs/a/b.md")


def test_a_copy_of_everything(shell):
    """All is taken then; what steps rarely read is to be checked, not safe."""
    shell.write("Dockerfile", "FROM a\nCOPY . .\n")
    shell.write(".git/HEAD", "abcde")
    shell.write("web/node_modules/a/index.js", "abcdef")

    found = content(shell)

    assert found["taken_bytes"] == found["bytes"]
    assert suggested(found) == {"**/node_modules": (6, False), "**/.git": (5, False)}


def test_what_is_ignored_does_not_count(shell):
    """Nor is it opened, unless a pattern brings something of it back."""
    shell.write(".dockerignore", "docs\n!docs/c.md\n")

    assert suggested(content(shell)) == {"docs": (4, True)}


def test_links_are_not_followed(shell):
    """A link counts as itself, and one to its own folder ends."""
    (shell.root / "src/loop").symlink_to(".")
    assert content(shell)["files"] == 5


def test_text(shell):
    """A total, the entries, the lines."""
    lines = shell("context", ".")

    assert lines[0] == "10 B in 4 files; instructions take 3 B in 2"
    assert lines[1].split() == ["7", "B", "2", "files", "0", "B", "taken", "docs"]
    assert lines[-1].split()[:5] == ["7", "B", "2", "files", "safe"]


def test_what_is_no_context(shell):
    """No folder, no Dockerfile, a URL, a broken file: errors, no traceback."""
    assert shell.ended("context", "none") not in (0, 1)
    shell.write("Dockerfile", "COPPY\n")
    assert shell.ended("context", ".") == 65
    assert "Dockerfile:1" in shell.err


def test_safe_lines_are_written(shell):
    """The diff on stdout; what was in the file stays, its line ends and its last line too."""
    (shell.root / ".dockerignore").write_bytes(b"# ours\r\nx")
    shell.write("LICENSE", "a")

    lines = shell("context", ".", "--fix", "--dry-run", code=1)
    assert (shell.root / ".dockerignore").read_bytes() == b"# ours\r\nx"
    assert lines[3:8] == [" # ours", "-x", "\\ No newline at end of file", "+x", "+docs"]

    shell("context", ".", "--fix")
    assert (shell.root / ".dockerignore").read_bytes() == b"# ours\r\nx\r\ndocs\r\n"
    assert "1 line added, 1 left to decide on" in shell.err
    assert json.loads("\n".join(shell("context", ".", "--fix", "--dry-run", "--json")))["fix"]["lines"] == []


def test_the_ignore_file_of_the_dockerfile_is_written(shell):
    """Where there is one, it alone counts; without any, .dockerignore is made."""
    shell.write("Dockerfile.dockerignore", "!docs/c.md\n")
    shell("context", ".", "--fix")
    assert (shell.root / "Dockerfile.dockerignore").read_text() == "!docs/c.md\ndocs\n"
    assert not (shell.root / ".dockerignore").exists()


GO = """FROM golang:1.26 AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -o /app .
FROM scratch
COPY --from=build /app /app
"""


@pytest.fixture
def compiled(shell):
    """A module that embeds a file, with a record of its compilation, and a Dockerfile that compiles it."""
    shell.module()
    shell.write("Dockerfile", GO)
    source = 'package main\n\nimport _ "embed"\n\n//go:embed a.md\nvar a string\n\nfunc main() { println(a) }\n'
    shell.write("main.go", source)
    shell.write("main_test.go", "package main\n")
    for name in ("a.md", "b.md", "c.md", "LICENSE", ".git/HEAD"):
        shell.write(name, "abc")
    inputs = tuple(
        Input(str(shell.root / name), kind, b"")
        for name, kind in (("main.go", InputKind.FILE), ("a.md", InputKind.FILE), ("", InputKind.FOLDER))
    )
    record = StepRecord("a", "b", f"{shell.root} compile", 1.0, b"", msgspec.msgpack.encode(Observed(inputs)), b"")
    with closing(Results(shell.root / "cache")) as results:
        results.put(record)
    shell.write(".dockerignore", "cache\nstore\n")
    return shell


def test_what_the_compiler_did_not_read(compiled):
    """Lines without what is embedded, sources, the licence and .git; tests are for the user to decide on."""
    assert {name: safe for name, (_, safe) in suggested(content(compiled)).items()} == {
        "docs": True,
        "b.md": True,
        "c.md": True,
        "main_test.go": False,
        "**/.git": False,
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("go build -o /app .", "make app"),
        ("COPY --from=build /app /app", "COPY --from=build /src/docs /docs"),
        ("FROM scratch", "FROM build AS other\nFROM scratch"),
        ("FROM scratch\nCOPY --from=build /app /app\n", ""),
    ],
)
def test_what_other_steps_may_read(compiled, old, new):
    """Another program, another stage, or an image with the sources: then nothing is known to be unread."""
    compiled.write("Dockerfile", GO.replace(old, new))
    assert suggested(content(compiled)) == {"**/.git": (3, False)}


def test_an_embedding_program_that_was_not_compiled(compiled):
    """It may need any file: no line is safe then."""
    compiled.write("cmd/b/main.go", "package main\n\n//go:embed x\n")
    assert not any(safe for _, safe in suggested(content(compiled)).values())
