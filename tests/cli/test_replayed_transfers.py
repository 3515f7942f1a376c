"""push, pull and copy where nothing is to be moved: replayed, and never where something is."""

import http.client
import io
import json
import marshal
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from registries import Running, distribution
from small_images import put_image, put_index
from wherry.cli import replay
from wherry.cli.main import run
from wherry.cli.world import World

pytestmark = pytest.mark.slow

NOTE = "nothing to move"


@dataclass
class User:
    """A user whose wherry is a program of its own, so that its calls are remembered."""

    shell: Shell
    host: str

    def wherry(self, *words: str, code: int = 0) -> tuple[str, bool]:
        """Start wherry; give its stdout, and whether it was replayed."""
        program = [sys.executable, "-m", "wherry", *words]
        done = subprocess.run(
            program, check=False, cwd=self.shell.root, env=self.shell.environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        return done.stdout, NOTE in done.stderr

    def until_replayed(self, *words: str) -> str:
        """Call it until the record is used: stamps that are too young are not trusted, so this takes three calls."""
        first, replayed = self.wherry(*words)
        assert not replayed
        time.sleep(0.1)  # the ticks of the clock that stamps have
        second, _ = self.wherry(*words)
        third, replayed = self.wherry(*words)
        assert replayed
        assert first == second == third
        return third


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user with an image of two platforms called web:1, and a registry."""
    shell = Shell(tmp_path / "home")
    shell.store.tag("web:1", put_index(shell.store, "web"))
    with distribution(tmp_path / "registry") as running:
        yield User(shell, running.host)


def _tag_moved(user: User) -> None:
    """Have another image under the tag, pushed by another user."""
    other = Shell(user.shell.root / "other")
    other.store.tag("else:1", put_image(other.store, "else"))
    other("push", "else:1", f"{user.host}/web:1")


def _deleted_there(user: User) -> None:
    connection = http.client.HTTPConnection(user.host)
    connection.request("DELETE", f"/v2/web/manifests/{user.shell.store.resolve('web:1').digest}")
    assert connection.getresponse().status == http.HTTPStatus.ACCEPTED
    connection.close()


def _blob_deleted(user: User) -> None:
    _some_layer(user).unlink()


def _blob_changed(user: User) -> None:
    layer = _some_layer(user)
    found = layer.stat()
    layer.write_bytes(bytes(found.st_size))
    os.utime(layer, ns=(found.st_atime_ns, found.st_mtime_ns))


def _some_layer(user: User) -> Path:
    root = user.shell.store.resolve("web:1")
    index = json.loads(Path(user.shell.store.path_of(root.digest)).read_bytes())
    folder = user.shell.root / "store" / "blobs" / "sha256"
    manifest = json.loads((folder / index["manifests"][0]["digest"].partition(":")[2]).read_bytes())
    return folder / manifest["layers"][0]["digest"].partition(":")[2]


def _other_image(user: User) -> None:
    user.shell.store.tag("web:1", put_image(user.shell.store, "new"))


def _blocked(user: User) -> None:
    user.shell.write(".config/containers/registries.conf", f'[[registry]]\nprefix="{user.host}/web"\nblocked=true\n')


def _another_boot(user: User) -> None:
    """Have the records be of another run of the machine."""
    for file in (user.shell.root / "cache" / replay.FOLDER).iterdir():
        _rewritten(file, boot="another")


def _rewritten(file: Path, **values: str) -> None:
    """Have a record say something else, as one that wherry wrote."""
    with file.open("r+b") as record:
        record.seek(replay.CHECK)
        head = marshal.load(record)  # noqa: S302 - the test's own file
        rest = record.read()
        record.seek(replay.CHECK)
        marshal.dump({**head, **values}, record)
        record.write(rest)
        record.truncate()
        record.seek(replay.CHECK)
        check = replay._check_of(record)
        record.seek(0)
        record.write(check)


def _path_of_that_name(user: User) -> None:
    """Have a layout in the folder whose name is that of the image; the store's image is still meant."""
    (user.shell.root / "web:1").mkdir()


Change = Callable[[User], None]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_tag_moved, 0), (_deleted_there, 0), (_blob_deleted, 65), (_blob_changed, 65), (_other_image, 0),
        (_blocked, 77), (_another_boot, 0), (_path_of_that_name, 0),
    ],
)  # fmt: skip
def test_push_is_replayed_only_where_all_is_there(user: User, change: Change, code: int):
    """After a change of either end or of the settings, the push is done; then the registry has the image."""
    words = ("push", "web:1", f"{user.host}/web:1")
    user.until_replayed(*words)

    change(user)
    printed, replayed = user.wherry(*words, code=code)

    assert not replayed
    if not code:
        digest = user.shell.store.resolve("web:1").digest
        assert printed == f"{user.host}/web:1@{digest}\n"
        assert user.shell("tags", f"{user.host}/web", "--digests")[0].endswith(digest)


