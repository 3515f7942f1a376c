"""The page of a size document, in a real browser: it opens offline, adds up, is walked by keys, and fits a phone."""

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browser import Browser
from gobuild import PRINT, go_binary
from wherry.analysis.mapped import map_elf
from wherry.analysis.size import (
    BinarySize,
    FunctionSize,
    KindSize,
    ModuleSize,
    PackageSize,
    SectionSize,
    SizeDocument,
)
from wherry.analysis.sizing import Measured, size_of
from wherry.report.html import page_of

_LARGEST = 3_000_000
HOSTILE = "</script><script>document.title='taken'</script>\u202eevil\x1b[2J\u2028%DATA%&amp;\"'"


def made_up(packages: int, functions: int, name: str = "example.com/big") -> SizeDocument:
    """Make a document of so many packages, with so many functions in all; its sums hold."""
    chance = random.Random(7)  # noqa: S311 - the same each time
    made = []
    for number in range(packages):
        module = f"example.com/module{number // 20}"
        rows = tuple(
            FunctionSize(
                name=f"{module}/package{number}.(*Type{at}).Method{chance.randrange(10**6)}", bytes=size, code=size // 2
            )
            for at in range(functions // packages)
            if (size := chance.randrange(40, 6000))
        )
        size = sum(one.bytes for one in rows) + 500
        made.append(
            PackageSize(
                path=f"{module}/package{number}",
                module=module,
                bytes=size,
                kinds={"code": size - 500, "data": 500},
                confidence={"exact": size - 500, "inferred": 500},
                functions=rows,
            )
        )
    modules: dict[str, int] = {}
    for one in made:
        modules[one.module] = modules.get(one.module, 0) + one.bytes
    whole = sum(modules.values())
    rows = (ModuleSize(path=path, version="v1", bytes=size, packages=1) for path, size in modules.items())
    binary = BinarySize(
        name=name, path="/app/big", platform="linux/amd64", digest="sha256:0", size=whole, format="elf", stripped=True,
        reading="full", confidence={"exact": whole - 500 * packages, "inferred": 500 * packages},
        kinds=(KindSize(kind="code", bytes=whole),), sections=(SectionSize(name=".text", kind="code", bytes=whole),),
        packages=tuple(made), modules=tuple(rows),
    )  # fmt: skip
    return SizeDocument(name=name, binaries=(binary,))


def tree(page: str) -> list:
    """Take the tree out of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])["tree"]


def adds_up(node: list) -> None:
    """Check that children are as large as their parent, all the way down."""
    if node[4]:
        assert sum(child[1] for child in node[4]) == node[1], node[0]
        for child in node[4]:
            adds_up(child)


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """The page of a real program."""
    binary = size_of(map_elf(go_binary(PRINT, "-trimpath", "-ldflags=-s")), Measured("hello", "sha256:0"))
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page_of(SizeDocument(name="hello", binaries=(binary,))))
    return path


@pytest.mark.slow
def test_a_real_program(real, tmp_path):
    """No request leaves the page, its console is silent, and what is drawn adds up to what is above it."""
    adds_up(tree(real.read_text()))
    with Browser(tmp_path) as browser:
        browser.open(real)

        assert [one for one in browser.log("browser") if one["level"] == "SEVERE"] == []
        asked = [
            json.loads(one["message"])["message"]["params"]["request"]["url"]
            for one in browser.log("performance")
            if '"Network.requestWillBeSent"' in one["message"]
        ]
        assert [url for url in asked if not url.startswith(("file:", "data:", "chrome:"))] == []
        whole, parts = browser.run(
            "const map = document.getElementById('map');"
            "return [+map.dataset.bytes, [...map.children].map(one => +one.dataset.bytes)]"
        )
        assert sum(parts) == whole == go_binary(PRINT, "-trimpath", "-ldflags=-s").stat().st_size
        areas = browser.run(
            "const map = document.getElementById('map').getBoundingClientRect();"
            "return [...document.getElementById('map').children].slice(0, 5).map(one => {"
            "const box = one.getBoundingClientRect(); return box.width * box.height / (map.width * map.height)})"
        )
        assert areas == pytest.approx([part / whole for part in parts[:5]], abs=0.02)


@pytest.mark.slow
def test_walked_by_keys(real, tmp_path):
    """To a function and back, and to what is searched for; each step is told."""
    crumbs = "return [...document.querySelectorAll('#crumbs button')].map(one => one.textContent)"
    focused = "return document.activeElement.getAttribute('aria-label') || document.activeElement.id"
    with Browser(tmp_path) as browser:
        browser.open(real)
        start = browser.run(crumbs)
        browser.run("document.querySelector('#map button').focus()")
        browser.press("Enter")
        browser.press("Enter")
        assert len(browser.run(crumbs)) == len(start) + 2
        assert "bytes" in browser.run(focused)
        before = browser.run(focused)
        browser.press("Right")
        browser.press("Down")
        assert browser.run(focused) != before
        browser.press("Backspace")
        browser.press("Escape")
        assert browser.run(crumbs) == start

        browser.press("/")
        assert browser.run(focused).startswith("Search")
        browser.press(*"printarg", "Enter")
        assert "printarg" in browser.run(focused).lower()
        assert "printArg" in browser.run("return document.getElementById('say').textContent")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_fits_and_is_light_or_dark(real, tmp_path, width, dark):
    """Nothing is wider than the window, on a phone too; colours follow the system, and the button changes them."""
    colour = "return getComputedStyle(document.body).backgroundColor"
    with Browser(tmp_path, width=width, height=844, dark=dark) as browser:
        browser.open(real)

        wide, window = browser.run(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= window
        assert window <= width
        first = browser.run(colour)
        assert (sum(map(int, re.findall(r"\d+", first)[:3])) < 200) == dark
        browser.run("document.getElementById('theme').click()")
        assert browser.run(colour) != first


@pytest.mark.slow
def test_a_large_program_and_hostile_names(tmp_path):
    """60,000 functions stay below 3 MB and add up; a name that would end a script is only a name."""
    page = page_of(made_up(2000, 60_000, HOSTILE))
    assert len(page.encode()) < _LARGEST
    adds_up(tree(page))
    path = tmp_path / "page.html"
    path.write_text(page)
    with Browser(tmp_path) as browser:
        browser.open(path)

        assert browser.run("return document.title").startswith("</script><script>")
        assert [one for one in browser.log("browser") if one["level"] == "SEVERE"] == []
        assert "\u202e" not in browser.run("return document.body.textContent")


@given(st.text(max_size=40))
@settings(max_examples=50, deadline=None)
def test_any_name(name):
    """Whatever things are called, the data is read again and nothing is left of the frame's marks."""
    page = page_of(made_up(2, 4, name))

    assert page.count("<script") == 2
    assert "%SECTIONS%" not in page.replace(name, "")
    adds_up(tree(page))


def test_the_same_bytes():
    """The page has no time and no chance in it."""
    assert page_of(made_up(3, 9)) == page_of(made_up(3, 9))
