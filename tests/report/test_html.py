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
from wherry import __version__
from wherry.analysis.size import FileSize, SizeDocument
from wherry.report.html import LARGEST, page_of
from wherry.report.page_tables import LeakDocument, LeaksDocument, SlimDocument
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


def _changed() -> SizeDocument:
    """Make an earlier state of the small image: one module smaller, one larger, one that is gone since."""
    packages = [
        package_of("net/http", "std", {"(*Server).Serve": 50_000, "Get": 20_000}, types=9_000, inferred=1_000),
        package_of("fmt", "std", {"Println": 11_000}),
        package_of("example.com/dep", "example.com/dep", {"Do": 10_000}),
        package_of("example.com/gone", "example.com/gone", {"Away": 6_000}),
        package_of("(linker)", "", {}, types=4_000),
    ]
    binary = binary_of(packages, layer=2, platform="linux/amd64")
    layers = small().layers
    own = msgspec.structs.replace(
        layers[1], unpacked=binary.size, pulled=40_000, files=(FileSize(path="/app/api", bytes=binary.size),)
    )
    return msgspec.structs.replace(small(), name="api:old", binaries=(binary,), layers=(layers[0], own), budgets=())


@pytest.mark.parametrize("most", [0, 2, 1000])
def test_a_comparison_adds_up_on_both_sides(most: int) -> None:
    """Children sum to their parent before and after, and what is gone is there with 0 bytes."""
    root = tree_of(small(), most=most, against=_changed())
    by_name = {one.name: one for one in walk(root)}

    assert root.bytes == sum(one.unpacked for one in small().layers)
    assert root.before == sum(one.unpacked for one in _changed().layers)
    for node in walk(root):
        assert not node.children or sum(one.bytes for one in node.children) == node.bytes
        assert not node.children or sum(one.before or 0 for one in node.children) == node.before
    assert (by_name["example.com/gone"].before, by_name["example.com/gone"].bytes) == (6_000, 0)


def test_owners_of_modules() -> None:
    """Own code is the main module and modules that are folders; std and dependencies are told apart."""
    names = ("std", "example.com/api", "example.com/folder", "example.com/dep")
    binary = binary_of([package_of(name, name, {"F": 10}) for name in names])
    sums = {"example.com/dep": "h1:x"}
    modules = tuple(msgspec.structs.replace(one, sum=sums.get(one.path, "")) for one in binary.modules)
    whole = msgspec.structs.replace(binary, modules=modules)
    root = tree_of(SizeDocument(name="own", binaries=(whole,)), most=10)

    assert {one.name: one.owner for one in walk(root) if one.kind == "m"} == {
        "std": "std", "example.com/api": "own", "example.com/folder": "own", "example.com/dep": "dep",
    }  # fmt: skip


def test_the_header_has_pulled_bytes_and_the_page_its_maker() -> None:
    """What goes over the wire stands next to what is unpacked; the version of wherry is on the page."""
    page = page_of(small()).decode()

    assert "unpacked · 150 kB (150,000 B) pulled" in page
    assert f"<footer>wherry {__version__}</footer>" in page


def test_advice_comes_before_certainty() -> None:
    """What to do stands first: broken budgets, tags that save bytes, leaks by number; then the map, then how sure."""
    slim = msgspec.convert(
        {
            "schema": "wherry.slim/1",
            "ways": [{"name": "grpc", "tags": ["grpcnotrace"], "unpacked": 5, "saved": 70_000}],
        },
        SlimDocument,
    )
    leaks = LeaksDocument(findings=(LeakDocument(rule="path", severity="warning"),))
    page = page_of(small(), slim=slim, leaks=leaks).decode()
    advice = page[page.index('id="advice"') : page.index('id="map"')]

    assert "50 kB over its budget" in advice
    assert "-70 kB" in advice
    assert "1 warning" in advice
    assert "Not on this page: flags</summary>" in advice
    assert page.index('id="advice"') < page.index('id="map"') < page.index('id="sure"')


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
def test_a_place_has_an_address(page: Browser) -> None:
    """Back and Forward follow the walk; an address that is opened later leads to the same place, and to one tile."""
    page.run("document.querySelector('.tile[aria-label^=\"layer 2\"]').click()")
    page.run("document.querySelector('.tile').click()")
    page.run("document.querySelector('.tile[aria-label^=\"std\"]').click()")
    assert _here(page) == "std"
    address = page.run("return location.href")

    _walk(page, "back")
    assert _here(page) == "/app/api"
    _walk(page, "forward")
    assert _here(page) == "std"
    _open(page, address.replace("std", "std,net/http,net/http.Get"))
    assert _here(page) == "net/http"
    assert page.run("return document.activeElement.getAttribute('aria-label')").startswith("net/http.Get")
    _open(page, address.replace("std", "no,such,place"))
    assert _here(page) == "/app/api"


