"""`wherry history`: what calls leave, what it prints, and what goes from machine to machine."""

import csv
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from cli_shell import Shell
from needs import need
from recorded import HOSTILE, built
from registries import distribution
from small_images import put_image
from wherry.app import history_record
from wherry.app.history import moment_of
from wherry.app.history_place import history_folder
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.history.append import JOURNAL, append
from wherry.history.entry import CallFigures, NodePullFigures


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell."""
    return Shell(tmp_path / "here")


def filled(shell: Shell, *entries: object) -> None:
    """Put entries into the journal."""
    folder = shell.root / "store" / ".wherry" / "history"
    folder.mkdir(parents=True, exist_ok=True)
    for one in entries:
        append(str(folder / JOURNAL), one.encoded())


def calls(shell: Shell) -> list[dict]:
    """Give the calls that are recorded."""
    return json.loads("".join(shell("history", "--json")))["calls"]


@pytest.mark.slow
def test_a_build_leaves_its_figures(shell: Shell):
    """Sizes, steps with reasons, memory and toolchain; a second one has nothing but that nothing changed."""
    need("go")
    shell.module()
    (name,) = shell("build", "-t", "app:dev")
    shell("build", "-t", "app:dev")
    shell("size", "app:dev")
    shell.write("main.go", "package main\n\nfunc main() { wrong }\n")
    shell("build", "-t", "app:dev", code=65)
    first, again, sized, failed = calls(shell)

    (image,) = first["images"]
    assert image["digest"] == name.partition("@")[2]
    assert image["pulled"] == sum(layer["pulled"] for layer in image["layers"])
    assert {step["name"].split()[0] for step in first["steps"]} == {"base", "compile", "pack", "assemble"}
    assert all(step["reasons"] for step in first["steps"])
    assert first["compilerMemory"] > 1_000_000
    assert first["go"].startswith("go1.")
    assert (again["unchanged"], again["hits"], again["images"][0]["pulled"]) == (True, first["misses"], image["pulled"])
    assert (failed["ok"], failed["error"]) == (False, "CompileFailed")
    assert sized["images"][0]["packages"][0]["path"] == "runtime"
    assert len(sized["images"][0]["packages"]) <= 50
    told = "\n".join(shell("history", "why", name))
    assert "not built before" in told
    assert "unpacked" in told


@pytest.mark.slow
def test_transfers_leave_theirs(shell: Shell, tmp_path: Path):
    """A push and a pull have their bytes; where nothing was moved, they are unchanged."""
    shell.store.tag("web:1", put_image(shell.store, "web"))
    with distribution(tmp_path / "registry") as running:
        for _ in range(2):
            shell("push", "web:1", f"{running.host}/web:1")
        other = Shell(tmp_path / "other")
        other("pull", f"{running.host}/web:1")
        other("copy", f"{running.host}/web:1", "store:web:2")
        pushed, again = calls(shell)
        pulled, copied = calls(other)

    assert pushed["sent"] > 0
    assert (again.get("sent"), again["unchanged"]) == (0, True)
    assert pulled["sent"] > 0
    assert copied["command"] == "copy"


@pytest.mark.parametrize("way", ["environment", "toml"])
def test_off_in_one_line(shell: Shell, way: str):
    """No file of a history is made, and asking for it says how it was switched off."""
    if way == "environment":
        shell.environment["WHERRY_HISTORY"] = "off"
    else:
        shell.write("wherry.toml", "[history]\nrecord = false\n")
    shell.store.tag("web:1", put_image(shell.store, "web"))
    shell("copy", "web:1", "oci:layout:web")
    shell("history", code=64)

    assert "switched off" in shell.err
    assert not (shell.root / "store" / ".wherry" / "history").exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--format", "grafana"), "history export --format"),
        (("-o", "x"), "history export -o FILE"),
        (("why", "--csv", "api"), "history --csv"),
        (("export", "--json"), "JSON lines"),
        (("import", "x", "--since", "1d"), "history export"),
        (("export", "localhost:1/h:x", "--since", "1d"), "to a file"),
    ],
)
def test_an_option_that_does_nothing_is_refused(shell: Shell, words, hint):
    """Nothing is ignored in silence; the hint says which action has it."""
    shell("history", *words, code=64)

    assert hint in shell.err
    assert not (shell.root / "x").exists()


def test_limits_count_in_documents_too(shell: Shell):
    """--limit leaves the last calls, in every form; without it, documents have all."""
    filled(shell, *(built(number) for number in range(30)))

    assert len(json.loads("".join(shell("history", "--json", "--limit", "2")))["calls"]) == 2
    assert len(shell("history", "--csv")) == 31
    assert len(shell("history", "--csv", "--limit", "0")) == 1


@pytest.mark.parametrize("content", ["hello\n", "[1]", "{}", '{"a":', "\0\xff", "folder"])
def test_what_can_be_imported_is_said(shell: Shell, content: str):
    """Whatever is given in place of a history, the hint names what is one."""
    if content == "folder":
        (shell.root / "x").mkdir()
    else:
        shell.write("x", content)
    shell("history", "import", "x", code=65)

    assert "wherry history export" in shell.err


@pytest.mark.slow
def test_recording_loads_no_database():
    """It costs a build 5 ms at most, of which loading it is the most."""
    code = "import sys, wherry.cli.keep; print({'sqlite3', 'wherry.app.history'} & {*sys.modules})"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "set()\n"


def test_damage_is_said(shell: Shell):
    """A file that is damaged in its middle is set aside with a warning, by any command that reads the history."""
    filled(shell, *(built(number) for number in range(100)))
    shell("history")
    file = shell.root / "store" / ".wherry" / "history" / "history-1.sqlite"
    content = bytearray(file.read_bytes())
    content[4096 * 12 : 4096 * 16] = b"\xaa" * 4096 * 4
    file.write_bytes(content)
    shell("history", "export", "--format", "openmetrics")

    assert "warning: " in shell.err
    assert "history-1.sqlite is damaged" in shell.err
    assert file.with_name("history-1.sqlite.damaged").exists()
    shell("board")
    assert shell.err.startswith("board.html")


def test_where_it_is(tmp_path: Path):
    """Next to the usual store, inside a named one, or where the variable says."""
    usual = Session.of({"HOME": str(tmp_path)}, cwd=tmp_path)
    named = Session.of({"HOME": str(tmp_path), "WHERRY_STORE": "s"}, cwd=tmp_path)
    own = Session.of({"HOME": str(tmp_path), "WHERRY_HISTORY": "h"}, cwd=tmp_path)

    assert history_folder(usual) == tmp_path / ".local" / "share" / "wherry" / "history"
    assert history_folder(named) == tmp_path / "s" / ".wherry" / "history"
    assert history_folder(own) == tmp_path / "h"


@pytest.mark.parametrize("harm", ["a file in its place", "a database that is none", "another's lock"])
def test_a_call_never_fails_for_it(shell: Shell, harm: str):
    """Whatever is wrong with the history, a call ends well and says nothing of it."""
    folder = shell.root / "store" / ".wherry" / "history"
    folder.parent.mkdir(parents=True)
    held = None
    if harm == "a file in its place":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / JOURNAL).write_bytes(b"x" * 2_000_000)
        if harm == "a database that is none":
            (folder / "history-1.sqlite").write_bytes(b"none" * 5000)
        else:
            held = sqlite3.connect(folder / "history-1.sqlite", isolation_level=None)
            held.execute("BEGIN EXCLUSIVE")
    shell.store.tag("web:1", put_image(shell.store, "web"))
    began = time.monotonic()
    shell("copy", "web:1", "oci:layout:web", "-q")
    took = time.monotonic() - began
    if held:
        held.close()

    assert shell.err == ""
    assert took < 10  # not the patience of one who waits for a lock


def test_table_csv_and_json(shell: Shell):
    """All three have the same calls; a name is neither a control sequence nor a formula."""
    filled(shell, built(1), built(2, name="=cmd|' /C calc'!A0"), built(3, name=HOSTILE))
    shown = "\n".join(shell("history"))
    rows = list(csv.DictReader(shell("history", "--csv")))
    listed = calls(shell)

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert [row["id"] for row in rows] == [one["id"] for one in listed] == [built(n).id for n in (1, 2, 3)]
    assert rows[1]["image"].startswith("'=")
    assert int(rows[0]["pulled"]) == 5_000_000
    assert len(shell("history", "--csv", "--image", "api:dev")) == 2


def test_export_import_and_merge(shell: Shell, tmp_path: Path):
    """A file carries calls from one machine to another; merging twice adds nothing."""
    other = Shell(tmp_path / "other")
    filled(shell, built(1), built(2))
    filled(other, built(3))
    shell("history", "export", "-o", str(tmp_path / "one.jsonl"))
    other("history", "import", str(tmp_path / "one.jsonl"))
    assert other.out == f"{tmp_path}/one.jsonl: 2 calls, 2 of them new\n"
    other("history", "merge", str(tmp_path / "one.jsonl"))
    (told,) = shell("history", "merge", str(tmp_path / "one.jsonl"))

    assert told.endswith("3 calls, 1 of them new")
    assert [one["id"] for one in calls(shell)] == [one["id"] for one in calls(other)]
    assert {one["machine"] for one in calls(shell)} == {one["machine"] for one in calls(other)}
    (tmp_path / "bad.jsonl").write_text("<script>\n")
    shell("history", "import", str(tmp_path / "bad.jsonl"), code=65)
    shell("history", "import", str(tmp_path / "absent"), code=66)


@pytest.mark.slow
def test_an_artifact_carries_it(shell: Shell, tmp_path: Path):
    """Two machines merge into one tag of a registry, and both have all calls; another artifact is refused."""
    other = Shell(tmp_path / "other")
    filled(shell, built(1))
    filled(other, built(2))
    with distribution(tmp_path / "registry") as running:
        name = f"{running.host}/team/api:history"
        shell("history", "import", name, code=66)
        shell("history", "merge", name)
        other("history", "merge", name)
        shell("history", "merge", name)
        shell.store.tag("web:1", put_image(shell.store, "web"))
        assert [one["id"] for one in calls(shell)] == [one["id"] for one in calls(other)]
        shell("push", "web:1", f"{running.host}/web:1")
        shell("history", "import", f"{running.host}/web:1", code=65)
        (pushed,) = shell("history", "export", f"{running.host}/copy")

    assert pushed.startswith(f"{running.host}/copy@sha256:")


def test_openmetrics_are_read_by_its_parser(shell: Shell):
    """Prometheus's own parser takes the text; hostile names stay labels."""
    filled(shell, built(1), built(2, pulled=6_000_000), built(3, name=HOSTILE + "\n\\"), built(4, unchanged=True))
    pulls = [NodePullFigures(pod="p", seconds=1.5), NodePullFigures(pod="p", present=True)]
    filled(shell, *(CallFigures(id=f"{n:016x}", at=n, command="cluster", node_pull=pulls[n - 8]) for n in (8, 9)))
    shell("history", "export", "--format", "openmetrics")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(shell.out)
        for sample in family.samples
    }

    assert found["wherry_image_pulled_bytes", "api:dev", "linux/amd64"] == 5_000_000
    assert found["wherry_image_pulled_bytes", HOSTILE + "\n\\", "linux/amd64"] == 5_000_000
    assert found["wherry_calls_total", "build", "done"] == 3
    assert found["wherry_build_steps_total", "no"] == 3
    assert found["wherry_images_on_nodes_total", "yes"] == found["wherry_images_on_nodes_total", "no"] == 1
    assert found[("wherry_image_pull_duration_seconds_total",)] == 1.5


