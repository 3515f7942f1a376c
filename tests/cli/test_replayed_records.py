"""Records of calls: whose they are, and that `resolve` and a store of another place are replayed as they should be."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from registries import distribution
from small_images import put_image
from wherry.cli import ahead, replay

pytestmark = pytest.mark.slow


def called(shell: Shell, *words: str, cache: Path | None = None) -> tuple[int, str, str]:
    """Start wherry as a program of its own; give its code, its stdout and its stderr."""
    environment = {**shell.environment, **({"WHERRY_CACHE": str(cache)} if cache else {})}
    program = [sys.executable, "-m", "wherry", *words]
    done = subprocess.run(program, check=False, cwd=shell.root, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def records(shell: Shell) -> list[Path]:
    """Name the records of calls."""
    return list((shell.root / "cache" / replay.FOLDER).iterdir())


@pytest.mark.parametrize("harm", ["another owner", "others may write"])
def test_a_record_of_someone_else_is_not_replayed(tmp_path: Path, harm: str):
    """Root with another user's HOME prints nothing and starts nothing that this user wrote down."""
    shell = Shell(tmp_path / "home")
    shell.store.tag("web:1", put_image(shell.store, "web"))
    time.sleep(0.1)
    called(shell, "images")
    (record,) = records(shell)
    content = record.read_bytes()
    assert record.stat().st_mode & 0o777 == 0o600
    if harm == "another owner":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        os.chown(record, 12345, -1)
    else:
        record.chmod(0o622)

    with record.open("rb") as file, pytest.raises(LookupError):
        replay.check_owner(file)
    called(shell, "images")

    assert record.stat().st_uid == os.geteuid()  # made again
    assert record.read_bytes() == content
    planned = Path(ahead._file(str(shell.root / "cache"), "k" * 64))
    ahead.write(
        str(shell.root / "cache"), "k" * 64, {"words": [], "output": 0, "folder": "", "set": {}, "left_out": []}
    )
    assert ahead.read(str(shell.root / "cache"), "k" * 64)["folder"] == ""
    planned.chmod(0o622)
    with pytest.raises(LookupError):
        ahead.read(str(shell.root / "cache"), "k" * 64)


def test_a_store_that_is_named(tmp_path: Path):
    """`--store` before the command is part of the call: two stores have two answers."""
    shell = Shell(tmp_path / "home")
    name = "web:1"
    with distribution(tmp_path / "registry") as running:
        shell.store.tag(name, put_image(shell.store, "web"))
        shell("push", name, f"{running.host}/{name}")
        words = "pull", f"{running.host}/{name}"
        for option in (["--store", "one"], ["--store=two"]):
            called(shell, *option, *words)
            time.sleep(0.1)
            called(shell, *option, *words)
            assert "nothing to move" in called(shell, *option, *words)[2]
        shutil.rmtree(shell.root / "one")
        assert "nothing to move" not in called(shell, "--store", "one", *words)[2]
        assert (shell.root / "one" / "index.json").exists()
    assert replay.command_of(["--store", "pull", "push"]) == "push"
    assert {replay.command_of(words) for words in (["--store"], ["--debug"], [])} == {"", "--debug"}


API = "example.com/app/cmd/api"
MANIFEST = "kind: Pod\nspec:\n  containers:\n  - image: {}://{}\n"


@dataclass
class Team:
    """A module with two programs, manifests that name them, and a registry."""

    shell: Shell
    host: str
    words: list[str] = field(default_factory=list)

    def write_manifest(self, text: str, name: str = "pod") -> None:
        """Write one."""
        self.shell.write(f"k8s/{name}.yaml", text)

    def move_tags(self) -> None:
        """Have another image under each tag that was pushed, by another user."""
        other = Shell(self.shell.root / "other")
        other.store.tag("else:1", put_image(other.store, "else"))
        for name in self.shell("images", "-q"):
            if name.startswith(self.host):
                other("push", "else:1", name)

    def lose_a_blob(self) -> None:
        """Delete the largest: a layer with a program."""
        blobs = (self.shell.root / "store" / "blobs" / "sha256").iterdir()
        max(blobs, key=lambda path: path.stat().st_size).unlink()


PROGRAM = "package main\n\nfunc main() {{ println({}) }}\n"
EDITS: dict[str, Callable[[Team], object]] = {
    "nothing": lambda _: None,
    "a program": lambda team: team.shell.write("cmd/api/main.go", PROGRAM.format(7)),
    "a comment in a manifest": lambda team: team.write_manifest("# x\n" + MANIFEST.format("ko", API)),
    "one more manifest": lambda team: team.write_manifest(MANIFEST.format("wherry", "./cmd/worker"), "more"),
    "a manifest less": lambda team: (team.shell.root / "k8s" / "more.yaml").unlink(),
    "settings": lambda team: team.shell.write("wherry.toml", '[build]\nuser = "1234"\n'),
    "moved tags": Team.move_tags,
    "a lost blob": Team.lose_a_blob,
}


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """See `Team`."""
    need("go")
    shell = Shell(tmp_path / "home")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    for name in ("api", "worker"):
        shell.write(f"cmd/{name}/main.go", f'package main\n\nfunc main() {{ println("{name}") }}\n')
    shell.write("k8s/pod.yaml", MANIFEST.format("ko", API))
    with distribution(tmp_path / "registry") as running:
        words = [
            "resolve",
            "-f",
            "k8s",
            "--repo",
            f"{running.host}/team",
            "--no-vcs",
            "--base=scratch",
            "--platform=linux/amd64",
        ]
        yield Team(shell, running.host, words)


def test_resolve_prints_what_a_call_without_any_cache_prints(team: Team):
    """After edits of programs, manifests, settings, environment, tags and blobs; a second call is replayed."""
    shell, seen = team.shell, ""
    for name, edit in EDITS.items():
        edit(team)
        time.sleep(0.1)  # the ticks of the clock that stamps have
        code, printed, _ = called(shell, *team.words)
        again = called(shell, *team.words)
        assert (code, printed) == (0, again[1]), f"after {name}"
        assert "nothing changed" in again[2], f"after {name}"
        at, _, digest = printed.rpartition("image: ")[2].strip().partition("@")
        assert shell("tags", at, "--digests")[0].endswith(digest), f"after {name}"
        if printed != seen and name == "settings":
            assert called(shell, *team.words, cache=shell.root / "fresh")[1] == printed, f"after {name}"
            shutil.rmtree(shell.root / "fresh")
        seen = printed
    for record in records(shell):
        record.write_bytes(record.read_bytes().replace(b"kind: Pod", b"kind: Job"))
    assert called(shell, *team.words)[1] == seen  # damaged: its checksum tells