def _walk(browser: Browser, way: str) -> None:
    """Go back or forward, and wait for the page to have followed."""
    browser.script(f"addEventListener('popstate', () => setTimeout(done, 0), {{once: true}}); history.{way}()")


def _open(browser: Browser, address: str) -> None:
    """Open an address in a page that was not there before."""
    browser.post("url", {"url": "about:blank"})
    browser.post("url", {"url": address})


@pytest.mark.slow
def test_tables_sort(page: Browser) -> None:
    """A press on a head sorts by it, numbers by their bytes; the second press turns it round."""
    names = "return [...document.querySelectorAll('#figures table')].at(-1).tBodies[0].rows.length"
    rows = page.run(names)
    sort = """const table = [...document.querySelectorAll('#figures table')].at(-1);
        const head = table.tHead.rows[0].cells[2];
        head.firstChild.click();
        return [head.getAttribute('aria-sort'), ...[...table.tBodies[0].rows].map((row) => +row.cells[2].dataset.v)]"""
    down, *falling = page.run(sort)
    up, *rising = page.run(sort)

    assert (down, up) == ("descending", "ascending")
    assert len(rising) == rows
    assert falling == sorted(rising, reverse=True)
    assert rising == sorted(rising)


@pytest.mark.slow
def test_own_code_is_found(page: Browser) -> None:
    """Owners have a button each that lets the others fade, and std can be folded away; what has several is grey."""
    page.run("document.querySelector('#crumbs button').click()")
    layers = "return [...document.querySelectorAll('#tiles > .tile')].map((one) => one.classList.contains('grey'))"
    assert page.run(layers) == [True, True]
    page.run("document.querySelector('.tile[aria-label^=\"layer 2\"]').click()")
    page.run("document.querySelector('.tile').click()")
    labels = """return [...document.querySelectorAll('#tiles > .tile:not(.other)')]
        .map((one) => one.getAttribute('aria-label').split(' ')[0])"""
    assert "std" in page.run(labels)
    assert not page.run("return document.querySelector('.tile[aria-label^=std]').classList.contains('grey')")

    page.run("document.querySelector('[data-owner=std]').click()")
    assert page.run(labels) == ["std"]
    page.run("document.querySelector('[data-owner=std]').click()")
    page.run("document.getElementById('fold').click()")
    assert "std" not in page.run(labels)
    assert page.run("return document.getElementById('folded').textContent").startswith("std is folded: 88 kB")
    page.run("document.getElementById('folded').click()")
    assert _here(page) == "std"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_labels_are_whole_or_absent(page: Browser, width: int) -> None:
    """No label is cut: each one has room for all it says, and says at least two letters."""
    page.screen(width, 900)
    page.run("document.querySelector('.tile[aria-label^=\"layer 2\"]').click()")
    page.run("document.querySelector('.tile').click()")
    labels = page.run(
        "return [...document.querySelectorAll('#tiles b')]"
        ".map((one) => [one.textContent, one.scrollWidth, one.clientWidth])"
    )

    assert labels
    assert all(len(text) > 1 and wanted <= there for text, wanted, there in labels)


@pytest.mark.slow
def test_a_comparison_shows_changes(chromium: Browser, tmp_path: Path) -> None:
    """The map's areas are changes, and the table has before and change, the largest change first."""
    (tmp_path / "diff.html").write_bytes(page_of(small(), against=_changed()))
    chromium.screen(1200, 900)
    chromium.log("browser")
    chromium.post("url", {"url": (tmp_path / "diff.html").as_uri() + "#in=layer%202,/app/api"})
    heads = chromium.run("return [...document.querySelectorAll('#children th')].map((one) => one.textContent)")
    rows = chromium.run(
        "return [...document.querySelectorAll('#children tbody tr')]"
        ".map((row) => [...row.cells].map((one) => one.textContent))"
    )

    assert chromium.log("browser") == []
    assert heads == ["Name", "Bytes", "Before", "Change", "Share"]
    assert rows[0][:4] == ["example.com/dep", "37 kB", "10 kB", "+27 kB"]
    assert ["example.com/gone", "0 B", "6 kB", "-6 kB"] in [row[:4] for row in rows]
    assert chromium.run("return document.querySelector('.tile').getAttribute('aria-label')").startswith(
        "example.com/dep"
    )


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
