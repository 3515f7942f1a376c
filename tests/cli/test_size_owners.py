"""Owners of variables of stripped programs, as `wherry size`, `build` and `diff` have them."""

import json
import shutil
from pathlib import Path

import pytest

from cli_shell import Shell
from owned_data import MODULE, planted_files, planted_program

pytestmark = pytest.mark.slow
DATA = ("text", "octets", "files", "numbers", "only", "generic", "pointers")
"""Packages with data that only other packages use."""


@pytest.fixture
def wherry(tmp_path):
    """A shell beside a module whose packages have data that only other packages use, and its stripped program."""
    write(tmp_path / "module")
    shutil.copy(planted_program(), tmp_path / "program")
    return Shell(tmp_path)


def write(folder: Path, *, more: bool = False) -> None:
    """Write the module."""
    for name, text in {"go.mod": f"module {MODULE}\n\ngo 1.20\n", **planted_files(more=more)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def measured(wherry: Shell, *arguments: str) -> tuple[dict, dict[str, int]]:
    """Give the one binary of a JSON document, and bytes of its packages."""
    wherry("size", *arguments, "--json")
    (binary,) = json.loads(wherry.out)["binaries"]
    for rows in ("kinds", "modules", "packages"):
        assert sum(row["bytes"] for row in binary[rows]) == binary["size"], rows
    return binary, {row["path"]: row["bytes"] for row in binary["packages"]}


def is_exact(packages: dict[str, int]) -> bool:
    """Tell whether each planted package has its data: at least 8 kB."""
    return all(packages.get(f"{MODULE}/{name}", 0) > 8000 for name in DATA)


def test_a_stripped_program_with_source(wherry):
    """Without source the data are unknown, not main's; with it, they are their packages'; both are said."""
    binary, packages = measured(wherry, "program")
    assert binary["owners"] == "tables"
    assert packages["main"] < 10_000
    assert packages["(unknown)"] > 400_000
    assert "variables not attributed" in wherry("size", "program")[0]

    binary, packages = measured(wherry, "program", "--source", "module")
    assert binary["owners"] == "relink"
    assert is_exact(packages)
    assert "relinked" in wherry("size", "program")[0], "what is exact is remembered"


def test_another_source_is_not_believed(wherry):
    """A link from changed source gives another program: the owners stay open, and a word says why."""
    write(wherry.root / "module", more=True)

    binary, packages = measured(wherry, "program", "--source", "module")

    assert binary["owners"] == "tables"
    assert packages["(unknown)"] > 400_000
    (note,) = binary["notes"]
    assert "builds a different program: " in note
    assert ".text" in note


def test_what_this_store_built_is_exact_without_asking(wherry):
    """While the module is there unchanged, it is linked again; after a change it is not."""
    wherry("build", "module", "-t", "data:dev")
    binary, packages = measured(wherry, "data:dev")
    assert binary["owners"] == "relink"
    assert is_exact(packages)

    shutil.rmtree(wherry.root / "cache" / "sizes")
    write(wherry.root / "module", more=True)
    binary, _ = measured(wherry, "data:dev")
    assert binary["owners"] == "tables"


def test_a_size_record_needs_no_source(wherry):
    """What the build kept makes owners exact when source and cache are gone; it is small."""
    wherry("build", "module", "-t", "data:dev", "--size-record")
    shutil.rmtree(wherry.root / "module")
    shutil.rmtree(wherry.root / "cache")

    binary, packages = measured(wherry, "data:dev")

    assert binary["owners"] == "record"
    assert is_exact(packages)
    (record,) = (wherry.root / "store" / "owners").iterdir()
    assert record.stat().st_size < 5 * binary["size"] / 1000

    record.write_bytes(b"broken")
    shutil.rmtree(wherry.root / "cache")
    binary, _ = measured(wherry, "data:dev")
    assert binary["owners"] == "tables"
    assert "not a symbol data record" in binary["notes"][0]


@pytest.mark.parametrize(("strip", "cgo"), [(True, False), (False, False), (True, True)])
def test_a_change_of_main_changes_no_owner_of_data(wherry, strip, cgo):
    """Between twins of which main has one function more, no package's data came or went."""
    for name, more in (("before", False), ("after", True)):
        shutil.copy(planted_program(strip=strip, more=more, cgo=cgo), wherry.root / name)

    wherry("diff", "before", "after", "--json")

    (binary,) = json.loads(wherry.out)["binaries"]
    changes = {row["path"]: row["after"] - row["before"] for row in binary["packages"]}
    assert 0 < changes.pop("main") < 2000
    assert all(abs(change) < 500 for path, change in changes.items() if not path.startswith("(")), changes


def test_diff_takes_the_owner_that_is_known(wherry):
    """Of a stripped program and its twin with symbols, data that both have is in no row."""
    shutil.copy(planted_program(strip=False), wherry.root / "twin")

    wherry("diff", "program", "twin", "--json")

    (binary,) = json.loads(wherry.out)["binaries"]
    changes = {row["path"]: row["after"] - row["before"] for row in binary["packages"]}
    for name in ("text", "octets", "files", "numbers"):
        assert abs(changes.get(f"{MODULE}/{name}", 0)) < 500, changes


def test_a_program_cannot_name_a_flag_as_its_package(wherry):
    """A program made to have Go start another one is not linked again: its package is not in the module it names."""
    content = (wherry.root / "program").read_bytes()
    path, flag = f"path\t{MODULE}\n".encode(), b"path\t-toolexec=./evil\n"
    assert path in content
    assert len(path) == len(flag)
    (wherry.root / "program").write_bytes(content.replace(path, flag))
    for folder in (wherry.root, wherry.root / "module"):
        (folder / "evil").write_text("#!/bin/sh\ntouch started\n")
        (folder / "evil").chmod(0o755)

    wherry("size", "program", "--source", "module", "--json", code=64)
    wherry("size", "program", "--without", "std", "--rebuild", "--source", "module", code=64)

    assert not list(wherry.root.rglob("started"))
