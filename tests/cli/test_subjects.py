"""The programs that a name stands for."""

import pytest

from built_images import file, put_layers
from cli_shell import Shell
from wherry.app.subjects import subjects
from wherry.cli.world import World
from wherry.digest import Digest
from wherry.errors import NotFound
from wherry.layer.entry import Entry, EntryKind

ELF, MACHO, PE = (magic.ljust(64, b"\0") for magic in (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"MZ"))


@pytest.fixture
def world(tmp_path):
    """A folder, and a store with an image whose second layer hides a program of the first."""
    shell = Shell(tmp_path)
    link = Entry(path="bin/linked", kind=EntryKind.HARDLINK, target="bin/big")
    first = [file("bin/big", ELF + bytes(900), 0o755), file("bin/hidden", ELF + b"old", 0o755), link]
    second = [
        file("bin/hidden", ELF + b"newer", 0o755), file("bin/mac", MACHO, 0o755), file("data", ELF, 0o644),
        file("bin/script", b"#!/bin/sh\n", 0o755), file("bin/windows.exe", PE, 0o755), file("bin/x", b"\x7f", 0o755),
    ]  # fmt: skip
    shell.store.tag("some:dev", put_layers(shell.store, [first, second]))
    made = World(None, None, shell.environment, tmp_path)
    made.configure(store=None, cache=None)
    return made


def test_programs_of_an_image(world):
    """What a container sees and may run, the biggest first, each once, with its bytes and its layer."""
    with subjects(world, "some:dev") as found:
        assert [(one.path, one.layer) for one in found] == [
            ("/bin/big", 1), ("/bin/hidden", 2), ("/bin/mac", 2), ("/bin/windows.exe", 2),
        ]  # fmt: skip
        for one in found:
            assert one.digest == Digest.of(one.file.read_bytes())
            assert one.size == len(one.file.read_bytes())
        assert found[1].file.read_bytes().endswith(b"newer")
        files = [one.file for one in found]
    assert not any(file.exists() for file in files)


@pytest.mark.parametrize("content", [ELF, MACHO, PE])
def test_a_file(world, content):
    """A program is its own subject."""
    (world.cwd / "p").write_bytes(content)

    with subjects(world, "p") as (found,):
        assert (found.name, found.size, found.layer, found.image) == ("p", 64, 0, "")


@pytest.mark.parametrize("name", ["text", "absent:dev", "./absent"])
def test_nothing(world, name):
    """What is neither is an error."""
    (world.cwd / "text").write_text("text")

    with pytest.raises(NotFound), subjects(world, name):
        pass
