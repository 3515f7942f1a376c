"""`make test-quick` chooses the tests of what changed, nearest first."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script():
    """Give scripts/test_quick.py as a module."""
    spec = importlib.util.spec_from_file_location("test_quick_script", ROOT / "scripts" / "test_quick.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_starts_with_the_nearest(script):
    """Files that import a changed module come before those that import a neighbour of it."""
    found = script.chosen({ROOT / "src/wherry/digest.py"})

    near = {path for path in found if "wherry.digest" in set(script.imports(path))}
    assert 0 < len(near) < len(found)
    assert set(found[: len(near)]) == near


def test_takes_a_changed_test_itself(script):
    """A test that was edited is run first."""
    path = ROOT / "tests/oci/test_reference.py"

    assert script.chosen({path}) == [path]


def test_knows_what_no_test_covers(script):
    """A page of the docs has no neighbours among the tests."""
    assert script.chosen({ROOT / "README.md"}) == []
