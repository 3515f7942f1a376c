"""Progress says each thing once, in any number of threads, and leaves a terminal as it was."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.app.progress import Event, EventKind, Reporter, TransferCounts
from wherry.errors import InvalidUsage
from wherry.report.live import LiveView
from wherry.report.plain import plain
from wherry.report.progress import progress_for
from wherry.report.views import JsonView, MemoryView, PlainView, cut, duration, lasting

BUILD = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from wherry.report.progress import progress_for

def compile(progress, name):
    with progress.step(name) as step:
        step.detail("compiling")
        time.sleep(0.25)
        step.done("compiled")

with progress_for("auto", sys.stderr, dict(os.environ)) as progress:
    progress.line("base static")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: compile(progress, name), ["linux/amd64", "linux/arm64"]))
    progress.warn("go.sum: missing")
    {ending}
"""


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Gone(Terminal):
    """A terminal that was closed; it notes that somebody wrote to it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def write(self, *_: object) -> int:
        """Fail as the system does."""
        self.asked.set()
        raise OSError(5, "Input/output error")


def screen(output: str) -> list[str]:
    """Give the rows a terminal shows after this output: newline, CPL and ED are obeyed, colours dropped."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", output):
        match part:
            case "\r":
                column = 0
            case "\n":
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            case str() if part.startswith("\x1b"):
                count = re.sub(r"\D", "", part)
                if part.endswith("F"):
                    row, column = max(row - int(count or 1), 0), 0
                elif part.endswith("J"):
                    rows = [*rows[:row], rows[row][:column]]
                elif part.endswith("K"):
                    rows[row] = rows[row][:column]
                else:
                    assert part.endswith("m")
            case _:
                rows[row] = rows[row][:column].ljust(column) + part
                column += len(part)
    return [line for line in rows if line]


def in_terminal(script: str, *, interrupt: bytes = b"", **environment: str) -> tuple[str, int, bool]:
    """Run Python with a terminal as stderr; give its output, its exit code, and if the modes are as before."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "CI": "", **environment},
    )
    written = b""
    with suppress(OSError):
        while child.poll() is None or select_ready(ours):
            if select_ready(ours):
                written += os.read(ours, 65536)
            if interrupt and interrupt in written:
                child.send_signal(signal.SIGINT)
                interrupt = b""
    same = termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    return written.decode(), child.wait(), same


def select_ready(descriptor: int) -> bool:
    """Tell whether something can be read within a moment."""
    import select

    return bool(select.select([descriptor], [], [], 0.05)[0])


@pytest.mark.slow
def test_a_terminal_keeps_one_line_a_step():
    """Live lines were there while it ran, and one line each stays."""
    written, code, same = in_terminal(BUILD.format(ending="pass"))

    shown = screen(written)
    assert (code, same) == (0, True)
    assert shown[0] == "  base static"
    done = [line.rsplit(maxsplit=2) for line in sorted(shown[1:3])]
    assert [words[0] for words in done] == ["  linux/amd64  compiled", "  linux/arm64  compiled"]
    assert len(set(map(len, shown[1:3]))) == 1  # their times stand one below the other
    assert shown[3:] == ["warning: go.sum: missing"]
    assert re.search(r"linux/a\w+  compiling +\x1b\[2m0\.[12] s", written)
    assert "\x1b[1;33m" in written


@pytest.mark.slow
def test_ctrl_c_leaves_the_terminal_clean():
    """The interrupted step's live line goes; the line that stays says what became of it."""
    ending = (
        "\n    with progress.step('linux/386') as step:\n        step.detail('compiling more')\n        time.sleep(60)"
    )

    written, code, same = in_terminal(BUILD.format(ending=ending), interrupt=b"compiling more")

    shown = screen(written.partition("Traceback")[0])
    assert same
    assert code != 0
    assert re.fullmatch(r"  linux/386  failed after \d\.\d s", shown[-1])
    assert not any("compiling" in line for line in shown)


@pytest.mark.slow
def test_no_color_takes_colours_only():
    """NO_COLOR leaves the live lines; TERM=dumb leaves lines alone."""
    coloured, _, _ = in_terminal(BUILD.format(ending="pass"), NO_COLOR="1")
    dumb, _, _ = in_terminal(BUILD.format(ending="pass"), TERM="dumb")

    assert "m" not in re.findall(r"\x1b\[[0-9;]*([A-Za-z])", coloured)
    assert "\x1b[" in coloured
    assert "\x1b" not in dumb


