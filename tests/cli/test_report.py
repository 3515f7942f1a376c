"""`wherry report` as a user calls it."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from built_images import file, put_layers
from cli_shell import Shell
from gobuild import PRINT, go_binary
from size_documents import small
from wherry.errors import InvalidUsage
from wherry.oci.config import History


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A shell with a size document in its folder."""
    shell = Shell(tmp_path)
    shell.write("size.json", msgspec.json.encode(small()).decode())
    return shell


def tree_in(page: Path) -> dict[str, list[object]]:
    """Give the packed tree of a page."""
    found = re.search(r'id="tree">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    tree: dict[str, list[object]] = json.loads(found[1])
    return tree


def test_from_a_document(wherry, tmp_path):
    """What size printed becomes a page; nothing goes to stdout."""
    assert wherry("report", "--html", "page.html", "--from", "size.json") == []

    assert "net/http" in tree_in(tmp_path / "page.html")["names"]


def test_other_documents_are_sections(wherry, tmp_path):
    """Slimming and flags show where they are given, and only there."""
    ways = [{"name": "grpc", "tags": ["grpcnotrace"], "unpacked": 5, "saved": 7, "drops": "x/trace"}]
    wherry.write("slim.json", json.dumps({"schema": "wherry.slim/1", "told": True, "eliminated": False, "ways": ways}))
    wherry.write("flags.json", json.dumps({"schema": "wherry.flags/1", "variants": [{"name": "-s", "unpacked": 9}]}))
    wherry("report", "--html", "page.html", "--from", "size.json", "--slim", "slim.json", "--flags", "flags.json")
    page = (tmp_path / "page.html").read_text()

    assert "grpcnotrace" in page
    assert 'id="flags"' in page
    assert 'id="leaks"' not in page


def test_budgets_that_were_checked(wherry, tmp_path):
    """What `wherry check --json` printed is shown with what it found."""
    budgets = [{"what": "module example.com/x", "limit": 1_000_000, "actual": 1_234_567, "ok": False}]
    wherry.write("budgets.json", json.dumps({"schema": "wherry.budgets/1", "budgets": budgets}))

    wherry("report", "--html", "page.html", "--from", "size.json", "--budgets", "budgets.json")

    page = (tmp_path / "page.html").read_text()
    assert 'id="budgets"' in page
    assert "module example.com/x" in page
    assert "1.2 MB" in page


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("size.json", "--from", "size.json"),
        ("--from", "absent.json"),
        ("--from", "size.json", "--slim", "size.json"),
    ],
)
def test_refused(wherry, tmp_path, words):
    """Without a subject, with two, or with a document of another kind there is no page."""
    with pytest.raises(AssertionError):
        wherry("report", "--html", "page.html", *words)
    assert "Traceback" not in wherry.err
    assert wherry.err

    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
def test_of_an_image(wherry, tmp_path):
    """A program stands in its layer, opened; the root is what the layers hold."""
    program = go_binary(PRINT, "-trimpath", "-ldflags=-s")
    layers = [[file("etc/passwd", b"root:x:0:0\n")], [file("app/hello", program.read_bytes(), 0o755)]]
    wherry.store.tag("hello:dev", put_layers(wherry.store, layers))
    wherry("report", "--html", "page.html", "hello:dev")
    tree = tree_in(tmp_path / "page.html")

    assert tree["bytes"][0] == program.stat().st_size + 11
    assert str(tree["types"]).startswith("rl")
    assert "b" in tree["types"]


def test_a_page_has_a_name_of_its_own(wherry, tmp_path):
    """Without --html the page is named after its subject; it replaces a page, and no other file."""
    wherry("report", "--from", "size.json")
    wherry("report", "--from", "size.json")
    assert "net/http" in tree_in(tmp_path / "api-dev.html")["names"]

    wherry.write("api-dev.html", "mine")
    wherry("report", "--from", "size.json", code=InvalidUsage.exit_code)
    assert (tmp_path / "api-dev.html").read_text() == "mine"


def test_compares_with_a_document(wherry, tmp_path):
    """--against shows what changed since another document."""
    old = msgspec.structs.replace(small(), name="api:old")
    wherry.write("old.json", msgspec.json.encode(old).decode())
    wherry("report", "--from", "size.json", "--against", "old.json")
    tree = tree_in(tmp_path / "api-old-to-api-dev.html")

    assert tree["before"] == tree["bytes"]


@pytest.mark.slow
def test_compares_with_a_program(wherry, tmp_path):
    """--against measures a program."""
    old, new = go_binary(PRINT), go_binary(PRINT, "-trimpath", "-ldflags=-s")
    wherry("report", "--html", "page.html", "--against", str(old), str(new))
    tree = tree_in(tmp_path / "page.html")

    assert tree["before"][0] == old.stat().st_size
    assert tree["bytes"][0] == new.stat().st_size


def test_layers_files_and_waste(wherry, tmp_path):
    """An image's page has them, also of an image without programs; a document of analyze is taken as well."""
    layers = [[file("a<b", b"1" * 7000), file("c", b"2" * 50)], [file("a<b", b"3" * 7000), file("d", b"2" * 50)]]
    history = (History(created_by="COPY . / # buildkit"), History(created_by="RUN /bin/sh -c make <all> # buildkit"))
    wherry.store.tag("plain:dev", put_layers(wherry.store, layers, history=history))
    wherry("report", "--html", "page.html", "plain:dev")
    page = (tmp_path / "page.html").read_text()

    assert 'id="waste"' in page
    assert "RUN make &lt;all&gt;" in page
    assert "<all>" not in page
    assert "a&lt;b" in page
    assert page.index('href="#waste"') < page.index('id="waste"')

    wherry("analyze", "--json", "plain:dev")
    wherry.write("waste.json", wherry.out)
    wherry("report", "--html", "other.html", "--from", "size.json", "--waste", "waste.json")
    assert "RUN make &lt;all&gt;" in (tmp_path / "other.html").read_text()
    wherry("report", "--html", "other.html", "--from", "size.json", "--waste", "size.json", code=65)
