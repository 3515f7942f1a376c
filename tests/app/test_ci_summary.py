"""What a run of CI tells: sizes, what the cache saved, budgets, findings; and names that Markdown would obey."""

import io
import json

import pytest
from markdown_it import MarkdownIt

from cli_shell import Shell
from recorded import HOSTILE
from wherry.analysis.image.document import AnalyzedFinding, AnalyzeDocument
from wherry.app.ci_summary import CiSummary, _of_history, summarize
from wherry.app.history import open_history
from wherry.cli.world import World
from wherry.errors import NotFound
from wherry.history.entry import BudgetFigures, CallFigures, ImageFigures, StepFigures
from wherry.report.ci_summary import markdown_of, sarif_of
from wherry.report.comment import in_code, in_text
from wherry.report.scan import _linked

_ID = "0" * 15


def world_of(folder):
    """A call's surroundings, with a store in a folder."""
    environment = {"WHERRY_STORE": str(folder / "store"), "WHERRY_CACHE": str(folder / "cache")}
    return World(io.StringIO(), io.StringIO(), environment, folder)


def entry(number, **more):
    """A build of api:dev."""
    images = (ImageFigures(name="api:dev", digest="sha256:" + "a" * 64),)
    return CallFigures(id=f"{_ID}{number}", at=float(number), command="build", images=images, **more)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A store with a small image, and a history of its own."""
    wherry = Shell(tmp_path_factory.mktemp("summary"))
    (wherry.root / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (wherry.root / "a").write_text("a")
    wherry("build", "-f", "Dockerfile", "-t", "api:dev", ".")
    return wherry


@pytest.mark.slow
def test_of_a_build(image):
    """The image, its build, and all findings as SARIF."""
    lines = image("ci", "summary", "api:dev", "--restored", "0.8", "--sarif", "all.sarif")

    assert any(line.startswith("| `api:dev` | linux/") for line in lines)
    assert any(line.startswith("**Build**: ") for line in lines)
    assert any("restoring the caches took 0.8 s, and what came from it saved" in line for line in lines)
    document = json.loads((image.root / "all.sarif").read_text())
    assert document["version"] == "2.1.0"
    image("ci", "summary", code=64)
    image("ci", "init", "api:dev", code=64)
    image("ci", "summary", "api:dev", "--force", code=64)


def test_what_the_cache_saved(tmp_path):
    """What cached steps took when they were done last, in any build of the same image; a replay saved all."""
    world = world_of(tmp_path)
    done = (StepFigures(name="a", seconds=2.0), StepFigures(name="b", seconds=30.0))
    edited = (StepFigures(name="a", cached=True), StepFigures(name="b", seconds=3.5))
    with open_history(world) as database:
        database.add([entry(1, steps=done, misses=2), entry(2, steps=edited, hits=1, misses=1)])
    builds, saved = _of_history(world, ["api:dev"])
    assert [one.at for one in builds] == [2.0]
    assert saved == 2.0
    with open_history(world) as database:
        database.add([entry(3, unchanged=True, hits=2)])
    assert _of_history(world, [f"api:dev@sha256:{'a' * 64}"])[1] == 5.5
    assert _of_history(world, ["other:dev"]) == ((), 0.0)


def test_hostile_names_stay_in_their_cells(tmp_path):
    """Nothing that an image says becomes a link, a row or HTML of the page."""
    finding = AnalyzedFinding(rule="x", severity="error", place="/a|b`<img src=x>", message="one\ntwo|<b>")
    document = AnalyzeDocument(name="x|y", digest="sha256:" + "b" * 64, platforms=(), findings=(finding,))
    budget = BudgetFigures(what="pulled|<i>", limit=10, actual=20, ok=False, image="api|x")
    summary = CiSummary(images=(document,), builds=(entry(1, budgets=(budget,)),), uncompared="no | such <image>")

    text = "\n".join(markdown_of(summary))

    assert "\\|" in text
    assert obeyed(text) <= {"strong_open", "heading_open"}  # our own
    assert "0 of 1 hold" in text
    assert "(devel)" not in text
    (run,) = sarif_of(summary, tmp_path, None, "0")["runs"]
    assert [one["ruleId"] for one in run["results"]] == ["x"]


def obeyed(text: str) -> set[str]:
    """Give the kinds of what a code host would do with a text's links, pictures and HTML, by a parser of Markdown."""
    tokens = MarkdownIt("gfm-like").enable("linkify").parse(text)
    inside = {child.type for token in tokens for child in token.children or ()}
    kinds = inside | {token.type for token in tokens}
    return kinds & {
        "link_open",
        "image",
        "html_inline",
        "html_block",
        "em_open",
        "strong_open",
        "s_open",
        "heading_open",
    }


