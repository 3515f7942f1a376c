"""The board: its figures are the database's, names can do no harm, and a real browser reads it."""

import http.client
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import msgspec
import pytest

from cli_shell import Shell
from recorded import BEGAN, DAY, HOSTILE, built
from webdriver import Browser, browser
from wherry.app.board import board_of
from wherry.history.database import HistoryDatabase
from wherry.history.entry import BudgetFigures, CallFigures, ContainerFigures, ImageFigures, ScanFigures, StepFigures
from wherry.history.schema import DATABASE
from wherry.report.board import board_page

MANY = 10_000


def call(number: int, command: str, **figures: object) -> CallFigures:
    """Give a call of another kind."""
    entry = CallFigures(id=f"{10**9 + number:016x}", at=BEGAN + number * 600.0, command=command, seconds=1.0)
    return msgspec.structs.replace(entry, **figures)


def many() -> Iterator[CallFigures]:
    """Give 10,000 builds of 40 images with growing sizes, and what a project does besides."""
    for number in range(MANY):
        name = f"service-{number % 40}:dev"
        grown = 5_000_000 + number * 37 + (400_000 if number > MANY // 2 else 0)
        yield built(
            number,
            at=BEGAN + number * 600.0,
            pulled=grown,
            name=name,
            unchanged=number % 3 == 0,
            revision=f"{number:040x}",
        )
        if number % 50 == 0:
            image = (ImageFigures(name=name, digest="sha256:" + "e" * 64),)
            yield call(number, "pull", seconds=4.0 - number / 4000, sent=grown, images=image)
            yield call(number + 1, "scan", scan=ScanFigures(symbol=3, programs=3, others=1, age=5 * DAY))
    yield call(
        7, "cluster", ok=False, container=ContainerFigures(pod="p/a", container="c", restarts=2, reason="OOMKilled")
    )


def hostile() -> CallFigures:
    """Give a build of which every text is harm."""
    step = StepFigures(name=HOSTILE, seconds=3.0, reasons=(HOSTILE,))
    image = ImageFigures(name=HOSTILE, digest=HOSTILE, platform=HOSTILE, pulled=7, base=HOSTILE)
    budget = BudgetFigures(what=HOSTILE, limit=5, actual=7, ok=False, image=HOSTILE, platform=HOSTILE)
    return call(
        3, "build", images=(image,), steps=(step,), misses=1, budgets=(budget,), go=HOSTILE, branch=HOSTILE,
        requires={HOSTILE: HOSTILE},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of 10,000 builds."""
    made = tmp_path_factory.mktemp("history")
    with HistoryDatabase(made) as found:
        found.add(many())
    return made


@pytest.fixture(scope="module")
def page(folder: Path) -> bytes:
    """Its page."""
    with HistoryDatabase(folder) as found:
        return board_page(board_of(found))


def compared(page: bytes) -> dict[str, tuple[float, float]]:
    """Give before and after of the first table, by its rows' titles."""
    row = (
        r'<tr data-key="[^"]+"><th scope="row">([^<]+)</th><td class="n" data-v="([^"]+)">[^<]*</td>'
        r'<td class="n" data-v="([^"]+)">'
    )
    return {title: (float(before), float(after)) for title, before, after in re.findall(row, page.decode())}


@pytest.mark.slow
def test_figures_are_those_of_sql(folder: Path, page: bytes) -> None:
    """Medians at either end, the latest value, and the medians of steps, asked for in plain SQL."""
    found = compared(page)
    with sqlite3.connect(folder / DATABASE) as database:
        builds = [row[0] for row in database.execute(
            "SELECT seconds FROM calls WHERE command = 'build' AND ok AND NOT unchanged ORDER BY at, id"
        )]  # fmt: skip
        pulls = [row[0] for row in database.execute("SELECT seconds FROM calls WHERE command = 'pull' ORDER BY at, id")]
        sizes = [row[0] for row in database.execute(
            "SELECT pulled FROM images WHERE name = 'service-0:dev' AND pulled > 0 ORDER BY at, call"
        )]  # fmt: skip
        steps = [row[0] for row in database.execute("SELECT seconds FROM steps WHERE name = 'compile api'")]
    database.close()
    texts = page.decode()

    assert found["Build time"] == (median(builds[:20]), median(builds[-20:]))
    assert found["Pull time"] == (median(pulls[:20]), median(pulls[-20:]))
    assert found["service-0:dev linux/amd64, pulled"] == (median(sizes[:20]), median(sizes[-20:]))
    assert f'data-key="pulled"><figcaption><b>Pulled</b><span class="value" data-v="{float(sizes[-1])!r}"' in texts
    assert f'<th scope="row">compile api</th><td class="n" data-v="{median(steps)!r}"' in texts
    assert list(found)[:3] == ["Pull time", "Memory of a build", "Build time"]  # one month of OOM kills is no trend


@pytest.mark.slow
def test_ten_thousand_builds_are_a_small_page(page: bytes) -> None:
    """Under 2 MB by far, and the same history gives the same bytes."""
    assert len(page) < 1_000_000


def test_an_empty_history_has_a_page(tmp_path: Path) -> None:
    """It says what to do."""
    with HistoryDatabase(tmp_path) as found:
        page = board_page(board_of(found)).decode()

    assert "nothing is recorded yet" in page


def test_one_call_is_no_trend(tmp_path: Path) -> None:
    """Everything of one build is drawn, and nothing is compared."""
    with HistoryDatabase(tmp_path) as found:
        found.add([built(1)])
        page = board_page(board_of(found))

    assert compared(page) == {}
    assert b"no trend yet" in page


def test_hostile_names_are_text(tmp_path: Path) -> None:
    """A name ends no element and opens none, wherever it stands; two builds make a jump of it too."""
    again = msgspec.structs.replace(hostile(), id="f" * 16, at=BEGAN + DAY)
    other = msgspec.structs.replace(again.images[0], pulled=70_000, digest=HOSTILE + "2")
    with HistoryDatabase(tmp_path) as found:
        found.add([hostile(), msgspec.structs.replace(again, images=(other,), go="go" + HOSTILE)])
        page = board_page(board_of(found)).decode()

    assert page.count("<script>") == page.count("</script>") == 1
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "toolchain" in page


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory, page: bytes, folder: Path) -> Iterator[Browser]:
    """The page of 10,000 builds, opened from a file."""
    with browser(tmp_path_factory.mktemp("profile")) as started:
        (folder / "board.html").write_bytes(page)
        started.screen(1200, 900)
        started.log("browser")
        started.log("performance")
        started.open(folder / "board.html")
        yield started


@pytest.mark.slow
def test_opens_alone(chromium: Browser) -> None:
    """No error in the console, and no request but for the file itself."""
    messages = [json.loads(one["message"])["message"] for one in chromium.log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    assert chromium.log("browser") == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    painted = "return performance.getEntriesByName('first-contentful-paint').length"
    assert any(chromium.run(painted) or time.sleep(0.05) for _ in range(400))  # it is noted after the first frame


@pytest.mark.slow
def test_is_read_by_keyboard(chromium: Browser) -> None:
    """A chart that has the focus reads its points out, one at a time; the reading is the data's."""
    read = """const plot = document.querySelector('[data-key=build-seconds] .plot');
        const values = plot.dataset.v.split(',');
        return [plot.nextElementSibling.querySelector('output').textContent, +values[values.length - 1], +values[0]]"""
    chromium.run("document.querySelector('[data-key=build-seconds] .plot').focus()")
    latest, value, _ = chromium.run(read)
    chromium.press("ArrowLeft")
    before, *_ = chromium.run(read)
    chromium.press("ArrowRight")
    again, *_ = chromium.run(read)

    assert latest.endswith(f"  {value:.1f} s")
    assert before[:16] < latest[:16]
    assert again == latest


@pytest.mark.slow
def test_images_are_chosen(chromium: Browser) -> None:
    """One image is shown at a time; others are a row of a table."""
    shown = """return [...document.querySelectorAll('article.image')].filter((one) => !one.hidden)
        .map((one) => one.querySelector('h3').firstChild.data.trim())"""
    first = chromium.run(shown)
    chromium.run("const one = document.getElementById('image'); one.value = 3; one.onchange()")

    assert len(first) == 1
    assert len(chromium.run(shown)) == 1
    assert chromium.run(shown) != first
    assert chromium.run("return document.querySelectorAll('#images table').length") > 1


@pytest.mark.slow
def test_dark_light_phone_and_print(chromium: Browser) -> None:
    """As the reader's system is, until the button says otherwise; a phone has room for it; paper has all images."""
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = chromium.run(colour)
    chromium.screen(360, 740, dark=True)
    dark = chromium.run(colour)
    wide = chromium.run("return document.documentElement.scrollWidth")
    chromium.run("document.getElementById('theme').click()")
    clicked = chromium.run(colour)
    chromium.devtools("Emulation.setEmulatedMedia", media="print")
    printed = chromium.run(
        "return [...document.querySelectorAll('article.image')]"
        ".filter((one) => getComputedStyle(one).display !== 'none').length"
    )
    chromium.screen(794, 1100)  # A4 at 96 dots an inch
    chromium.devtools("Emulation.setEmulatedMedia", media="print")
    fits = "const one = document.querySelector('#compared table'); return [one.scrollWidth, one.parentNode.clientWidth]"
    needed, there = chromium.run(fits)
    last = chromium.run("return document.querySelector('#compared td:last-child').clientWidth")
    chromium.devtools("Emulation.setEmulatedMedia", media="")

    assert needed <= there
    assert last >= 150  # a source in two words a line is not read
    assert light != dark
    assert clicked == light
    assert wide <= 360
    assert printed == 12


@pytest.mark.slow
def test_is_served_on_loopback_only(tmp_path: Path) -> None:
    """The page is there under the address that is printed, for no other host name and no other path."""
    shell = Shell(tmp_path / "here")
    with subprocess.Popen(
        [sys.executable, "-m", "wherry", "board", "serve"],
        cwd=shell.root, env=shell.environment, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        try:
            address = running.stdout.readline().strip()
            good = _asked(address, "/")
            others = [_asked(address, "/", "evil.example"), _asked(address, "/x"), _asked(address, "/", how="POST")]
            tunnels = [_asked(address, "/", host).status for host in ("localhost", "localhost:8000", "[::1]:80")]
        finally:
            running.terminate()

    assert address.startswith("http://127.0.0.1:")
    assert (good.status, good.headers["Cache-Control"]) == (200, "no-store")
    assert [answer.status for answer in others] == [403, 404, 501]
    assert tunnels == [200, 200, 200]
    assert {answer.headers["Content-Type"] for answer in others} == {"text/plain; charset=utf-8"}
    assert [answer.text for answer in others] == [
        "403: the board answers to 127.0.0.1 and localhost only\n",
        "404: there is one page, the board: /\n",
        "501: the board answers GET and HEAD\n",
    ]


def _asked(address: str, path: str, host: str = "", how: str = "GET") -> http.client.HTTPResponse:
    """Ask the server that an address names, by another host's name where one is given."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request(how, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    """Its name and size are printed; a pair of options that exclude each other is refused."""
    shell = Shell(tmp_path / "here")
    (document,) = shell("board", "--json", "--since", "30d", "--split", "7d")
    said = shell.err
    shell("board", "serve", "--html", "x.html", code=64)
    shell("board", "--port", "9", code=64)
    shell("board", "--html", ".", code=73)

    assert (shell.root / "board.html").stat().st_size == json.loads(document)["bytes"]
    assert "the page is empty: no call is recorded since 30d" in said
    assert "name a file in that directory" in shell.err
    assert not (shell.root / "x.html").exists()