def test_a_pipe_gets_whole_lines():
    """No escapes, nothing of what goes by."""
    stream = io.StringIO()

    with progress_for("auto", stream, {}) as progress:
        progress.line("one\ntwo")
        with progress.step("linux/amd64") as step:
            step.detail("compiling")
            step.done("compiled 1.4 s")
        progress.warn("mind this")

    assert stream.getvalue() == "  one\n  two\n  linux/amd64  compiled 1.4 s\nwarning: mind this\n"


def test_what_programs_print():
    """A pipe has a step's beginning before what it prints; a terminal shows that in passing, unless the step fails."""

    def tell(reporter: Reporter) -> None:
        with reporter, reporter.step("[a 1/2] RUN make", label="a 1/2") as fine:
            fine.printed("cc main.c")
            with suppress(RuntimeError), reporter.step("[b 1/1] RUN no", label="b\x1b[2J 1/1") as failing:
                failing.printed("no such file\x1b[2J")
                raise RuntimeError

    piped, shown = io.StringIO(), Terminal()
    tell(Reporter(PlainView(piped), Clock()))
    tell(Reporter(LiveView(shown, colour=False, size=lambda: os.terminal_size((80, 24))), Clock()))

    assert piped.getvalue().splitlines() == [
        "  [a 1/2] RUN make",
        "    a 1/2 0.0 | cc main.c",
        "  [b 1/1] RUN no",
        "    b\N{REPLACEMENT CHARACTER}[2J 1/1 0.0 | no such file\N{REPLACEMENT CHARACTER}[2J",
        "  [b 1/1] RUN no  failed after 0.0 s",
        "  [a 1/2] RUN make  0.0 s",
    ]
    kept = [" ".join(line.split()) for line in screen(shown.getvalue())]
    assert kept == [" ".join(line.split()) for line in piped.getvalue().splitlines()[3:]]
    assert "\n      cc main.c\x1b[K\n" in shown.getvalue()


def test_a_pipe_hears_of_long_steps_every_ten_seconds():
    """A step without a line for 10 s gets one with what it does; one that prints needs none."""
    clock, stream = Clock(), io.StringIO()
    view = PlainView(stream, monotonic=clock)
    progress = Reporter(view, monotonic=clock)
    with progress.step("compile api") as quiet, progress.step("RUN make", label="RUN") as loud:
        quiet.detail("12 of 340 packages, net/http")
        clock.now += 9
        loud.printed("cc a.c")
        view.beat()
        clock.now += 2
        view.beat()
        clock.now += 9
        view.beat()
        quiet.detail("340 of 340 packages")
        clock.now += 60
        view.beat()
    progress.close()

    assert [line for line in stream.getvalue().splitlines() if "|" not in line] == [
        "  RUN make",
        "  compile api  12 of 340 packages, net/http  11.0 s",
        "  RUN make  20.0 s",
        "  compile api  340 of 340 packages  1 min 20 s",
        "  RUN make  1 min 20 s",
        "  RUN make  1 min 20 s",
        "  compile api  1 min 20 s",
    ]


def test_quiet_still_warns():
    """A script's stderr has only what asks for action."""
    stream = io.StringIO()

    with progress_for("quiet", stream, {}) as progress, progress.step("linux/amd64"):
        progress.line("base static")
        progress.warn("mind this")

    assert stream.getvalue() == "warning: mind this\n"


def test_json_gives_an_object_a_line():
    """Every line is an object with time and event; a step's have its number and name."""
    stream = io.StringIO()

    with progress_for("json", stream, {}, clock=lambda: 0.5) as progress:
        progress.line("base \u202estatic")
        with progress.step("linux/amd64") as step:
            step.detail("compiling")
            step.done("compiled")
        with suppress(ZeroDivisionError), progress.step("linux/386"):
            raise ZeroDivisionError

    objects = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["event"] for one in objects] == ["line", "step", "detail", "done", "step", "failed"]
    assert {one["time"] for one in objects} == {"1970-01-01T00:00:00.500Z"}
    assert objects[2] == {
        "time": objects[2]["time"], "event": "detail", "step": 1, "name": "linux/amd64", "text": "compiling"
    }  # fmt: skip
    assert objects[3]["text"] == "compiled"
    assert objects[3]["seconds"] >= 0
    assert objects[5]["step"] == 2


def test_an_unknown_mode_is_refused():
    """The modes are named."""
    with pytest.raises(InvalidUsage) as caught:
        progress_for("tty", io.StringIO(), {})

    assert "auto" in caught.value.hint


