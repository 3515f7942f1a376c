"""A go.sum against a checksum database: what is proved, and each way in which a server can lie."""

from pathlib import Path

import pytest

from checksum_log import ChecksumLog
from wherry.golang.gosum import parse_go_sum
from wherry.trust.checksum_database import CannotAsk, ChecksumDatabase, SumState, findings_of
from wherry.trust.note import NoteKey
from wherry.trust.sum_cache import SumCache

GO_SUM = """\
example.com/A v1.0.0 h1:aaaa=
example.com/A v1.0.0/go.mod h1:bbbb=
example.com/c v0.1.0/go.mod h1:cccc=
"""
LINES = parse_go_sum(GO_SUM, "go.sum")


@pytest.fixture
def log() -> ChecksumLog:
    """A log that has both modules, far apart."""
    made = ChecksumLog()
    made.add("example.com/A", "v1.0.0", *GO_SUM.splitlines()[:2])
    made.fill(400)
    made.add("example.com/c", "v0.1.0", GO_SUM.splitlines()[2], "example.com/c v0.1.0 h1:dddd=")
    return made


class Checked:
    """Databases that keep what they were given in one folder, and count requests."""

    def __init__(self, folder: Path) -> None:
        self.cache = SumCache(folder / "kept")
        self.asked: list[str] = []

    def __call__(self, log: ChecksumLog, root: Path | None, lines=LINES):
        """Check lines; with no root, offline."""

        def ask(path: str) -> bytes | None:
            self.asked.append(path)
            assert root is not None
            return (root / path).read_bytes() if (root / path).is_file() else None

        self.asked.clear()
        return ChecksumDatabase(NoteKey.parse(log.key), self.cache, ask if root else None).check(lines)


@pytest.fixture
def checked(tmp_path) -> Checked:
    """As above."""
    return Checked(tmp_path)


def states(report) -> set[str]:
    """Give the states of all modules."""
    return {str(one.state) for one in report.verdicts}


def test_second_run_is_offline(log, checked, tmp_path):
    """Each record is proved, and what was asked once is not asked again."""
    root = log.write(tmp_path / "proxy")

    first = checked(log, root)
    assert states(first) == {"proved"}
    assert first.head is not None
    assert first.head.size == len(log.records)
    assert first.requests == len(checked.asked) > 0
    assert findings_of(first, LINES) == []

    second = checked(log, None)
    assert states(second) == {"proved"}
    assert second.requests == 0


def test_a_grown_log_goes_on_from_the_last_head(log, checked, tmp_path):
    """A log that grew is taken, and an older head from a lazy proxy is no finding."""
    old = log.write(tmp_path / "old")
    checked(log, old, LINES[:1])
    log.fill(600)
    new = log.write(tmp_path / "new")

    grown = checked(log, new)
    assert states(grown) == {"proved"}
    assert grown.head.size == len(log.records)

    behind = checked(log, old)
    assert states(behind) == {"proved"}
    assert behind.head == grown.head
    assert not behind.findings


def test_a_changed_line_is_contradicted(log, checked, tmp_path):
    """A hash of go.sum that the database does not have is an attack, with both hashes and the line."""
    root = log.write(tmp_path / "proxy")
    lines = parse_go_sum(GO_SUM.replace("h1:bbbb=", "h1:bbbc="), "go.sum")

    report = checked(log, root, lines)
    found = findings_of(report, lines)

    assert [(one.rule, one.place) for one in found] == [("sumdb-contradicts", "go.sum:1")]
    assert "go.sum:2 has h1:bbbc=" in found[0].evidence[0]
    assert "has h1:bbbb=" in found[0].evidence[0]


def test_another_tree_of_the_same_key_is_a_fork(log, checked, tmp_path):
    """Two signed trees that do not grow from each other are a fork, with both heads as evidence."""
    checked(log, log.write(tmp_path / "proxy"))
    other = ChecksumLog(filler=0)
    other.fill(300, "elsewhere")
    other.add("example.com/A", "v1.0.0", "example.com/A v1.0.0 h1:evil=")
    other.fill(900)
    other.add("example.com/e", "v1.0.0", "example.com/e v1.0.0 h1:eeee=")
    lines = parse_go_sum("example.com/e v1.0.0 h1:eeee=\n", "go.sum")

    report = checked(other, other.write(tmp_path / "other"), lines)

    assert [one.rule for one in findings_of(report, lines)] == ["sumdb-fork"]
    assert sum("go.sum database tree" in line for line in report.findings[0].evidence) == 2
    kept = next(checked.cache.read("latest"))
    assert f"\n{len(log.records)}\n".encode() in kept, "the head that was trusted stays"


