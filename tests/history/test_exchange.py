"""Histories of other machines: merged once, clocks apart, and files that are none."""

from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from recorded import BEGAN, DAY, built
from wherry.errors import InvalidDocument
from wherry.history.database import HistoryDatabase
from wherry.history.exchange import read, written

NOW = BEGAN + 100 * DAY


def file_of(*entries: object, machine: str = "a1", now: float = NOW) -> bytes:
    """Write an export."""
    return b"".join(written(entries, machine, now))  # type: ignore[arg-type] # entries


def test_what_is_written_is_read() -> None:
    """All of it, and its machine."""
    found = read(BytesIO(file_of(built(1), built(2))), "f", NOW)

    assert [one.id for one in found.entries] == [built(1).id, built(2).id]
    assert {one.machine for one in found.entries} == {"a1"}
    assert found.ahead == 0


def test_files_one_after_the_other_are_one() -> None:
    """As the logs of a watch that was started again: each part has its own machine and clock."""
    parts = file_of(built(1), machine="a1", now=NOW + 3600) + file_of(built(2), machine="b2")
    found = read(BytesIO(parts), "f", NOW)

    assert [(one.machine, one.at) for one in found.entries] == [("a1", built(1).at - 3600), ("b2", built(2).at)]
    assert found.ahead == 3600


def test_a_clock_that_is_ahead_is_set_back() -> None:
    """An export from the future is of a clock that is ahead; only that machine's calls are moved."""
    found = read(BytesIO(file_of(built(1, machine="a1"), built(2, machine="b2"), now=NOW + 3600)), "f", NOW)

    assert found.ahead == 3600
    assert [one.at for one in found.entries] == [built(1).at - 3600, built(2).at]


def test_two_machines_are_one_history(tmp_path: Path) -> None:
    """Merged both ways, twice, both have each call once, in order of time."""
    ones = [built(number, machine="a1") for number in (1, 3)]
    others = [built(number, machine="b2") for number in (2, 4)]
    with HistoryDatabase(tmp_path / "one") as one, HistoryDatabase(tmp_path / "two") as two:
        one.add(ones)
        two.add(others)
        for _ in range(2):
            one.add(read(BytesIO(file_of(*two.entries(), machine="b2")), "f", NOW).entries)
            two.add(read(BytesIO(file_of(*one.entries(), machine="a1")), "f", NOW).entries)

        assert [one.id for one in one.entries()] == [built(number).id for number in (1, 2, 3, 4)]
        assert list(one.entries()) == list(two.entries())


@pytest.mark.parametrize(
    "harm",
    [
        b"", b"\n\n", b"{}\n", b"[" * 100_000, b'{"wherryHistory":99,"machine":"a1","exported":1}\n',
        b'{"wherryHistory":1,"machine":"../../x","exported":1}\n',
        b'{"wherryHistory":1,"machine":"a1","exported":1e999}\n',
        file_of() + b'{"id":"../../etc/passwd","at":1,"command":"build"}\n', file_of() + b"\xff\n",
        file_of() + b'{"id":"0000000000000000","at":-1,"command":"build"}\n',
        file_of() + b'{"id":"0000000000000000","at":1,"command":"build","seconds":1e400}\n',
        file_of() + b'{"id":"0000000000000000","at":1,"command":"<script>"}\n',
        file_of() + b'{"id":"0000000000000000","at":1,"command":"build","error":"\\ud800"}\n',
        file_of() + b'{"id":"0000000000000000","at":1,"command":"build","steps":' + b"[" * 90_000 + b"\n",
        file_of() + b'{"id":"0000000000000000","at":1,"command":"build","memory":' + b"9" * 5000 + b"}\n",
        file_of() + b"x" * (1 << 19),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(harm: bytes) -> None:
    """Each with the line; nothing of them counts."""
    with pytest.raises(InvalidDocument):
        read(BytesIO(harm), "f", NOW)


def test_a_text_of_bytes_that_are_no_utf8() -> None:
    """A name of a file in a step may be any bytes; the line is UTF-8 all the same."""
    from wherry.history.entry import StepFigures, text

    step = StepFigures(name=text("COPY \udcff.txt"), reasons=(text("x" * 9000),))
    entry = msgspec.structs.replace(built(1), steps=(step,))

    assert type(entry).parse(entry.encoded()) == entry
    assert len(step.reasons[0]) == 512
