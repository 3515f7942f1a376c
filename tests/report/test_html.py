"""The page: its figures add up, names can do no harm, and a real browser walks it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from size_documents import HOSTILE, big, binary_of, package_of, small
from webdriver import Browser, browser
from wherry.analysis.size import SizeDocument
from wherry.report.html import LARGEST, page_of
from wherry.report.page_tables import LeakDocument, LeaksDocument
from wherry.report.page_tree import tree_of, walk


@pytest.mark.parametrize("most", [0, 1, 3, 1000])
def test_every_level_adds_up(most: int) -> None:
    """However many functions are named, children sum to their parent, and the root to the layers."""
    document = small()
    root = tree_of(document, most=most)

    assert root.bytes == sum(one.unpacked for one in document.layers)
    for node in walk(root):
        assert not node.children or sum(one.bytes for one in node.children) == node.bytes


@given(
    st.lists(st.tuples(st.text(), st.text(), st.dictionaries(st.text(), st.integers(0, 10**6)), st.integers(0, 9))),
    st.integers(0, 9),
)
def test_any_program_adds_up(packages: list[tuple[str, str, dict[str, int], int]], most: int) -> None:
    """So do programs of any shape."""
    made = [package_of(path, module, functions, types=types) for path, module, functions, types in packages]
    document = SizeDocument(name="any", binaries=(binary_of(made),))
    root = tree_of(document, most=most)

    assert root.bytes == document.binaries[0].size
    assert all(not one.children or sum(kid.bytes for kid in one.children) == one.bytes for one in walk(root))


def test_functions_with_bytes_of_other_kinds_are_shown() -> None:
    """A package whose functions have more than its code and tables still opens into them."""
    package = package_of("net/http", "std", {"Get": 500, "Do": 300}, types=200)
    mixed = msgspec.structs.replace(package, kinds={"code": 700, "types": 300})
    root = tree_of(SizeDocument(name="mixed", binaries=(binary_of([mixed]),)), most=10)
    found = next(one for one in walk(root) if one.kind == "p")

    assert [(one.kind, one.bytes) for one in found.children] == [("f", 500), ("f", 300), ("x", 200)]


def test_same_document_same_page() -> None:
    """Nothing of the page is of the moment, and JSON on the way changes nothing."""
    again = msgspec.json.decode(msgspec.json.encode(small()), type=SizeDocument)

    assert page_of(small()) == page_of(again)


def test_hostile_names_are_text() -> None:
    """A name ends no element, opens none, turns no line around and sends no control character."""
    leaks = LeaksDocument(findings=(LeakDocument(rule=HOSTILE, severity=HOSTILE, message=HOSTILE),))
    page = page_of(small(), leaks=leaks).decode()

    assert page.count("</script>") == 2
    assert "<img" not in page
    assert "<!--" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


@pytest.mark.slow
def test_a_big_program_is_a_small_page() -> None:
    """A program of 140 MB and 60,000 functions is a page of under 3 MB whose figures are whole."""
    document = big()
    page = page_of(document)
    found = re.search(rb'id="tree">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    tree = json.loads(found[1])

    assert len(page) < LARGEST
    assert tree["bytes"][0] == document.binaries[0].size >= 140_000_000
    assert sum(n for n, kids in zip(tree["bytes"], tree["kids"], strict=True) if not kids) == tree["bytes"][0]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all."""
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(chromium: Browser, tmp_path: Path) -> Browser:
    """The small page, opened on a desk in the light."""
    (tmp_path / "page.html").write_bytes(page_of(small()))
    chromium.screen(1200, 900)
    chromium.log("browser")
    chromium.log("performance")
    chromium.open(tmp_path / "page.html")
    return chromium


def _here(browser: Browser) -> str:
    return str(browser.run("return document.querySelector('#crumbs [aria-current]').textContent"))


@pytest.mark.slow
def test_opens_alone(page: Browser) -> None:
    """No error in the console, and no request but for the file itself."""
    messages = [json.loads(one["message"])["message"] for one in page.log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    assert page.log("browser") == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.run("return document.querySelectorAll('.tile').length") == 2


@pytest.mark.slow
def test_walks_by_keyboard(page: Browser) -> None:
    """Enter goes in as far as a function, Escape and Backspace come out; at each step the tiles add up."""
    sums = """const t = document.getElementById('tiles');
        return [+t.dataset.bytes, [...t.children].reduce((sum, one) => sum + +one.dataset.bytes, 0)]"""
    walked = [_here(page)]
    page.run("document.querySelector('.tile[aria-label^=\"layer 1\"]').focus()")
    page.run("document.querySelector('.tile').focus()")
    page.press("ArrowRight")
    assert page.run("return document.activeElement.dataset.index") == "1"
    page.run("document.querySelector('.tile[aria-label^=\"layer 2\"]').focus()")
    for _ in range(4):
        whole, tiles = page.run(sums)
        assert whole == tiles
        page.press("Enter")
        page.run("document.querySelector('.tile').focus()")
        walked.append(_here(page))
    assert walked == ["api:dev", "layer 2", "/app/api", "std", "net/http"]
    assert "net/http.(*Server).Serve" in page.run("return document.activeElement.getAttribute('aria-label')")

    page.press("Escape")
    assert _here(page) == "std"
    assert page.run("return document.activeElement.getAttribute('aria-label')").startswith("net/http")
    page.press("Backspace")
    assert _here(page) == "/app/api"


@pytest.mark.slow
def test_searches(page: Browser) -> None:
    """A slash, a few letters and Enter lead to a function."""
    page.press("/", *"serve", "Enter")

    assert _here(page) == "net/http"
    assert "(*Server).Serve" in page.run("return document.activeElement.getAttribute('aria-label')")


@pytest.mark.slow
def test_dark_and_light(page: Browser) -> None:
    """The page is as its reader's system is, until the button says otherwise."""
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = page.run(colour)
    page.screen(1200, 900, dark=True)
    dark = page.run(colour)
    page.run("document.getElementById('theme').click()")

    assert light != dark
    assert page.run(colour) == light


@pytest.mark.slow
def test_fits_a_phone(page: Browser) -> None:
    """On 360 pixels nothing is wider than the screen."""
    page.screen(360, 740)

    assert page.run("return document.documentElement.scrollWidth") <= 360
