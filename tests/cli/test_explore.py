"""`wherry explore`: the screen itself, without a terminal and in a real one."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from archives import file, folder, hard, link
from built_images import put_layers
from cli_shell import Shell
from gobuild import HELLO, go_binary
from needs import need
from wherry.app.explore import explore
from wherry.app.session import Session
from wherry.cli.explorer import ExplorerApp, FilesPane
from wherry.cli.explorer_content import ContentScreen
from wherry.oci.config import History

HISTORY = (History(created_by="COPY . /app # buildkit"), History(created_by="RUN /bin/sh -c make # buildkit"))
LAYERS = [
    [
        folder("app"), file("app/big", b"b" * 5000), file("app/old", b"old text\n"),
        file("app/data", bytes(range(256))),
        hard("app/again", "app/big"), file("etc/motd", b"hello \x1b[31mred\n"),
    ],
    [file("app/big", b"B" * 6000, mode=0o4755), file("app/.wh.old"), file("app/new", b"n" * 10), link("app/l", "new")],
]  # fmt: skip


@pytest.fixture
def wherry(tmp_path):
    """A shell with one image in its store."""
    shell = Shell(tmp_path / "shell")
    shell.store.tag("app:dev", put_layers(shell.store, LAYERS, history=HISTORY))
    return shell


def opened(wherry: Shell, name: str = "app:dev") -> ExplorerApp:
    """Open the image as the command does."""
    return ExplorerApp(explore(Session.of(wherry.environment, cwd=wherry.root), name), wherry.root)


def shown(app: ExplorerApp) -> list[str]:
    """Give the rows of the tree that are open."""
    rows: list[str] = []

    def walk(node, depth: int) -> None:
        for child in node.children:
            rows.append("  " * depth + str(child.label))
            if child.is_expanded:
                walk(child, depth + 1)

    walk(app.query_one("#files", FilesPane).root, 0)
    return rows


def driven(app: ExplorerApp, act: Callable[[Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
    """Run the screen without a terminal, and act on it."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await act(pilot)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_what_a_layer_changes(wherry, size):
    """By sign: added, changed, removed; what is wasted has a mark; the last layer is shown first."""
    app = opened(wherry)

    async def act(pilot):
        assert [" ".join(row.split()) for row in shown(app)] == [
            "~ 6 kB app/", "~ 6 kB big", "+ 0 B l -> new", "+ 10 B new", "- 0 B old",
        ]  # fmt: skip
        details = str(app.query_one("#details", Static).render())
        assert "RUN make" in details
        assert "+2 ~1 -1" in details
        await pilot.press("up")
        await pilot.pause()
        assert any(row.split() == ["+!", "9", "B", "old"] for row in shown(app))
        assert app.query_one("#layers", OptionList).highlighted == 0

    driven(app, act, size)


@pytest.mark.slow
def test_keys_of_dive(wherry):
    """All files, sorting, wasted first, attributes, hiding, filter, folding."""
    app = opened(wherry)

    async def act(pilot):
        await pilot.press("ctrl+a", "tab")
        await pilot.pause()
        assert any(row.split() == ["15", "B", "motd"] for row in shown(app))
        assert "again" in "\n".join(shown(app))
        await pilot.press("ctrl+o")
        await pilot.pause()
        assert [row.split()[-1] for row in shown(app) if row.startswith("  ")][:2] == ["big", "again"]
        await pilot.press("ctrl+b")
        await pilot.pause()
        assert "-rwsr-xr-x 0:0" in "\n".join(shown(app))
        await pilot.press("ctrl+b", "r", "m")
        await pilot.pause()
        assert not [row for row in shown(app) if row.strip().startswith(("-", "~")) and not row.endswith("/")]
        await pilot.press("r", "m", "slash", "n", "e", "w", "enter")
        await pilot.pause()
        assert [row.split()[-1] for row in shown(app)] == ["/app/new"]
        await pilot.press("escape")
        await pilot.pause()
        assert len(shown(app)) > 3
        await pilot.press("ctrl+l", "w", "space")
        await pilot.pause()
        assert app.query_one("#files", FilesPane).border_title == "changes of layer 2, by wasted"

    driven(app, act)


