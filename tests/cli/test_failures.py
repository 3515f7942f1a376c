"""What a failing command prints: paths from here, annotations of GitHub, JSON."""

import json

import pytest

from cli_shell import Shell
from needs import need
from small_images import put_image


@pytest.fixture
def wherry(tmp_path):
    """A shell in a folder."""
    return Shell(tmp_path / "here")


def broken(wherry):
    """A module with a program that does not compile, and the package that is to blame."""
    need("go")
    wherry.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    wherry.write("cmd/worker/main.go", 'package main\n\nimport "example.com/app/x"\n\nfunc main() { x.X() }\n')
    wherry.write("x/x.go", "package x\n\nfunc X() { a, b := 50%10, nothing }\n")


@pytest.mark.slow
@pytest.mark.parametrize("command", [("build",), ("slim",), ("flags",)])
def test_paths_start_where_the_user_is(wherry, command):
    """A terminal can follow them, as those of `go build`."""
    broken(wherry)

    wherry(*command, "./cmd/worker", code=65)

    assert "x/x.go:3:" in wherry.err
    assert "../x/x.go" not in wherry.err


@pytest.mark.slow
@pytest.mark.parametrize("workspace", ["", "above"])
def test_annotations(wherry, workspace):
    """Each error of the compiler is an annotation of its line, by a path from the checkout's root."""
    broken(wherry)
    if workspace:
        wherry.environment["GITHUB_WORKSPACE"] = str(wherry.root.parent)

    assert wherry("build", "--format", "github", "./cmd/worker", code=65) == []

    marks = [line for line in wherry.err.splitlines() if line.startswith("::")]
    file = "here/x/x.go" if workspace else "x/x.go"
    assert any(line.startswith(f"::error file={file},line=3,col=") and "undefined: nothing" in line for line in marks)


def test_an_error_without_a_place_is_annotated(wherry):
    """The run carries it; percent signs and line ends can't end the command."""
    wherry("build", "--format", "github", "100%", code=66)

    (mark,) = [line for line in wherry.err.splitlines() if line.startswith("::")]
    assert mark.startswith("::error::100%25: ")
    assert "%0A" in mark


def test_findings_are_annotated(wherry):
    """`wherry lint` marks the line, and the parse error where there is one."""
    wherry.write("Dockerfile", "from scratch\nCOPY a /\n")
    assert wherry("lint", "--format", "github", code=1)
    marks = [line for line in wherry.err.splitlines() if line.startswith("::")]
    assert marks
    assert all(line.startswith("::warning file=Dockerfile,line=1,title=") for line in marks)

    wherry.write("Dockerfile", "FROM scratch\nCOPPY a /\n")
    wherry("lint", "--format", "github", code=65)
    assert any(line.startswith("::error file=Dockerfile,line=2::") for line in wherry.err.splitlines())


def test_lint_takes_the_file_as_build_does(wherry):
    """`-f FILE` names the Dockerfile, and the context is the folder that is called in, or the argument."""
    wherry.write("deploy/api.Dockerfile", "FROM scratch\nCOPY main.go /\n")
    wherry.write("main.go", "package main\n")

    assert wherry("lint", "-f", "deploy/api.Dockerfile") == []
    assert wherry("lint", "-f", "deploy/api.Dockerfile", ".") == []


@pytest.mark.parametrize("words", ["build", "lint", "inspect", "deps", "size", "leaks", "load", "timeouts", "scan"])
def test_a_name_that_is_too_long(wherry, words):
    """It is an error of the user's, short enough to be read, and no bug of ours."""
    wherry.environment["GOVULNDB"] = f"file://{wherry.root}"
    del wherry.environment["WHERRY_DEBUG"]  # which has errors that no room translated raised

    assert wherry.ended(words, "a" * 300) not in {0, 70}
    assert "internal error" not in wherry.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("build", "./nowhere", "--json"), 66),
        (("inspect", "nothing:1", "--json"), 66),
        (("size", "nothing:1", "--json"), 66),
        (("push", "localhost:1/nothing:1", "--json"), 69),
        (("pull", "UPPER:1", "--json"), 64),
        (("images", "--json", "--no-such-option"), 64),
        (("inspect", "--json"), 64),
        (("gc", "--json", "--older", "never"), 64),
        (("report", "nothing:1", "--json"), 66),
    ],
)
def test_json_also_on_failure(wherry, words, code):
    """A script that asked for JSON gets JSON, with the message, the hint and the exit code; people get theirs."""
    (line,) = wherry(*words, code=code)

    error = json.loads(line)["error"]
    assert error["exitCode"] == code
    assert error["message"]
    assert "rror:" in wherry.err


@pytest.mark.slow
def test_places_are_in_the_document(wherry):
    """The lines that a compiler names."""
    broken(wherry)

    (line,) = wherry("build", "--json", "./cmd/worker", code=65)

    places = json.loads(line)["error"]["places"]
    assert {(place["file"], place["line"]) for place in places} == {("x/x.go", 3)}


def test_only_one_document(wherry):
    """A command that printed its document before it failed prints no second one."""
    wherry.write("Dockerfile", "FROM scratch\nCOPPY a /\n")

    found = json.loads("\n".join(wherry("lint", "--json", code=65)))

    assert found[-1]["rule"] == "syntax"
    assert found[-1]["place"] == "Dockerfile:2"


def test_gc_prints_json(wherry):
    """What would be deleted, and what was."""
    wherry.store.tag("a:1", put_image(wherry.store))
    wherry("rm", "a:1")

    dry = wherry("gc", "--older", "0s", "--dry-run", "--json")
    done = wherry("gc", "--older", "0s", "--json")

    assert len(done) > 1  # indented, as all documents are
    would, did = json.loads("".join(dry)), json.loads("".join(done))
    assert would["dryRun"]
    assert not did["dryRun"]
    assert would["blobs"] == did["blobs"] != []
    assert did["bytes"] == sum(blob["size"] for blob in did["blobs"])
    assert json.loads("".join(wherry("gc", "--older", "0s", "--json")))["blobs"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("epoch", "shown"), [("", "-"), ("0", "-"), ("1767323045", "2026-01-02 03:04")])
def test_times_are_the_same_everywhere(wherry, epoch, shown):
    """`images` and `inspect` show an image's time alike; a reproducible image has none."""
    need("go")
    wherry.module()
    wherry.environment["SOURCE_DATE_EPOCH"] = epoch
    wherry("build", "-t", "a:1")

    (created,) = [line.split(maxsplit=1)[1] for line in wherry("inspect", "a:1") if line.split()[:1] == ["created"]]

    assert created == shown
    assert wherry("images")[1].endswith(f"  {shown}")


def test_h_is_help_everywhere(wherry):
    """Also of `run`, where docker has it for the host name."""
    from wherry.cli.main import COMMANDS

    for name in COMMANDS:
        assert wherry(name, "-h") == wherry(name, "--help")
