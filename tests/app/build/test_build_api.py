"""The one build as a program calls it: typed values in and out, progress by events, and not a word on the streams."""

import json
import os

import pytest

from build_calls import module
from needs import need
from wherry.app.build.build import OverBudget, build
from wherry.app.build.options import DockerfileBuild, FrontEnd, GoBuild
from wherry.app.build.result import BuildDocument
from wherry.app.progress import Calls, EventKind, Reporter
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.settings.outputs import parse_outputs

pytestmark = pytest.mark.slow


@pytest.fixture
def events():
    """What a build reports."""
    return []


@pytest.fixture
def session(tmp_path, events):
    """A session in a folder of its own; nothing of this process is its environment."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "file").write_text("content")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "GOENV": "off", "GOTOOLCHAIN": "local",
        "WHERRY_STORE": str(tmp_path / "store"), "WHERRY_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    found = Session.of(environment, cwd=folder)
    found.progress = Reporter(Calls(events.append))
    return found


def test_both_front_ends_give_the_same_kind_of_result(session, events, capfd):
    """A result, a document and events; the streams stay empty."""
    need("go")
    module(session.cwd)
    (session.cwd / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")

    results = [
        build(session, GoBuild(tags=("go:x",), user="7")),
        build(session, DockerfileBuild(tags=("dockerfile:x",), user="7")),
    ]

    assert [result.front_end for result in results] == [FrontEnd.GO, FrontEnd.DOCKERFILE]
    for result in results:
        (image,) = result.images
        assert session.store.resolve(image.names[0]) == image.root
        assert image.images[0].config.runtime.user == "7"
        assert not result.unchanged
        assert any(not step.cached for step in result.steps)
        document = json.loads(result.document())
        assert (document["version"], document["frontEnd"]) == (2, result.front_end)
        assert document["images"][0]["platforms"][0]["layers"]
        assert set(document) == set(BuildDocument.__struct_encode_fields__) - {"budgets"}
    begun = [event.name for event in events if event.kind is EventKind.STEP]
    assert [name.split()[0] for name in begun] == ["compile", "[1/1]"]
    assert len([event for event in events if event.kind is EventKind.DONE]) == len(begun)
    assert capfd.readouterr() == ("", "")


def test_nothing_changed(session):
    """A second build gives the same image, all of it from the cache."""
    (session.cwd / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    wanted = DockerfileBuild(tags=("x:1",))

    first, second = build(session, wanted), build(session, wanted)

    assert second.unchanged
    assert second.images == first.images


def test_a_budget_that_is_broken_says_what_was_built(session):
    """It is stored and named, and not delivered."""
    (session.cwd / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    (session.cwd / "wherry.toml").write_text('[budgets]\nunpacked = "1"\n')

    with pytest.raises(OverBudget) as caught:
        build(session, DockerfileBuild(tags=("x:1",), outputs=parse_outputs(["type=oci,dest=out.tar"])))

    assert session.store.resolve("x:1") == caught.value.result.images[0].root
    assert [one.ok for one in caught.value.result.budgets] == [False]
    assert not (session.cwd / "out.tar").exists()


def test_standard_streams_are_refused_where_none_are_given(session):
    """A library has none."""
    (session.cwd / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")

    with pytest.raises(InvalidUsage):
        build(session, DockerfileBuild(context="-"))
    with pytest.raises(InvalidUsage):
        build(session, DockerfileBuild(outputs=parse_outputs(["-"])))
