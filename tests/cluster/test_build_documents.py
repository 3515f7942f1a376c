"""Recipes, tasks and results of builds on Kubernetes: what is written is read, and what is not right is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cluster.build_documents import (
    LARGEST_RESULT,
    BuildRecipe,
    BuildTask,
    RecipeBuild,
    RecipeCheckout,
    StepCounts,
    TaskResult,
    stays_inside,
)
from wherry.errors import InvalidDocument, WherryError

ARM = "linux/arm64"
DIGEST = "sha256:" + "a" * 64


def a_recipe(**changes: object) -> BuildRecipe:
    """Make a recipe of two images."""
    builds = (
        RecipeBuild(
            name="videometa", kind="go", repository="127.0.0.1:5000/demo/videometa", contexts=(0,), folder="cmd",
            options={"packages": ["./cmd/videometa"]}, checkout=RecipeCheckout(layer=2, path="examples/videometa"),
        ),
        RecipeBuild(name="web", kind="dockerfile", repository="r.example/web", contexts=(1,), options={}),
    )  # fmt: skip
    tasks = tuple(
        BuildTask(build=build, platform=platform, copy=copy, tag=f"build-x-{build}")
        for build in (0, 1)
        for platform in ("linux/amd64", ARM)
        for copy in (0, 1)
    )
    fields: dict[str, Any] = {"version": 1, "wherry": "1.0", "epoch": 7, "builds": builds, "tasks": tasks, **changes}
    return BuildRecipe(**fields)


def test_a_recipe_comes_back() -> None:
    """What was written is what is read, and the same recipe has the same bytes."""
    recipe = a_recipe()
    assert BuildRecipe.parse(recipe.encoded(), "it") == recipe
    assert recipe.encoded() == a_recipe().encoded()
    assert recipe.task(1, "it").copy == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": 2}, "version 2, and this wherry reads version 1"),
        ({"tasks": []}, "0 tasks"),
        ({"tasks": [{"build": 9, "platform": ARM, "tag": "x"}]}, "no build 9"),
        ({"tasks": [{"build": -1, "platform": ARM, "tag": "x"}]}, "tasks[0].build"),
        ({"tasks": [{"build": 0, "platform": "plan9/amd64; rm", "tag": "x"}]}, "is not a platform"),
        ({"tasks": [{"build": 0, "platform": "arm64", "tag": "x"}]}, "is not a platform"),
        ({"tasks": [{"build": 0, "platform": ARM, "tag": "a b"}]}, "is not a tag"),
        ({"tasks": [{"build": 0, "platform": ARM, "tag": "x", "copy": 2}]}, "copy"),
        ({"epoch": "soon"}, "epoch"),
        ({"builds": []}, "0 builds"),
    ],
)
def test_recipes_that_do_not_fit_together_are_refused(change: dict[str, object], problem: str) -> None:
    """Each is named."""
    document = json.loads(a_recipe().encoded()) | change
    with pytest.raises(InvalidDocument, match="it: ") as raised:
        BuildRecipe.parse(json.dumps(document).encode(), "it")
    assert problem in raised.value.message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"folder": "../.."}, "leaves its context"),
        ({"folder": "a/../../b"}, "leaves its context"),
        ({"checkout": {"layer": 0, "path": "/etc"}}, "leaves its context"),
        ({"name": "a b"}, "is not a name"),
        ({"repository": "r/../x\n"}, "is not a repository"),
        ({"contexts": []}, "no context"),
        ({"contexts": [-1]}, "contexts"),
        ({"kind": "make"}, "kind"),
        ({"environment": {"A=B": ""}}, "is not a variable"),
        ({"environment": {"A": "\0"}}, "is not a variable"),
    ],
)
def test_builds_that_are_not_right_are_refused(change: dict[str, object], problem: str) -> None:
    """A recipe can't lead out of its contexts, nor set what is no variable."""
    document = json.loads(a_recipe().encoded())
    document["builds"][0] |= change
    with pytest.raises(InvalidDocument) as raised:
        BuildRecipe.parse(json.dumps(document).encode(), "it")
    assert problem in raised.value.message