@pytest.mark.slow
def test_files_are_viewed_and_extracted(wherry):
    """Text as text, other bytes as a dump, nothing that a terminal would obey; a file that is there is not replaced."""
    app = opened(wherry)

    async def see(pilot, path: str) -> str:
        await pilot.press("slash", *path, "enter")
        await pilot.pause()
        await pilot.press("down", "v")
        await pilot.pause()
        assert isinstance(app.screen, ContentScreen), path
        text = app.screen._text
        await pilot.press("escape")
        await pilot.press("escape")
        await pilot.pause()
        return text

    async def act(pilot):
        await pilot.press("up")
        assert await see(pilot, "motd") == "hello \\x1b[31mred"
        assert (await see(pilot, "data")).startswith("00000000  00 01 02")
        await pilot.press("slash", *"motd", "enter")
        await pilot.pause()
        await pilot.press("down", "e")
        await pilot.pause()
        assert (wherry.root / "motd").read_bytes() == b"hello \x1b[31mred\n"
        (wherry.root / "motd").write_text("mine")
        await pilot.press("e")
        await pilot.pause()
        assert (wherry.root / "motd").read_text() == "mine"
        await pilot.press("question_mark")
        await pilot.pause()
        assert "dive" not in app.screen._text
        assert "Ctrl+F" in app.screen._text

    driven(app, act)


@pytest.mark.slow
def test_a_go_program_opens_into_its_packages(wherry):
    """What `wherry size` knows of it."""
    content = go_binary(HELLO, "-trimpath", "-ldflags=-s").read_bytes()
    wherry.store.tag("go:dev", put_layers(wherry.store, [[file("server", content, mode=0o755)]]))
    app = opened(wherry, "go:dev")

    async def act(pilot):
        await pilot.press("tab", "down", "enter")
        await pilot.pause()
        await app.workers.wait_for_complete()
        assert isinstance(app.screen, ContentScreen)
        assert "runtime" in app.screen._text
        assert app.screen._text.startswith("go1.")

    driven(app, act)


def test_without_a_terminal(wherry):
    """A pipe gets an error, and a hint."""
    wherry("explore", "app:dev", code=64)
    assert "needs a terminal" in wherry.err


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_in_a_real_terminal(wherry, tmp_path, size):
    """In tmux: both sides, the line of keys, a filter, and out again with the terminal as it was."""
    tmux = [need("tmux"), "-L", tmp_path.name, "-f", "/dev/null"]
    environment = {**wherry.environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    program = f"{sys.executable} -m wherry explore app:dev; echo ended with $?; exec cat"

    def call(*words: str) -> str:
        return subprocess.run([*tmux, *words], check=True, capture_output=True, text=True, env=environment).stdout

    def until(text: str) -> str:
        for _ in range(600):
            screen = call("capture-pane", "-p", "-t", "it")
            if text in screen:
                return screen
            time.sleep(0.1)  # the terminal says nothing when it has drawn
        raise AssertionError(f"no {text!r} on {screen}")

    call("new-session", "-d", "-s", "it", "-x", str(size[0]), "-y", str(size[1]), "-c", str(wherry.root), program)
    try:
        screen = until("changes of layer 2")
        assert "RUN make" in screen
        (keys,) = [line for line in until("? Keys").splitlines() if "Keys" in line]
        assert "q Quit" in keys
        assert max(map(len, screen.splitlines())) <= size[0]
        call("send-keys", "-t", "it", "C-f", "new", "Enter")
        assert "/app/new" in until("/app/new")
        call("send-keys", "-t", "it", "q")
        screen = until("ended with")
        assert "ended with 0" in screen
        assert "layers" not in screen
    finally:
        call("kill-server")


def test_the_extra_is_declared():
    """`wherry[tui]` brings what the explorer needs."""
    import tomllib

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert any("textual" in one for one in tomllib.loads(text)["project"]["optional-dependencies"]["tui"])
