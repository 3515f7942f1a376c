"""Why a step missed: which input is another, and which line of a list."""

import zlib

import pytest

from wherry.build.why import Version, reasons
from wherry.plan.graph import Step
from wherry.plan.ops import CopyOp, RunOp
from wherry.platform import Platform

COPY = Step("[2/3] COPY . .", CopyOp((), "/"), ("FROM base",))
RUN = Step("[3/3] RUN x", RunOp(("x",), (), "/", "", Platform("linux", "amd64")), ("FROM base", "[2/3] COPY . ."))


def version(fields: dict[str, str] | None = None, files: dict[str, str] | None = None, **texts: str) -> Version:
    """What a step read."""
    packed = {name.replace("_", "."): zlib.compress(text.encode()) for name, text in texts.items()}
    return Version(fields or {}, files or {}, packed)


def test_the_same_gives_no_reason():
    """Whatever was read."""
    one = version({"files 0": "1"}, {"a": "1"}, go_mod="x")

    assert reasons(COPY, one, one) == ()


def test_files_by_name():
    """Changed ones, then new ones, then those that are gone; the context's root is a dot."""
    before = version(files={"b": "1", "a": "1", "old": "1", "": "1"})
    after = version(files={"b": "2", "a": "2", "new": "1", "": "2"})

    assert reasons(COPY, before, after) == (". changed", "a changed", "b changed", "new is new", "old was removed")


def test_many_files_are_counted():
    """Five by name, and how many more."""
    before, after = (version(files={f"f{number}": str(value) for number in range(9)}) for value in (1, 2))
    found = reasons(COPY, before, after)

    assert len(found) == 6
    assert found[-1] == "4 more files changed"


@pytest.mark.parametrize(("step", "words"), [(COPY, "what it copies changed"), (RUN, "what it mounts changed")])
def test_files_without_names(step, words):
    """More of them than are remembered one by one."""
    assert reasons(step, version({"files 0": "1"}), version({"files 0": "2"})) == (words,)


def test_the_first_step_below_that_changed():
    """All above it change with it, and only the first is the reason."""
    before, after = (version({"step 0": "same", "step 1": value}) for value in ("1", "2"))

    assert reasons(RUN, before, after) == ("[2/3] COPY . . changed",)


def test_steps_are_in_the_order_of_their_numbers():
    """The tenth comes after the second."""
    needs = tuple(f"step-{number}" for number in range(12))
    step = Step("x", RUN.action, needs)
    before, after = (version({"step 10": value, "step 2": value}) for value in ("1", "2"))

    assert reasons(step, before, after) == ("step-2 changed",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("go 1.21\nrequire a v1.0.0\n", "go 1.21\nrequire a v1.1.0\n", "(line 2: a v1.0.0 → v1.1.0)"),
        ("a v1\n", "a v1\nb v2\n", "(line 2: b v2 is new)"),
        ("a v1\nb v2\n", "b v2\n", "(line 1: a v1 was removed)"),
        ("one\n", "two\n", "(line 1: one → two)"),
        ("x " + "a" * 90, "x " + "b" * 90, f"(line 1: x {'a' * 80}… → {'b' * 80}…)"),
    ],
)
def test_the_line_of_a_list(old, new, words):
    """The first one that is another, with the word before what changed."""
    before = version(files={"go.mod": "1"}, go_mod=old)
    after = version(files={"go.mod": "2"}, go_mod=new)

    assert reasons(COPY, before, after) == (f"go.mod changed {words}",)


def test_only_the_end_of_a_line_changed():
    """Nothing to show: the file is named all the same."""
    before, after = version(files={"go.mod": "1"}, go_mod="a"), version(files={"go.mod": "2"}, go_mod="a\n")

    assert reasons(COPY, before, after) == ("go.mod changed",)