@pytest.mark.parametrize("change", [_tag_moved, _blob_deleted, _blob_changed, _other_image, _another_boot])
def test_pull_is_replayed_only_where_all_is_there(user: User, change: Change):
    """After a change of either end the pull is done; then the store has what the tag resolves to, whole."""
    name = f"{user.host}/web:1"
    user.shell("push", "web:1", name)
    words = ("pull", name, "-t", "web:1")
    user.until_replayed(*words)

    change(user)
    printed, replayed = user.wherry(*words)

    assert not replayed
    assert user.shell("tags", f"{user.host}/web", "--digests")[0].endswith(printed.strip().partition("@")[2])
    assert f"@{user.shell.store.resolve('web:1').digest}" in printed
    user.shell("verify-store")


def test_pull_of_what_the_registry_lost(user: User):
    """It fails as a pull does that was never done before."""
    name = f"{user.host}/web:1"
    user.shell("push", "web:1", name)
    user.until_replayed("pull", name)

    _deleted_there(user)
    user.wherry("pull", name, code=66)


def test_a_record_is_of_one_command_line(user: User):
    """Other platforms, another name, another way to print: each is done once before it is replayed."""
    name = f"{user.host}/web:1"
    whole = user.until_replayed("push", "web:1", name)
    root = user.shell.store.resolve("web:1")

    arm, replayed = user.wherry("push", "web:1", name, "--platform", "linux/arm64")
    assert not replayed
    assert arm != whole
    assert user.wherry("push", "web:1", name) == (whole, False)  # the tag was moved by the call before
    assert user.until_replayed("pull", name, "--platform", "linux/arm64") == arm
    assert user.until_replayed("pull", name, "--json").count(root.digest) == 1
    assert user.wherry("push", "web:1", name, "--digestfile", "file") == (whole, False)
    (user.shell.root / "file").unlink()
    assert user.wherry("push", "web:1", name, "--digestfile", "file") == (whole, False)
    assert (user.shell.root / "file").read_text() == root.digest


@pytest.mark.parametrize("ends", [("web:1", "{}/copy:1"), ("{}/web:1", "{}/copy:1"), ("{}/web:1", "store:mine:1")])
def test_copy_is_replayed(user: User, ends: tuple[str, str]):
    """Between the store and registries; once the target's tag moved, it is copied again."""
    user.shell("push", "web:1", f"{user.host}/web:1")
    source, target = (end.format(user.host) for end in ends)
    copied = user.until_replayed("copy", source, target)

    _tag_moved(user)  # of the source
    moved, replayed = user.wherry("copy", source, target)

    assert replayed == (source == "web:1")
    assert (moved == copied) == replayed


def test_copy_to_files_is_never_replayed(user: User):
    """A file that was deleted is written again."""
    words = ("copy", "web:1", "web.tar")
    user.wherry(*words)
    (user.shell.root / "web.tar").unlink()
    assert not user.wherry(*words)[1]
    assert (user.shell.root / "web.tar").exists()


def test_a_registry_that_asks_who(tmp_path: Path):
    """It is asked by the whole client, with the user's password: no record is made that could leave it out."""
    shell = Shell(tmp_path / "home")
    shell.store.tag("web:1", put_image(shell.store, "web"))
    with distribution(tmp_path / "registry", basic=("me", "secret")) as running:
        user = User(shell, running.host)
        assert isinstance(running, Running)
        shell("login", running.host, "-u", "me", "--password-stdin", stdin="secret")
        for _ in range(3):
            assert not user.wherry("push", "web:1", f"{running.host}/web:1")[1]
        shell("logout", running.host)
        user.wherry("push", "web:1", f"{running.host}/web:1", code=77)