def test_grafana_takes_the_dashboard(shell: Shell):
    """Grafana's own SDK, made from its schema, loads it and loses nothing; each expression names an exported metric."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from wherry.report.openmetrics import FAMILIES

    document = json.loads("".join(shell("history", "export", "--format", "grafana")))
    loaded = Dashboard.from_json(document)
    names = {family.name for family in FAMILIES}

    assert loaded.title == "wherry"
    assert len(loaded.panels) == len(document["panels"]) > 8
    assert list(_lost(document, json.loads(JSONEncoder().encode(loaded)))) == []
    for panel in document["panels"]:
        assert any(name in panel["targets"][0]["expr"] for name in names)


def _lost(ours: object, theirs: object, place: str = "") -> Iterator[str]:
    """Name what a model of a schema left out or changed: keys that it does not have, values of another type."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from _lost(value, theirs.get(key), f"{place}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, value in enumerate(ours):
            yield from _lost(value, theirs[number], f"{place}/{number}")
    elif ours != theirs:
        yield f"{place}: {ours!r} became {theirs!r}"


def test_moments():
    """Days and spans; nothing else."""
    assert moment_of("2h", 7300.0) == 100.0
    assert moment_of("1970-01-02", 0.0) == 86400.0
    for words in ("yesterday", "-3d", "99999999999d", ""):
        with pytest.raises(InvalidUsage):
            moment_of(words, 0.0)


def test_it_is_read_with_a_span(shell: Shell):
    """--since leaves older calls out."""
    filled(shell, built(1), built(2, at=time.time() - 100))

    assert len(shell("history", "--csv", "--since", "1h")) == 2


def test_recording_is_quick(shell: Shell):
    """A line is one write, also where thousands are there: processor time, as a busy machine counts for nothing."""
    filled(shell, *map(built, range(2000)))
    session = Session.of(shell.environment, cwd=shell.root)
    for number in range(20):
        history_record.record(session, lambda number=number: built(5000 + number))
    began = time.process_time()
    for number in range(50):
        history_record.record(session, lambda number=number: built(9000 + number))

    assert (time.process_time() - began) / 50 < 0.005


def test_nothing_matches(tmp_path):
    """A filter that leaves nothing is not an empty history."""
    wherry = Shell(tmp_path)
    wherry("history")
    assert "no calls are recorded yet" in wherry.err
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    wherry("build", "-q", "-t", "api:dev", ".")

    wherry("history", "--image", "nosuch")
    assert "no call that is recorded matches" in wherry.err
    wherry("history", "--since", "9999-12-31")
    assert "no call that is recorded matches" in wherry.err
