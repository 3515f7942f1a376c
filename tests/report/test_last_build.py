"""The last line of a build on a terminal: what is pulled, against the build before."""

import os
import pty
import sqlite3
import subprocess
import sys
import time
from datetime import datetime
from types import SimpleNamespace

import pytest

from recorded import BEGAN, built
from wherry.app.last_build import PulledBytes, pulled_before
from wherry.app.session import Session
from wherry.history.database import HistoryDatabase
from wherry.history.schema import DATABASE
from wherry.report.last_build import lines_of

NOW = datetime(2026, 11, 27, 18, 0).astimezone().timestamp()


@pytest.mark.parametrize(
    ("before", "now", "ago", "said"),
    [
        (5_000_000, 4_800_000, 3, "4.8 MB pulled, -4.0 % since Tuesday"),
        (4_000_000, 5_000_000, 1, "5.0 MB pulled, +25.0 % since yesterday 18:00"),
        (5_000_000, 5_000_000, 0, "5.0 MB pulled, no change since 18:00"),
        (5_000_000, 5_000_100, 30, "5.0 MB pulled, +100 B since 2026-10-28"),
        (0, 10, 0, "10 B pulled, +100.0 % since 18:00"),
    ],
)
def test_in_a_readers_words(before, now, ago, said):
    """The day by its name within a week, and bytes where per cent would be nothing."""
    (line,) = lines_of([PulledBytes("api:dev", "linux/amd64", now, before, NOW - ago * 86400)], NOW)

    assert line == f"api:dev  linux/amd64  {said}"


@pytest.mark.slow
def test_on_a_terminal(tmp_path):
    """It is said there, from the second build on, and to no pipe."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WHERRY")},
        "WHERRY_STORE": str(tmp_path / "store"),
        "WHERRY_CACHE": str(tmp_path / "cache"),
        "WHERRY_HADOLINT": "off",
        "TERM": "xterm",
    }
    words = [sys.executable, "-m", "wherry", "build", "-t", "api:dev", "."]

    def build(content: str, *, terminal: bool) -> str:
        (tmp_path / "a").write_text(content)
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as read:
            try:
                done = subprocess.run(
                    words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, check=True,
                    stderr=theirs if terminal else subprocess.PIPE,
                )  # fmt: skip
            finally:
                os.close(theirs)
            return done.stderr.decode() if done.stderr is not None else read.read(1 << 16).decode()

    assert " since " not in build("a", terminal=True)
    assert " pulled, +" in build("b" * 5000, terminal=True)
    assert " since " not in build("c", terminal=False)


@pytest.mark.parametrize("harm", ["damaged", "locked"])
def test_never_fails_a_build(tmp_path, harm):
    """Whatever the history is like, nothing is said and nothing is waited for."""
    session = Session(store=tmp_path, cache=tmp_path, cwd=tmp_path, environment={"WHERRY_HISTORY": "h"}, home=tmp_path)
    with HistoryDatabase(tmp_path / "h") as database:
        database.add(map(built, range(200)))
    held = sqlite3.connect(tmp_path / "h" / DATABASE, isolation_level=None)
    if harm == "locked":
        held.execute("BEGIN EXCLUSIVE")
    else:
        held.execute("DROP TABLE images")
    platform = SimpleNamespace(platform="linux/amd64", pulled=1)
    result = SimpleNamespace(images=(SimpleNamespace(names=("api:dev",), platforms=(platform,)),))
    began = time.monotonic()

    found = pulled_before(session, result, BEGAN + 1e9)

    held.close()
    assert time.monotonic() - began < 3
    assert len(found) == (harm == "locked")  # what is there can be read all the same