def _without(user: User, *words: str) -> str:
    """Give what a call prints with an empty cache, so that nothing is replayed."""
    environment = {**user.shell.environment, "WHERRY_CACHE": str(user.shell.root / "none")}
    done = subprocess.run(
        [sys.executable, "-m", "wherry", *words],
        check=True, cwd=user.shell.root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    shutil.rmtree(user.shell.root / "none", ignore_errors=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("words", [("images",), ("images", "-q"), ("images", "--json")])
def test_the_list_of_images_is_that_of_now(user: User, words: tuple[str, ...]):
    """After a tag, a moved tag, a lost blob, a lost name: it is what a call without any cache prints."""
    changes: dict[str, Change] = {
        "a name": lambda user: user.shell.store.tag("web:2", user.shell.store.resolve("web:1")),
        "another image": _other_image,
        "a name less": lambda user: user.shell.store.untag("web:2"),
        "a lost config": lambda user: _config(user).unlink(),
        "an index that is gone": lambda user: (user.shell.root / "store" / "index.json").unlink(),
    }
    for name, change in changes.items():
        time.sleep(0.1)  # the ticks of the clock that stamps have
        user.wherry(*words)
        user.wherry(*words)
        change(user)
        program = [sys.executable, "-m", "wherry", *words]
        done = subprocess.run(
            program, check=True, cwd=user.shell.root, env=user.shell.environment, capture_output=True, text=True
        )
        assert done.stdout + done.stderr == _without(user, *words), f"after {name}"


def test_the_list_of_images_is_replayed(user: User):
    """The second call is answered by the record: so it is, once its text there is another."""
    time.sleep(0.1)
    printed, _ = user.wherry("images")
    (record,) = (user.shell.root / "cache" / replay.FOLDER).iterdir()
    _rewritten(record, printed="from the record\n")

    assert "web:1" in printed
    assert user.wherry("images")[0] == "from the record\n"


@pytest.mark.parametrize(
    "words", [("inspect", "--json", "web:1"), ("inspect", "--platform=linux/amd64", "web:1"), ("inspect", "web:1")]
)
def test_what_is_read_of_an_image_is_that_of_now(user: User, words: tuple[str, ...]):
    """After another image, a folder of its name, a lost layer: it is what a call without any cache prints."""
    changes: dict[str, Change] = {
        "another name": lambda user: user.shell.store.tag("web:2", user.shell.store.resolve("web:1")),
        "another image": _other_image,
        "a file of its name": lambda user: user.shell.write("web", "no image"),
        "a folder of its name": lambda user: (user.shell.root / "web:1").mkdir(),
        "an index that is gone": lambda user: (user.shell.root / "store" / "index.json").unlink(),
    }

    def said(environment: dict[str, str]) -> tuple[int, str]:
        program = [sys.executable, "-m", "wherry", *words]
        done = subprocess.run(
            program, check=False, cwd=user.shell.root, env=environment, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    for name, change in changes.items():
        time.sleep(0.1)  # the ticks of the clock that stamps have
        said(user.shell.environment)
        said(user.shell.environment)
        change(user)
        fresh = said({**user.shell.environment, "WHERRY_CACHE": str(user.shell.root / "fresh")})
        assert said(user.shell.environment) == fresh, f"after {name}"


def test_an_inspected_image_is_replayed_where_no_note_was_printed(user: User):
    """Its text in the record is what is printed; a call that also noted something is not remembered."""
    time.sleep(0.1)
    user.wherry("inspect", "web:1")
    assert not (user.shell.root / "cache" / replay.FOLDER).exists()
    words = "inspect", "--platform=linux/amd64", "web:1"
    user.wherry(*words)
    (record,) = (user.shell.root / "cache" / replay.FOLDER).iterdir()
    _rewritten(record, printed="from the record\n")

    assert user.wherry(*words)[0] == "from the record\n"


@pytest.mark.parametrize("words", [("size", "app:1"), ("size", "--sections", "app:1"), ("size", "--json", "app:1")])
def test_a_measured_image_is_replayed_where_no_module_is_here(user: User, words: tuple[str, ...]):
    """The module in the current directory tells imports, and changes unseen: with one, nothing is remembered."""
    need("go")
    user.shell.write("module/go.mod", "module example.com/app\n\ngo 1.21\n")
    user.shell.write("module/main.go", "package main\n\nfunc main() {}\n")
    user.wherry("build", "--base=scratch", "--platform=linux/amd64", "-q", "-t", "app:1", "module")
    folder = user.shell.root / "cache" / replay.FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    time.sleep(0.1)
    first, _ = user.wherry(*words)
    (record,) = folder.iterdir()
    _rewritten(record, printed="from the record\n")
    assert user.wherry(*words)[0] == "from the record\n"

    user.shell.write("go.mod", "module example.com/other\n\ngo 1.21\n")
    there = user.wherry(*words)[0]
    assert there == first  # measured again: go.mod also says where a wherry.toml counts
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("jump", [0, -100])
def test_a_clock_that_goes_back_leaves_no_record(user: User, jump: int):
    """Nobody knows what was changed meanwhile."""
    time.sleep(0.1)
    times = iter([time.time(), time.time() + jump])
    out, err, shell = io.StringIO(), io.StringIO(), user.shell
    world = World(out, err, shell.environment, shell.root, clock=lambda: next(times), call=("images",))

    assert run(["images"], world) == 0
    assert (shell.root / "cache" / replay.FOLDER).exists() == (jump == 0)


def _config(user: User) -> Path:
    root = user.shell.store.resolve("web:1")
    manifest = json.loads(Path(user.shell.store.path_of(root.digest)).read_bytes())
    return user.shell.root / "store" / "blobs" / "sha256" / manifest["config"]["digest"].partition(":")[2]


def test_a_required_signature_is_never_replayed(user):
    """A pull that is remembered is not replayed once wherry.toml requires a signature; nor is one that was verified."""
    image = f"{user.host}/web:1"
    user.wherry("push", "web:1", image)
    user.until_replayed("pull", image)
    user.wherry("keys", "new", "--no-password", "-o", "ann")
    user.shell.write("wherry.toml", '[trust]\nrequire = "ann.pub"\n')

    user.wherry("pull", image, code=1)
    user.wherry("sign", "--key", "ann.key", image)
    for _ in range(3):
        assert not user.wherry("pull", image)[1]