HOSTILE_TEXTS = [
    "[x](https://evil.example)", "![x](https://evil.example/x.png)", "<img src=x onerror=alert(1)>", "https://evil.example",
    "www.evil.example", "a\\|b\\\\|c", "`x` [y](z)", "*a* **b** _c_ ~~d~~", "one\n# two\n- three", "[x]: https://evil.example",
    "&lt;b&gt;", "```\n::error::x", HOSTILE,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_nothing_of_others_is_obeyed(text, tmp_path):
    """Names of images, files, steps and rules, messages, and those of a database of vulnerabilities."""
    finding = AnalyzedFinding(rule=text, severity="error", place=text, message=text)
    document = AnalyzeDocument(name=text, digest="", platforms=(), findings=(finding,))
    budget = BudgetFigures(what=text, limit=1, actual=2, ok=False, image=text, platform=text[:100])
    build = entry(1, budgets=(budget,), steps=(StepFigures(name=text, seconds=1.0),), misses=1)
    summary = CiSummary(images=(document,), builds=(build,), uncompared=text, unscanned=text)

    lines = list(markdown_of(summary))
    shown = "\n".join(lines).replace("### Images", "").replace("**", "")
    ours = {"strong_open", "heading_open"}

    assert obeyed(shown) - ours == set()
    assert obeyed(f"{in_text(text)} x {in_code(text)} x {_linked(text, 'http:' + text)}") == set()
    assert obeyed(f"| a | b |\n|---|---|\n| {in_code(text)} | {in_text(text)} |") == set()
    assert not any(line.lstrip().startswith("::") for line in lines)  # a command of GitHub's runner
    rows = MarkdownIt("gfm-like").parse(f"| a | b | c |\n|---|---|---|\n| {in_code(text)} | {in_text(text)} | end |")
    assert [token.content for token in rows if token.type == "inline"][-1] == "end"
    (run,) = sarif_of(summary, tmp_path, None, "0")["runs"]
    assert all("](" not in one["message"]["text"] for one in run["results"])


def test_no_one_is_called():
    """A mention or a reference in a name notifies people and links issues; versions stay as they are."""
    assert in_text("@octocat see #12 and !34, GH-5") == "@&#8203;octocat see #&#8203;12 and !&#8203;34, GH-&#8203;5"
    assert in_text("example.com/a@v1.2.3 a/b#7") == "example.com/a@v1.2.3 a/b#7"


def test_a_link_of_the_database_stays_one(tmp_path):
    """Its address ends where it does."""
    assert _linked("GO-1", "https://x.example/GO-1") == "[GO-1](https://x.example/GO-1)"
    assert "](https://x.example/%29%5Bb%5D%0A%7C)" in _linked("a|b", "https://x.example/)[b]\n|")


@pytest.mark.parametrize("place", ["off", "file/h", "broken"])
def test_without_a_history(tmp_path, place):
    """Switched off, where there can be none, or damaged unseen: the summary is told all the same."""
    world = world_of(tmp_path)
    (tmp_path / "file").write_text("")
    world.environment = {**world.environment, "WHERRY_HISTORY": place}
    if place == "broken":
        with open_history(world) as database:
            database.ask("DROP TABLE steps")
            database.ask("ALTER TABLE calls DROP COLUMN command")

    assert _of_history(world, ["api:dev"]) == ((), 0.0)


def test_no_such_image(tmp_path):
    """An error, and not a summary of nothing."""
    with pytest.raises(NotFound):
        summarize(world_of(tmp_path), ["nosuch:dev"])