def test_a_fork_of_the_same_size(log, checked, tmp_path):
    """Two heads of one size with different hashes are a fork too."""
    checked(log, log.write(tmp_path / "proxy"))
    other = ChecksumLog(filler=len(log.records) - 1)
    other.add("example.com/e", "v1.0.0", "example.com/e v1.0.0 h1:eeee=")
    lines = parse_go_sum("example.com/e v1.0.0 h1:eeee=\n", "go.sum")

    report = checked(other, other.write(tmp_path / "other"), lines)

    assert "sumdb-fork" in [one.rule for one in findings_of(report, lines)]


def _another_record(log: ChecksumLog, root: Path) -> None:
    answer = (root / "lookup/example.com/!a@v1.0.0").read_bytes()
    (root / "lookup/example.com/!a@v1.0.0").write_bytes(answer.replace(b"h1:aaaa=", b"h1:evil="))


def _another_number(log: ChecksumLog, root: Path) -> None:
    answer = (root / "lookup/example.com/!a@v1.0.0").read_bytes()
    (root / "lookup/example.com/!a@v1.0.0").write_bytes(answer.replace(b"300\n", b"301\n", 1))


def _another_key(log: ChecksumLog, root: Path) -> None:
    stranger = ChecksumLog(seed=b"\x08" * 32, filler=0)
    stranger.records, stranger.modules = log.records, log.modules
    stranger.write(root.parent.parent)


def _a_changed_head(log: ChecksumLog, root: Path) -> None:
    for file in (root / "lookup").rglob("*@*"):
        file.write_bytes(file.read_bytes().replace(b"tree\n702\n", b"tree\n703\n"))


def _cut_short(log: ChecksumLog, root: Path) -> None:
    for file in (root / "lookup").rglob("*@*"):
        file.write_bytes(file.read_bytes()[:-40])


def _changed_tiles(log: ChecksumLog, root: Path) -> None:
    for file in (root / "tile").rglob("*"):
        if file.is_file():
            file.write_bytes(bytes(len(file.read_bytes())))


@pytest.mark.parametrize(
    "lie", [_another_record, _another_number, _another_key, _a_changed_head, _cut_short, _changed_tiles]
)
def test_lies_are_forgeries(log, checked, tmp_path, lie):
    """What a server cannot sign or prove is a forgery, nothing else."""
    root = log.write(tmp_path / "proxy")
    lie(log, root)

    report = checked(log, root)
    state = next(one.state for one in report.verdicts if one.path == "example.com/A")

    assert state is SumState.FORGED
    assert "sumdb-forged" in {one.rule for one in findings_of(report, LINES)}


def test_what_is_not_there_is_missing(log, checked, tmp_path):
    """A module that the database has no record of is a finding; it may be private."""
    root = log.write(tmp_path / "proxy")
    lines = parse_go_sum("example.com/none v1.0.0 h1:x=\n", "go.sum")

    assert [one.rule for one in findings_of(checked(log, root, lines), lines)] == ["sumdb-missing"]


def test_no_answer_is_no_proof(log, checked, tmp_path):
    """Offline with nothing kept, and tiles that are cut short, leave modules unproved; that accuses nobody."""
    assert states(checked(log, None)) == {"unasked"}
    root = log.write(tmp_path / "proxy")
    for file in (root / "tile").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:17])

    report = checked(log, root)

    assert states(report) == {"unasked"}
    assert findings_of(report, LINES) == []


def test_damaged_cache_costs_requests_only(log, checked, tmp_path):
    """Kept answers and tiles that were changed are asked for again."""
    root = log.write(tmp_path / "proxy")
    checked(log, root)
    for file in (tmp_path / "kept").rglob("*"):
        if file.is_file():
            file.write_bytes(b"\0" * len(file.read_bytes()))

    assert states(checked(log, root)) == {"proved"}
    assert checked.asked


def test_an_unreachable_server_is_no_accusation(log, checked):
    """An error while asking is passed on as what could not be verified."""

    def ask(_: str) -> bytes | None:
        raise CannotAsk("sum.example.com: cannot connect")

    report = ChecksumDatabase(NoteKey.parse(log.key), checked.cache, ask).check(LINES)

    assert states(report) == {"unasked"}
    assert {one.why for one in report.verdicts} == {"sum.example.com: cannot connect"}
