"""Differences in Markdown: names of others are names, and never markup."""

import re

import pytest

from wherry.analysis.diff import DiffDocument
from wherry.analysis.growth import compare
from wherry.analysis.size import BinarySize, FunctionSize, KindSize, ModuleSize, PackageSize
from wherry.report.diff import WAYS, lines_of, markdown_of

HOSTILE = "example.com/`a`|b<script>*x*\\|\x1b[31m\n| 1 | 2 |"


def program(size: int) -> BinarySize:
    """Make a program of a module that somebody gave a name that is not one."""
    return BinarySize(
        name=f"hello{HOSTILE}", platform="linux/amd64", digest="", size=size, format="elf", go="go1.26.8",
        stripped=True, reading="full", confidence={}, kinds=(KindSize(kind="code", bytes=size),), sections=(),
        modules=(ModuleSize(path=HOSTILE, version=HOSTILE, bytes=size, packages=1),),
        packages=(
            PackageSize(
                path=HOSTILE, module=HOSTILE, bytes=size, functions=(FunctionSize(name=HOSTILE, bytes=size, code=size),)
            ),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("by", [way for way in WAYS if way != "layer"])
def test_hostile_names(by):
    """Every row has as many cells as its head, on one line, and HTML is text."""
    document = DiffDocument(before=HOSTILE, after="b", binaries=(compare(program(100), program(250)),))
    lines = markdown_of(document, by=by, most=5)

    assert all("\n" not in line and "\x1b" not in line for line in (*lines, *lines_of(document, by=by, most=5)))
    outside = [re.sub(r"`[^`]*`", "", line) for line in lines]
    assert not any("<script>" in line for line in outside)
    width = 0
    for line in lines:
        cells = re.sub(r"\\.", "", line).count("|") if line.startswith("|") else 0
        assert width in {0, cells} or not cells
        width = cells