def test_a_step_without_result_shows_its_time():
    """The time is the step's own, by the clock it was given."""
    clock = Clock()
    view = MemoryView()

    with Reporter(view, clock).step("storing"):
        clock.now += 1.94

    assert view.events[-1] == Event(EventKind.DONE, "", 1, "storing", pytest.approx(1.94))
    assert lasting(view.events[-1]) == ["  storing  1.9 s"]


def live(clock: Clock, rows: int, columns: int) -> tuple[Reporter, io.StringIO]:
    """Give a reporter on a terminal of this size, whose time the test turns."""
    stream = Terminal()
    size = os.terminal_size((columns, rows))
    return Reporter(LiveView(stream, colour=False, size=lambda: size, monotonic=clock), clock), stream


def test_live_lines_fit_the_terminal():
    """Long lines are cut and many steps counted, so that going back up finds the right row."""
    clock = Clock()
    reporter, stream = live(clock, rows=4, columns=20)

    with reporter:
        steps = [reporter.step(f"linux/architecture-{place}") for place in range(5)]
        for step in steps:
            step.__enter__()
        during = screen(stream.getvalue())
        for step in steps:
            step.done("ok")
            step.__exit__(None, None, None)

    assert during == ["  linux/architectu…", "  linux/architectu…", "  and 3 more"]
    assert screen(stream.getvalue()) == [f"  linux/architecture-{place}  ok" for place in range(5)]


def test_nothing_is_shown_after_the_end():
    """A thread that goes on after Ctrl-C writes no more."""
    reporter, stream = live(Clock(), rows=24, columns=80)
    step = reporter.step("late")

    with reporter:
        step.__enter__()
    ended = stream.getvalue()
    step.detail("more")
    step.__exit__(None, None, None)
    reporter.line("more")

    assert stream.getvalue() == ended
    assert screen(ended) == []


def test_many_threads_write_whole_lines():
    """Steps side by side never mix within a line."""
    reporter, stream = live(Clock(), rows=24, columns=80)

    def work(name: str) -> None:
        for _ in range(20):
            with reporter.step(name) as step:
                step.detail("x" * 30)
                step.done("done")

    with reporter:
        threads = [threading.Thread(target=work, args=(f"step-{place}",)) for place in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    shown = screen(stream.getvalue())
    assert len(shown) == 120
    assert all(re.fullmatch(r"  step-\d  done {60}0\.0 s", line) for line in shown)


def test_a_terminal_that_goes_away_ends_only_the_show():
    """The ticking thread has nobody to complain to, and goes on."""
    reporter, _ = live(Clock(), rows=24, columns=80)
    reporter.step("x").__enter__()
    view = reporter._view
    assert isinstance(view, LiveView)
    gone = Gone()
    with view._lock:
        view._stream = gone

    assert gone.asked.wait(5)

    assert view._ticker is not None
    assert view._ticker.is_alive()
    view._stream = Terminal()
    reporter.close()


def test_control_characters_are_shown_not_obeyed():
    """A package's path cannot clear the screen or turn the line's direction."""
    assert plain("a\x1b[2Jb\r\u202ec\td") == "a\ufffd[2Jb\ufffd\ufffdc    d"
    assert lasting(Event(EventKind.DONE, "\x9b2J", 1, "n\nm")) == ["  n\ufffdm  \ufffd2J"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (-1, "0.0 s"), (1.44, "1.4 s"), (59.94, "59.9 s"), (59.99, "1 min 00 s"), (3725, "62 min 05 s")],
)
def test_durations(seconds, text):
    """Enough digits to compare, no more."""
    assert duration(seconds) == text


@settings(max_examples=80)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30), st.integers(0, 20))
def test_a_cut_line_fits(line, columns):
    """Whatever letters it has, it takes no more columns than there are."""
    from wherry.report.views import columns_of

    short = cut(line, columns)

    assert sum(map(columns_of, short)) <= columns
    assert short == line or short.endswith("…") or short == ""


