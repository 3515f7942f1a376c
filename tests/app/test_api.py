"""`import wherry` offers typed verbs: nothing is printed, no environment is read, and errors are of one tree."""

import ast
import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import wherry
from small_images import put_image, put_index, put_layers
from wherry.host.process import Command, SystemRunner
from wherry.store.disk import DiskStore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def session(tmp_path) -> wherry.Session:
    """A session in a folder of its own, with no environment at all."""
    return wherry.Session(store=tmp_path / "store", cache=tmp_path / "cache", cwd=tmp_path, environment={})


@pytest.fixture
def stored(session) -> wherry.Session:
    """The same with two images."""
    with session.store.writing():
        session.store.tag("api:dev", put_image(session.store))
        session.store.tag("web:dev", put_index(session.store))
    return session


def test_importing_it_loads_nothing():
    """Two modules of Python's own that every start has loaded already, and none of ours: so it takes no time."""
    words = "import sys; before = set(sys.modules); import wherry; print(sorted(set(sys.modules) - before))"

    done = subprocess.run([sys.executable, "-I", "-c", words], capture_output=True, text=True, check=True)

    assert set(ast.literal_eval(done.stdout)) <= {"wherry", "types"}


def test_every_name_is_there():
    """`__all__`, `dir`, the lazy table and the names for type checkers are one list."""
    for name in wherry.__all__:
        assert getattr(wherry, name) is not None
    assert dir(wherry) == sorted(wherry.__all__)
    assert set(wherry._PLACE) == set(wherry.__all__) - {"__version__"}
    branch = next(node for node in ast.parse(Path(wherry.__file__).read_text()).body if isinstance(node, ast.If))
    typed = {alias.name for node in branch.body for alias in node.names}
    assert typed == set(wherry._PLACE)
    assert (Path(wherry.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError):
        getattr(wherry, "nothing")  # noqa: B009 - mypy would refuse the other form


def test_verbs_are_not_hidden_by_rooms():
    """A room of the same name that was loaded does not take the verb's place."""
    import wherry.report.html

    assert callable(wherry.report)


@pytest.mark.slow
def test_a_type_checker_knows_it(tmp_path):
    """A caller's mistake is found by mypy."""
    (tmp_path / "caller.py").write_text(
        "import wherry\n\nimage = wherry.open_image('x')\nreveal_type(image.digest)\nwherry.push(1)\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(tmp_path / "caller.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 'caller.py:4: note: Revealed type is "str"' in done.stdout.replace("builtins.str", "str")
    assert "caller.py:5: error" in done.stdout


def test_nothing_is_printed_and_no_environment_is_read(stored, capfd, monkeypatch, tmp_path):
    """What the process's environment says has no effect."""
    for name in ("WHERRY_STORE", "WHERRY_CACHE", "HOME", "DOCKER_CONFIG", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))

    assert wherry.open_image("api:dev", session=stored).images()[0].platform == wherry.Platform("linux", "amd64")
    assert wherry.tree("web:dev", session=stored).role == "index"
    wherry.copy("api:dev", "store:other", session=stored)
    wherry.save(["api:dev"], tmp_path / "api.tar", session=stored)

    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "elsewhere").exists()
    assert wherry.Session.of_user().store_folder.parts[-4:] == (".local", "share", "wherry", "store")


def test_progress_is_events(stored):
    """Each step begins, moves and ends; figures come as numbers."""
    heard: list[wherry.Event] = []

    copied = wherry.copy("web:dev", "oci:layout:web", session=stored, progress=heard.append)

    assert copied.root == stored.store.resolve("web:dev")
    assert [heard[0].kind, heard[-1].kind] == [wherry.EventKind.STEP, wherry.EventKind.DONE]
    assert heard[-1].moved.blobs == 7
    assert heard[-1].moved.sent == sum(blob.size for blob in _blobs(stored, "web:dev"))


def _blobs(session: wherry.Session, name: str):
    from wherry.store.contract import walk

    return list(walk([session.store.resolve(name)], session.store))


def test_cancel(stored, tmp_path):
    """A verb that is cancelled while it moves blobs raises, and no name leads to half an image."""
    cancel = threading.Event()

    with pytest.raises(wherry.Cancelled) as caught:
        wherry.copy("web:dev", "oci:layout:web", session=stored, progress=lambda _: cancel.set(), cancel=cancel)

    assert caught.value.exit_code == 130
    assert dict(DiskStore(tmp_path / "layout").tags()) == {}
    assert wherry.copy("web:dev", "oci:layout:web", session=stored).name == "web:latest"


READING = {
    "size": wherry.size,
    "leaks": wherry.leaks,
    "diff": lambda name, **given: wherry.diff(name, name, **given),
    "report": wherry.report,
    "tree": wherry.tree,
    "analyze": wherry.analyze,
    "save": lambda name, **given: wherry.save([name], given["session"].cwd / "saved.tar", **given),
    "check": wherry.check,
}


