"""The memory of results: whatever its file became, an answer is right or there is none."""

import random
import sqlite3
from contextlib import closing

import pytest

from wherry.store.results import RESULTS as FILE
from wherry.store.results import Results, StepRecord


def record(number: int) -> StepRecord:
    """Make a record."""
    return StepRecord(
        definition=f"d{number}", content=f"c{number}", slot="s", used=float(number), defined=b"f" * 300,
        observed=b"o" * 300, result=b"r%d" % number,
    )  # fmt: skip


@pytest.fixture
def filled(tmp_path):
    """A folder with a hundred records and facts."""
    with closing(Results(tmp_path)) as results:
        for number in range(100):
            results.put(record(number))
        results.put_facts({f"f{number}": f"value {number}" for number in range(100)})
    return tmp_path


def test_keeps_and_finds(filled):
    """By both keys, by the definition, by the slot; facts by name."""
    with closing(Results(filled)) as results:
        assert results.find("d7", "c7") == record(7)
        assert results.latest("d7") == record(7)
        assert results.previous("s") == record(99)
        assert results.fact("f7") == "value 7"
        assert results.find("d7", "c8") is None
        assert results.fact("f100") is None


def _overwritten(path, chance):
    content = bytearray(path.read_bytes())
    for _ in range(20):
        at = chance.randrange(len(content))
        content[at : at + 40] = chance.randbytes(40)
    path.write_bytes(bytes(content))


def _cut(path, chance):
    with path.open("r+b") as file:
        file.truncate(chance.randrange(path.stat().st_size))


def _garbage(path, chance):
    path.write_bytes(chance.randbytes(5000))


def _folder(path, _chance):
    path.unlink()
    (path / "inside").mkdir(parents=True)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("damage", [_overwritten, _cut, _garbage, _folder])
def test_a_damaged_file_gives_no_wrong_answer(filled, damage, seed):
    """Each record is right or gone, and new ones are kept."""
    for extra in filled.glob(f"{FILE}-*"):
        extra.unlink()
    damage(filled / FILE, random.Random(seed))  # noqa: S311 - damage, not secrets

    with closing(Results(filled)) as results:
        assert all(results.find(f"d{at}", f"c{at}") in {None, record(at)} for at in range(100))
        assert all(results.latest(f"d{at}") in {None, record(at)} for at in range(100))
        assert all(results.fact(f"f{at}") in {None, f"value {at}"} for at in range(100))
        results.put(record(200))
        results.put_fact("new", "x")
        results.forget_unused(0)
    with closing(Results(filled)) as results:
        assert results.find("d200", "c200") == record(200)
        assert results.fact("new") == "x"


def test_says_what_was_set_aside(filled):
    """One line, and the file is kept for whoever wants to look."""
    (filled / FILE).write_bytes(b"no database at all" * 100)
    lines = []

    with closing(Results(filled, lines.append)) as results:
        assert results.latest("d1") is None
        assert results.latest("d2") is None

    assert len(lines) == 1
    assert (filled / f"{FILE}.damaged").read_bytes().startswith(b"no database")


def test_a_changed_value_is_no_result(filled):
    """Damage that SQLite does not see is found by the row's checksum, and the row goes."""
    with closing(sqlite3.connect(filled / FILE)) as database:
        database.execute("UPDATE results SET observed = X'00' WHERE definition = 'd5'")
        database.execute("UPDATE facts SET value = 'lie' WHERE name = 'f5'")
        database.commit()

    with closing(Results(filled)) as results:
        assert results.latest("d5") is None
        assert results.fact("f5") is None
    with closing(sqlite3.connect(filled / FILE)) as database:
        assert database.execute("SELECT count(*) FROM results WHERE definition = 'd5'").fetchone() == (0,)
