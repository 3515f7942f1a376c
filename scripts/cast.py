"""`make cast`: record wherry at work in a terminal: docs/cast.svg for the README, and an asciinema cast.

The commands are really run, in a pseudoterminal of 92 columns. Pauses over a second are cut to one, and what takes long
is shown quicker. pyte, a terminal in memory, says what the screen shows. The picture needs no script: CSS shows one
frame after the other.

Sources: asciicast v2; CSS Animations 1, "step-end".
"""

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "cast.svg"
PLACE = ROOT / ".cache" / "cast"
COLUMNS, LINES = 92, 24
COMMANDS = (
    "wherry build --platform linux/amd64,linux/arm64 -t hello",
    "wherry build --platform linux/amd64,linux/arm64 -t hello",
    "wherry size hello --platform linux/amd64 --top 5",
    "wherry tree hello",
)
PAUSE = 1.0
"""Seconds: the longest pause, and how long an answer can be read before the next command."""
LONGEST = 5.0
"""Seconds that a command is shown at work; one that takes longer is shown quicker."""
READ = 2.0
FRAME = 0.09
"""Seconds for which a frame is shown at least."""
KEY = 0.045
"""Seconds for each key that is typed."""
_FONT, _WIDE, _HIGH = 14, 8.4, 19
_COLOURS = {
    "default": "#d6dae0", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "yellow": "#e3b341",
    "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#f0f3f6", "black": "#8b949e",
}  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """What the screen shows from a moment on."""

    at: float
    lines: tuple[tuple[tuple[str, str, bool], ...], ...]
    """Each line as runs of text, colour, bold."""


class Recorder:
    """A terminal in memory, and when it showed what."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.Stream(self.screen)
        self.at = 0.0
        self.frames: list[Frame] = []
        self.events: list[tuple[float, str, str]] = []

    def show(self, text: str, after: float) -> None:
        """Feed what a program printed."""
        self.at += min(after, PAUSE)
        self._stream.feed(text)
        self.events.append((round(self.at, 3), "o", text))
        lines = tuple(self._line(number) for number in range(LINES))
        if self.frames and self.at - self.frames[-1].at < FRAME:
            self.frames[-1] = Frame(self.frames[-1].at, lines)
        else:
            self.frames.append(Frame(self.at, lines))

    def _line(self, number: int) -> tuple[tuple[str, str, bool], ...]:
        runs: list[tuple[str, str, bool]] = []
        for column in range(COLUMNS):
            cell = self.screen.buffer[number][column]
            colour = cell.fg if cell.fg in _COLOURS else "default"
            if runs and runs[-1][1:] == (colour, cell.bold):
                runs[-1] = (runs[-1][0] + cell.data, colour, cell.bold)
            else:
                runs.append((cell.data, colour, cell.bold))
        while runs and not runs[-1][0].strip():
            runs.pop()
        return tuple(runs)


def main() -> int:
    """Record, and write both files."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    environment = {
        **os.environ, "TERM": "xterm-256color", "WHERRY_STORE": str(PLACE / "store"),
        "WHERRY_CACHE": str(PLACE / "cache"), "COLUMNS": str(COLUMNS),
    }  # fmt: skip
    environment.pop("CI", None)
    environment.pop("NO_COLOR", None)
    recorder = Recorder()
    recorder.show("\x1b[32m~/hello $\x1b[0m ", 0)
    for command in COMMANDS:
        for key in command:
            recorder.show(key, KEY)
        recorder.show("\r\n", 0.3)
        answers = list(_answers(command, ROOT / "examples" / "hello", environment))
        quicker = min(1.0, LONGEST / (sum(min(after, PAUSE) for _, after in answers) or 1))
        for text, after in answers:
            recorder.show(text, min(after, PAUSE) * quicker)
        recorder.at += READ
        recorder.show("\x1b[32m~/hello $\x1b[0m ", 0)
    header = {"version": 2, "width": COLUMNS, "height": LINES, "title": "wherry"}
    (PLACE / "wherry.cast").write_text("".join(json.dumps(one) + "\n" for one in (header, *recorder.events)))
    PICTURE.write_text(picture(recorder.frames, recorder.at + READ))
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size} bytes, {len(recorder.frames)} frames")
    return 0


def _answers(command: str, folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Run a command in a pseudoterminal; give what it prints and the seconds since it last did."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    with subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as program:
        os.close(theirs)
        before = time.monotonic()
        while True:
            ready, _, _ = select.select([ours], [], [], 0.2)
            if not ready and program.poll() is not None:
                break
            if ready:
                try:
                    text = os.read(ours, 1 << 16)
                except OSError:  # EIO: the last program closed its side
                    break
                now = time.monotonic()
                yield text.decode(errors="replace"), now - before
                before = now
    os.close(ours)
    if program.returncode:
        sys.exit(f"{command}: exit {program.returncode}; nothing is written")


def picture(frames: list[Frame], length: float) -> str:
    """Draw frames as an SVG that shows one after the other, without end."""
    known: dict[tuple[tuple[str, str, bool], ...], str] = {}
    groups, rules = [], []
    for number, frame in enumerate(frames):
        until = frames[number + 1].at if number + 1 < len(frames) else length
        uses = []
        for row, line in enumerate(frame.lines):
            if line:
                name = known.setdefault(line, f"l{len(known)}")
                uses.append(f'<use href="#{name}" y="{(row + 1) * _HIGH}"/>')
        begin, end = 100 * frame.at / length, 100 * until / length
        rules.append(
            f"@keyframes k{number}{{0%{{visibility:hidden}}{begin:.3f}%{{visibility:visible}}{end:.3f}%"
            f"{{visibility:hidden}}}}.f{number}{{animation:k{number} {length:.2f}s step-end infinite}}"
        )
        groups.append(f'<g class="f f{number}">{"".join(uses)}</g>')
    texts = [
        f'<text id="{name}" xml:space="preserve">'
        + "".join(
            f'<tspan fill="{_COLOURS[colour]}" font-weight="{"bold" if bold else "normal"}">{escape(text)}</tspan>'
            for text, colour, bold in line
        )
        + "</text>"
        for line, name in known.items()
    ]
    width, height = round(COLUMNS * _WIDE + 32), LINES * _HIGH + 32
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="A terminal: wherry builds an image, builds it again, and shows where its bytes are">'
        f"<style>.f{{visibility:hidden}}text{{font:{_FONT}px ui-monospace,Menlo,Consolas,monospace}}"
        "@media print{.f:last-of-type{visibility:visible;animation:none}}"
        f'{"".join(rules)}</style><rect width="100%" height="100%" rx="8" fill="#0d1117"/>'
        f'<defs>{"".join(texts)}</defs><g transform="translate(16 8)">{"".join(groups)}</g></svg>\n'
    )


if __name__ == "__main__":
    sys.exit(main())