class After:
    """A request to stop that comes at the n-th look at it."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        """Report whether to stop."""
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("looks", [0, 1, 3])
@pytest.mark.parametrize("verb", READING)
def test_reading_can_be_cancelled(stored, tmp_path, verb, looks):
    """A function that only reads stops too, at once or while it reads, and leaves no file."""
    (tmp_path / "go.mod").write_text("module example.com/x\n")
    (tmp_path / "wherry.toml").write_text('[budgets]\nunpacked = "1MB"\n')

    with pytest.raises(wherry.Cancelled):
        READING[verb]("api:dev", session=stored, cancel=After(looks))

    assert {path.name for path in tmp_path.iterdir()} <= {"store", "cache", "go.mod", "wherry.toml"}


def test_an_open_image_can_be_cancelled(stored):
    """What is read of it later stops too."""
    cancel = threading.Event()
    found = wherry.open_image("api:dev", session=stored, cancel=cancel)
    image = found.images()[0]
    cancel.set()

    with pytest.raises(wherry.Cancelled):
        found.content(image)


def test_loading_can_be_cancelled(stored, tmp_path):
    """Nothing gets a name then."""
    wherry.save(["api:dev"], tmp_path / "api.tar", session=stored)
    other = wherry.Session(store=tmp_path / "other", cache=tmp_path / "cache", cwd=tmp_path, environment={})

    with pytest.raises(wherry.Cancelled):
        wherry.load(tmp_path / "api.tar", session=other, cancel=After(2))

    assert dict(other.store.tags()) == {}


def test_cancelling_ends_programs(tmp_path):
    """A program at work is ended, and what it was to do later does not happen."""
    runner = SystemRunner((tmp_path / "began").exists)
    words = f"touch {tmp_path}/began; sleep 60; touch {tmp_path}/went-on"

    with pytest.raises(wherry.Cancelled):
        runner.run(Command(("/bin/sh", "-c", words), tmp_path, {"PATH": os.defpath}))

    assert not (tmp_path / "went-on").exists()


def test_cancellable_programs_are_read_whole(tmp_path):
    """What a program reads and prints is not lost by looking up now and then."""
    runner = SystemRunner(lambda: False)
    text = b"x" * 300_000

    outcome = runner.run(Command(("/bin/sh", "-c", "sleep 0.3; cat"), tmp_path, {"PATH": os.defpath}, text))

    assert outcome.stdout == text


def test_errors_are_of_one_tree(session):
    """Every error has a message, a hint and an exit code; a wrong platform, image or file is one of them."""
    for call in (
        lambda: wherry.open_image("nothing", session=session),
        lambda: wherry.push("nothing", session=session),
        lambda: wherry.load(Path("nothing"), session=session),
        lambda: wherry.pull("x@y", session=session),
        lambda: wherry.copy("a", "b", platforms=["moon/dust"], session=session),
        lambda: wherry.size("nothing", session=session),
        lambda: wherry.diff("nothing", "something", session=session),
        lambda: wherry.leaks("nothing", session=session),
        lambda: wherry.check(session=session),
        lambda: wherry.report("nothing", session=session),
    ):
        with pytest.raises(wherry.WherryError) as caught:
            call()
        assert caught.value.message
        assert caught.value.exit_code >= 64


def test_threads_share_a_session(stored, tmp_path):
    """Several verbs at a time give what one after the other gives."""
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            wherry.copy("web:dev", f"store:copy{number}", session=stored)
            wherry.save([f"copy{number}"], tmp_path / f"{number}.tar", session=stored)
        except BaseException as problem:  # noqa: BLE001 - to be shown by the test
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert len({stored.store.resolve(f"copy{number}").digest for number in range(8)}) == 1
    assert len({wherry.load(tmp_path / f"{number}.tar", session=stored).new for number in range(8)}) == 1


def test_credentials_are_not_shown():
    """A value that is printed or logged has no password in it."""
    credentials = wherry.Logins({"localhost:5000": ("me", "hidden word")})

    assert "hidden" not in repr(credentials)
    assert credentials.credential("localhost:5000", "x").password.startswith("hidden")
    assert credentials.credential("elsewhere", "x") is None


@pytest.mark.parametrize("name", [name for name in wherry.__all__ if name.islower() and name[0] != "_"])
def test_verbs_are_documented(name):
    """Each verb's docstring names its arguments and its errors."""
    verb = getattr(wherry, name)
    text = inspect.getdoc(verb)

    assert "Raises:" in text
    for parameter in inspect.signature(verb).parameters:
        assert parameter in {"session", "progress", "cancel"} or parameter in text


def test_the_callers_process_is_not_forked(session, monkeypatch):
    """However much there is to read: a process with locks and connections of its own is copied by nobody."""

    def fork() -> int:
        pytest.fail("forked")

    with session.store.writing():
        session.store.tag("big:1", put_layers(session.store, [3 << 20, 3 << 20]))
    monkeypatch.setattr(os, "fork", fork)

    document = wherry.analyze("big:1", session=session)

    assert len(document.platforms[0].layers) == 2