def test_importing_it_is_cheap():
    """A command that shows progress starts at once: rich is not behind it."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, wherry.report.views; print('rich' in sys.modules)"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
    )  # fmt: skip

    assert done.stdout == "False\n"


def tell_of_bytes(reporter: Reporter, clock: Clock) -> None:
    """Pull with a known size, pack with none, and let others wait."""
    with reporter.step("pull debian:12") as pull, reporter.step("compress layer", brief=True) as pack:
        pull.moved(TransferCounts(sent=12_300_000, there=1, total=49_200_000))
        pack.passed(5_000_000)
        reporter.waiting("1 of 4 steps done, 2 wait for pull debian:12")
        clock.now += 2
        reporter.line("now")  # counted bytes are shown by the next line or tick
        pull.moved(TransferCounts(sent=49_200_000, blobs=2, there=1, total=49_200_000), last=True)


def test_bytes_have_a_bar_where_their_number_is_known():
    """Steps stand side by side; one that is brief leaves no line; what others wait for stands below."""
    clock = Clock()
    reporter, stream = live(clock, rows=24, columns=80)

    tell_of_bytes(reporter, clock)
    during, _, after = stream.getvalue().partition("  now")
    reporter.close()

    shown = screen(during + "  now" + after.partition("\x1b[J")[0])
    assert shown == [
        "  now",
        "  pull debian:12  ━━━───────── 12.3 of 49.2 MB                            2.0 s",
        "  compress layer  5.0 MB                                                  2.0 s",
        "  1 of 4 steps done, 2 wait for pull debian:12",
    ]
    assert screen(stream.getvalue()) == [
        "  now",
        "  pull debian:12  49.2 MB fetched, 1 already there                        2.0 s",
    ]


def test_bytes_elsewhere():
    """A pipe has what came of it; a program has numbers, a few times a second, and no word of waiting."""
    clock, piped, objects = Clock(), io.StringIO(), io.StringIO()

    tell_of_bytes(Reporter(PlainView(piped, monotonic=clock), clock), clock)
    reporter = Reporter(JsonView(objects, clock), clock)
    tell_of_bytes(reporter, clock)
    with reporter.step("unpack") as step:
        for done in range(1000):
            clock.now += 0.001
            step.passed(done, 1000)

    assert piped.getvalue() == "  now\n  pull debian:12  49.2 MB fetched, 1 already there\n"
    told = [json.loads(line) for line in objects.getvalue().splitlines()]
    assert told[2]["text"] == "12.3 of 49.2 MB, 1 blob there"
    assert (told[2]["bytes"], told[2]["total"]) == (12_300_000, 49_200_000)
    assert all(one["event"] != "waiting" for one in told)
    assert 3 <= sum(one["event"] == "detail" and one["name"] == "unpack" for one in told) <= 5


def test_a_narrower_terminal():
    """Lines that a terminal wraps when it is made narrower are counted as the rows they take."""
    clock, stream, columns = Clock(), Terminal(), [100]
    view = LiveView(stream, colour=False, size=lambda: os.terminal_size((columns[0], 24)), monotonic=clock)
    reporter = Reporter(view, clock)
    with reporter, reporter.step("compile") as step:
        columns[0] = 60
        step.detail("net/http")

    assert "\x1b[2F" in stream.getvalue()


@pytest.mark.parametrize(("ci", "is_live"), [("", True), ("false", True), ("true", False), ("1", False)])
def test_ci_gets_lines_that_stay(ci, is_live):
    """A terminal in CI is a log: nothing is redrawn."""
    stream = Terminal()

    with progress_for("auto", stream, {"CI": ci, "TERM": "xterm"}) as progress, progress.step("compile"):
        pass

    assert ("\x1b[J" in stream.getvalue()) == is_live
    assert stream.getvalue().rstrip().endswith("s" if not is_live else "\x1b[0m\x1b[K\n\x1b[J")


def test_programs_share_the_rows_that_are_left():
    """Up to four lines that each printed last stand below its step; on a low terminal the last is in its own line."""

    def shown(rows: int) -> list[str]:
        reporter, stream = live(Clock(), rows=rows, columns=60)
        with reporter.step("RUN make", label="a 1/2") as one, reporter.step("RUN test", label="b 1/1") as other:
            for number in range(9):
                one.printed(f"cc | {number}.c")
            other.printed("ok")
            lines = screen(stream.getvalue())
        reporter.close()
        return [" ".join(line.split()) for line in lines]

    assert shown(24) == ["RUN make 0.0 s", *(f"cc | {number}.c" for number in (5, 6, 7, 8)), "RUN test 0.0 s", "ok"]
    assert shown(8) == ["RUN make 0.0 s", "cc | 7.c", "cc | 8.c", "RUN test 0.0 s", "ok"]
    assert shown(4) == ["RUN make cc | 8.c 0.0 s", "RUN test ok 0.0 s"]
