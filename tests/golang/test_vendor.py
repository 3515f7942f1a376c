"""vendor/modules.txt, against files of our own."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidDocument
from wherry.golang.vendor import Vendor, VendoredModule, parse_vendor

MODULES = """\
# example.com/a v1.2.3
## explicit; go 1.20
example.com/a
example.com/a/sub
# example.com/b v0.1.0 => ../b
## explicit
example.com/b
# example.com/c v1.0.0 => example.com/fork/c v1.0.1
## go 1.18
# example.com/b => ../b
"""


def test_reads():
    """Modules, what stands in their place, remarks and packages."""
    assert parse_vendor(MODULES, "modules.txt") == Vendor(
        workspace=False,
        modules=(
            VendoredModule(
                "example.com/a", "v1.2.3", explicit=True, go="1.20", packages=("example.com/a", "example.com/a/sub")
            ),
            VendoredModule("example.com/b", "v0.1.0", "../b", "", explicit=True, packages=("example.com/b",)),
            VendoredModule("example.com/c", "v1.0.0", "example.com/fork/c", "v1.0.1", go="1.18"),
            VendoredModule("example.com/b", "", "../b"),
        ),
    )


def test_of_a_workspace():
    """The mark of `go work vendor` is known."""
    assert parse_vendor("## workspace\n# a v1\n", "modules.txt").workspace
    assert not parse_vendor("", "modules.txt").workspace


@pytest.mark.parametrize(
    ("text", "line"),
    [("a/b\n", 1), ("## explicit\n", 1), ("# a\n", 1), ("# a v1 v2\n", 1), ("# a v1 =>\n", 1), ("# a v1\nb c\n", 2)],
)
def test_names_the_wrong_line(text, line):
    """What belongs to no module, or says too little, is told with its line."""
    with pytest.raises(InvalidDocument) as caught:
        parse_vendor(text, "modules.txt")

    assert caught.value.name == f"modules.txt:{line}"


@settings(max_examples=200)
@given(st.text(alphabet="# =>;ab1go\n", max_size=80))
def test_mangled_files_end_in_an_error_or_a_value(text):
    """Whatever comes, reading ends with nothing but our own error."""
    with suppress(InvalidDocument):
        assert len(parse_vendor(text, "modules.txt").modules) <= text.count("#")
