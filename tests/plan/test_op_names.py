"""Each kind of step has a name of its own, which stands in keys of caches on users' disks."""

from typing import get_args

from wherry.plan.graph import Action, BaseOp, Step
from wherry.platform import Platform

NAMES = {
    "base",
    "compile",
    "copy",
    "image",
    "image of a program",
    "layer",
    "layer of files",
    "mkdir",
    "run",
}
"""A name is never changed: every step of its kind would be done again, on every machine."""


def test_the_names_are_those_of_the_release():
    """Whatever the classes are called."""
    assert {kind.op for kind in get_args(Action)} == NAMES
    assert len(get_args(Action)) == len(NAMES)


def test_a_key_has_the_name_and_not_the_class():
    """So that a class can be renamed."""
    definition = Step("x", BaseOp("static", Platform("linux", "amd64"), {})).definition()

    assert definition["op"] == "base"
    assert "TakeBase" not in repr(definition)
