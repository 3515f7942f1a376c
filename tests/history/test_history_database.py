"""The journal and the database behind it: each line counts once, whatever happens to either."""

import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorded import BEGAN, built, digest_of
from wherry.errors import CannotWrite
from wherry.history import database as rooms
from wherry.history import journal
from wherry.history.append import JOURNAL, append, line_of
from wherry.history.database import HistoryDamaged, HistoryDatabase
from wherry.history.entry import CallFigures, replayed
from wherry.history.schema import DATABASE, SCHEMA


def write(folder: Path, *entries: CallFigures) -> None:
    """Append entries as calls do."""
    for one in entries:
        append(str(folder / JOURNAL), one.encoded())


def ids(folder: Path) -> list[str]:
    """Give what a reader of the history sees."""
    with HistoryDatabase(folder) as found:
        found.fold()
        return [one.id for one in found.entries()]


def test_a_line_counts_once(tmp_path: Path) -> None:
    """Reading again adds nothing, and what is appended later comes too."""
    write(tmp_path, built(1), built(2))
    assert len(ids(tmp_path)) == 2
    assert len(ids(tmp_path)) == 2
    write(tmp_path, built(3))

    assert ids(tmp_path) == [built(number).id for number in (1, 2, 3)]


def test_a_replay_writes_a_line_of_its_own(tmp_path: Path) -> None:
    """The line that a replayed call appends is an entry with its image and its cached steps, and a new id."""
    first = built(1)
    write(tmp_path, first)
    append(str(tmp_path / JOURNAL), line_of(replayed(first), BEGAN + 9000.0, 0.0412))

    with HistoryDatabase(tmp_path) as found:
        found.fold()
        (_, again) = found.entries()
        rows = found.ask("SELECT unpacked FROM images ORDER BY at")

    assert (again.at, again.seconds, again.unchanged, again.hits) == (BEGAN + 9000.0, 0.0412, True, 8)
    assert again.images[0].digest == first.images[0].digest
    assert again.id != first.id
    assert rows == [(12_000_000,), (12_000_000,)]


@pytest.mark.parametrize("harm", [b'{"id":"00', b"\xff\xfe\n", b"[" * 5000 + b"\n", b"x" * 600_000 + b"\n", b"{}\n"])
def test_a_bad_line_spoils_no_other(tmp_path: Path, harm: bytes) -> None:
    """A line that a crash tore, or that something else wrote, is passed over."""
    write(tmp_path, built(1))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(harm)
    write(tmp_path, built(2))

    assert ids(tmp_path) == [built(1).id, built(2).id]


def test_many_processes_append_at_once(tmp_path: Path) -> None:
    """No line is lost or torn, while others read and fold."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from recorded import built; from wherry.history.append import append\n"
        "for n in range(40): append(sys.argv[1] + '/journal.jsonl', built(int(sys.argv[2]) * 100 + n).encoded())"
    )
    here = str(Path(__file__).parents[1])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code.replace("sys.argv[2:]", "[sys.argv[3]]"), str(tmp_path), str(n), here]
        )
        for n in range(3)
    ]
    with ThreadPoolExecutor(2) as pool:
        while any(one.poll() is None for one in writers):
            list(pool.map(lambda _: ids(tmp_path), range(2)))
    assert [one.wait() for one in writers] == [0, 0, 0]

    assert len(ids(tmp_path)) == 120


def test_a_full_journal_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that had it open adds its line all the same."""
    monkeypatch.setattr(journal, "FULL", 100)
    write(tmp_path, built(1))
    with (tmp_path / JOURNAL).open("ab") as late:
        assert len(ids(tmp_path)) == 1
        assert not (tmp_path / JOURNAL).exists()
        late.write(built(2).encoded() + b"\n")
    write(tmp_path, built(3))

    assert len(ids(tmp_path)) == 3


@pytest.mark.parametrize("harm", ["garbage", "truncated", "another format", "a folder", "schema"])
def test_a_damaged_database_is_set_aside(tmp_path: Path, harm: str) -> None:
    """A new one begins with what the journal still has, and the reader is told."""
    write(tmp_path, built(1), built(2))
    assert len(ids(tmp_path)) == 2
    file = tmp_path / DATABASE
    for leftover in tmp_path.glob(f"{DATABASE}-*"):
        leftover.unlink()
    if harm == "garbage":
        file.write_bytes(b"garbage" * 1000)
    elif harm == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif harm == "a folder":
        file.unlink()
        file.mkdir()
    else:
        with sqlite3.connect(file) as found:
            found.execute("PRAGMA user_version = 99" if harm == "another format" else "DROP TABLE facts")
        found.close()
    told: list[str] = []
    with HistoryDatabase(tmp_path, told.append) as found_again:
        found_again.fold()

        assert len(list(found_again.entries())) == 2
    assert "damaged" in told[0]
    assert (tmp_path / f"{DATABASE}.damaged").exists()


def test_a_locked_database_is_read(tmp_path: Path) -> None:
    """What another process holds is read as it was; the new lines come later, and builds never wait."""
    write(tmp_path, built(1))
    ids(tmp_path)
    write(tmp_path, built(2))
    other = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told: list[str] = []
    with HistoryDatabase(tmp_path, told.append, patience=0.0) as found:
        assert found.fold() == 0
        assert len(list(found.entries())) == 1
        with pytest.raises(CannotWrite):
            found.add([built(3)])
    other.execute("ROLLBACK")
    other.close()

    assert "locked" in told[0]
    assert len(ids(tmp_path)) == 2