@pytest.mark.parametrize(
    "document",
    [b"", b"\xff", b"[]", b"{}", b'{"version":true}', b'{"version":1}', b"{" + b'"a":[' * 5000, b" " * (2 << 20)],
    ids=["empty", "no-text", "a-list", "no-version", "no-number", "nothing-else", "deep", "large"],
)
def test_what_is_no_document_is_refused(document: bytes) -> None:
    """Whatever the bytes, the error is one of ours."""
    for parse in (BuildRecipe.parse, TaskResult.parse):
        with pytest.raises(InvalidDocument):
            parse(document, "it")


def test_a_recipe_names_the_task_it_lacks() -> None:
    """An index beyond the last is the Job's mistake."""
    with pytest.raises(InvalidDocument, match="tasks 0 to 7, and no task 8"):
        a_recipe().task(8, "it")


def test_results_come_back() -> None:
    """One that worked, and one that did not."""
    good = TaskResult(
        version=1, ok=True, task=3, platform=ARM, digest=DIGEST, size=7, pulled=9, unpacked=20, seconds=1.5, peak=99,
        go="go1.26.8", steps=StepCounts(cached=1, ran=3),
    )  # fmt: skip
    bad = TaskResult(version=1, ok=False, task=0, platform=ARM, fault="source", message="x.go:1: no", hint="mend it")
    for result in (good, bad):
        assert TaskResult.parse(result.encoded(), "it") == result
    assert json.loads(bad.encoded())["ok"] is False


@pytest.mark.parametrize(
    "document",
    [
        {"ok": True},
        {"ok": True, "digest": DIGEST},
        {"ok": True, "digest": "sha256:1", "platform": ARM},
        {"ok": True, "digest": DIGEST, "platform": ARM, "fault": "source"},
        {"ok": False},
        {"ok": False, "digest": DIGEST},
        {"ok": False, "fault": "moon"},
        {"ok": False, "fault": "machine", "peak": -1},
        {"ok": False, "fault": "machine", "seconds": 1e300},
    ],
)
def test_results_that_say_two_things_are_refused(document: dict[str, object]) -> None:
    """It worked and has a digest, or it did not and has a fault."""
    with pytest.raises(InvalidDocument):
        TaskResult.parse(json.dumps({"version": 1, "task": 0, **document}).encode(), "it")


@given(st.text(max_size=9000), st.text(max_size=2000), st.integers(0, 1 << 40))
def test_no_result_is_longer_than_kubernetes_keeps(message: str, hint: str, task: int) -> None:
    """However long the compiler's words are; what is kept is their beginning."""
    made = TaskResult(version=1, ok=False, task=task, platform=ARM, fault="source", message=message, hint=hint)
    document = made.encoded()
    assert len(document) <= LARGEST_RESULT
    read = TaskResult.parse(document, "it")
    kept = read.message.removesuffix(" […]")
    assert message.encode(errors="replace").decode().startswith(kept)
    assert read.message == message or len(document) > LARGEST_RESULT - 32 or len(hint) > 64


def test_bytes_of_file_names_do_not_stop_a_result() -> None:
    """A name that is no UTF-8 is in the compiler's words as it is."""
    made = TaskResult(version=1, ok=False, task=0, fault="source", message="a\udcff.go: no such file")
    assert TaskResult.parse(made.encoded(), "it").message == "a?.go: no such file"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from([*RecipeBuild.__struct_fields__, *BuildRecipe.__struct_fields__, *TaskResult.__struct_fields__]),
    inner) | st.lists(inner)))  # fmt: skip
def test_any_json_is_read_or_refused(value: object) -> None:
    """Nothing but an error of ours comes out."""
    document = json.dumps({**value, "version": 1} if isinstance(value, dict) else value).encode()
    for parse in (BuildRecipe.parse, TaskResult.parse):
        try:
            read = parse(document, "it")
        except WherryError:
            continue
        assert msgspec.to_builtins(read)["version"] == 1


@pytest.mark.parametrize(
    ("path", "inside"),
    [("", True), ("a/b", True), ("a/../b", True), (".", True), ("..", False), ("a/../../b", False), ("/a", False),
     ("a\0", False), ("..a", True)],
)  # fmt: skip
def test_paths_stay_inside(path: str, *, inside: bool) -> None:
    """A path that climbs out is seen, however it is written."""
    assert stays_inside(path) is inside