def test_a_copy_in_memory_has_the_journal_too(tmp_path: Path) -> None:
    """What is read where nothing may be written."""
    write(tmp_path, built(1))
    ids(tmp_path)
    write(tmp_path, built(2))
    with HistoryDatabase(tmp_path) as found:
        found._database.close()
        found._database = found._copied()
        found.fold()

        assert len(list(found.entries())) == 2
        with pytest.raises(CannotWrite, match="cannot be written"):  # and not "1 of them new"
            found.add([built(3)])


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest calls go, with their rows; 64 MB of documents are the other bound."""
    monkeypatch.setattr(rooms, "MOST", 10)
    write(tmp_path, *(built(number, pulled=5_000_000 + number) for number in range(25)))
    with HistoryDatabase(tmp_path) as found:
        found.fold()
        assert [one.id for one in found.entries()] == [built(number).id for number in range(15, 25)]
        assert found.ask("SELECT COUNT(*) FROM images") == [(10,)]
        monkeypatch.setattr(rooms, "MOST_BYTES", 3000)
        found.add([built(99)])
        ((size,),) = found.ask("SELECT SUM(LENGTH(document)) FROM calls")

    assert size <= 3000


def test_a_few_lines_are_folded_at_a_time(tmp_path: Path) -> None:
    """A build that finds a full journal takes some, and the next one goes on."""
    write(tmp_path, *map(built, range(10)))
    with HistoryDatabase(tmp_path) as found:
        assert [found.fold(4), found.fold(4), found.fold(4)] == [4, 4, 2]


def test_unpacked_bytes_are_summed_once_a_base_is_known(tmp_path: Path) -> None:
    """An image with a base layer of unknown size has none, until it was measured."""
    entry = built(1)
    base, own = entry.images[0].layers
    image = msgspec.structs.replace(entry.images[0], layers=(msgspec.structs.replace(base, unpacked=None), own))
    write(tmp_path, msgspec.structs.replace(entry, images=(image,)))
    with HistoryDatabase(tmp_path) as found:
        found.fold()
        assert found.ask("SELECT unpacked, base FROM images") == [(None, 1_000_000)]
        assert list(found.unmeasured()) == [digest_of(1)]
        found.measured({digest_of(1): 77})

        assert found.ask("SELECT unpacked FROM images") == [(10_000_077,)]
        assert found.unmeasured() == {}


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3), st.data()
)
def test_any_value_in_any_place(value: object, data: st.DataObject) -> None:
    """A line is an entry that can be written again, or refused as a document; nothing else happens."""
    document = json.loads(built(1).encoded())
    place = data.draw(st.sampled_from(sorted(document)))
    try:
        entry = CallFigures.parse(json.dumps({**document, place: value}).encode())
    except msgspec.DecodeError:
        return
    assert CallFigures.parse(entry.encoded()) == entry


def test_the_schema_has_no_more_than_it_says() -> None:
    """Each table of the documentation is there."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "history.md").read_text()
    tables = [line.split()[2] for line in SCHEMA.splitlines() if line.startswith("CREATE TABLE")]

    assert [name for name in tables if f"`{name}`" not in page] == []


def harmed(folder: Path, first: int, every: int) -> None:
    """Overwrite pages of a database, beginning with one, as a failing disk does."""
    with (folder / DATABASE).open("r+b") as file:
        for place in range(4096 * first, file.seek(0, 2), 4096 * every):
            file.seek(place)
            file.write(b"\xaa" * 4096)


@pytest.mark.parametrize(("first", "every"), [(12, 3), (30, 40)], ids=["much", "little"])
def test_damage_that_opening_does_not_show(tmp_path: Path, first: int, every: int) -> None:
    """Who looks through the file sets it aside, keeps what can be read of it, and says so; it is the same machine."""
    told: list[str] = []
    with HistoryDatabase(tmp_path) as found:
        found.add(map(built, range(200)))
        machine = found.machine
    harmed(tmp_path, first, every)
    with HistoryDatabase(tmp_path, told.append, checked=True) as found:
        kept = [one.id for one in found.entries()]
        assert found.machine == machine

    assert 0 < len(kept) < 200
    assert set(kept) <= {built(number).id for number in range(200)}
    assert f"a new one has {len(kept)} calls of it" in told[0]


def test_damage_that_is_met_while_reading(tmp_path: Path) -> None:
    """Who did not look through it gets an error that says what to do, and a text that is no UTF-8 is no error."""
    with HistoryDatabase(tmp_path) as found:
        found.add(map(built, range(200)))
        found.ask("UPDATE calls SET document = CAST(X'7bff7d' AS TEXT) WHERE id = ?", (built(7).id,))
        assert len(list(found.entries())) == 199
    harmed(tmp_path, 12, 3)
    with HistoryDatabase(tmp_path) as found:
        with pytest.raises(HistoryDamaged, match="malformed") as caught:
            list(found.entries())
        with pytest.raises(HistoryDamaged):
            found.add(map(built, range(300)))

    assert "move the file away" in caught.value.hint


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_a_journal_that_is_no_file(tmp_path: Path, kind: str) -> None:
    """It is passed over, and not waited for."""
    journal = tmp_path / JOURNAL
    if kind == "fifo":
        os.mkfifo(journal)
    elif kind == "link":
        journal.symlink_to("/dev/zero")
    else:
        journal.mkdir()
    with HistoryDatabase(tmp_path) as found:
        assert found.fold() == 0
