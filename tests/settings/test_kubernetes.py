"""`[kubernetes]` of wherry.toml: typed, and what is wrong is named with its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import InvalidSettings, InvalidUsage
from wherry.settings.kubernetes import quantity
from wherry.settings.readers import WrongKey
from wherry.settings.wherry_toml import Settings


def test_all_keys():
    """Each key is read as what it asks for."""
    found = Settings.parse(
        """[kubernetes]
context = "kind"
namespace = "builds"
builder = "registry.example/wherry@sha256:1"
registry = "registry.internal:5000"
pull-secrets = ["a", "b"]
parallelism = 3
deadline = "10m"
cpu = 2
memory = "1.5Gi"
node-selector = { pool = "builds" }
tolerations = [{ key = "builds", operator = "Exists" }]
env = { GOPROXY = "https://proxy.example,direct" }
"""
    ).kubernetes

    assert (found.namespace, found.builder, found.registry) == (
        "builds", "registry.example/wherry@sha256:1", "registry.internal:5000",
    )  # fmt: skip
    assert (found.pull_secrets, found.parallelism, found.deadline) == (("a", "b"), 3, 600)
    assert (found.cpu, found.memory, found.node_selector) == ("2", "1.5Gi", (("pool", "builds"),))
    assert found.tolerations == ({"key": "builds", "operator": "Exists"},)
    assert found.env == (("GOPROXY", "https://proxy.example,direct"),)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('memory = "2X"', "memory"),
        ("memory = 0", "memory"),
        ("cpu = true", "cpu"),
        ('queu = "a"', "queu"),
        ("parallelism = 0", "parallelism"),
        ('deadline = "0s"', "deadline"),
        ('namespace = "No_Such"', "namespace"),
        ('pull-secrets = ["A"]', "pull-secrets"),
        ('labels = { a = "b c" }', "a"),
        ('registry = "registry.example/path"', "registry"),
        ("tolerations = [{ key = 3 }]", "key"),
        ('tolerations = [{ effect = "Never" }]', "effect"),
        ('tolerations = ["x"]', "tolerations"),
        ('env = "x"', "env"),
    ],
)
def test_what_is_wrong(line, key):
    """A wrong key or value is named with its line, and the hint says how it is written."""
    with pytest.raises(WrongKey) as caught:
        Settings.parse(f"[kubernetes]\n\n{line}\n", "w.toml")

    assert (caught.value.line, caught.value.key) == (3, key)
    assert caught.value.hint


@given(st.text(max_size=20))
def test_quantities(text):
    """Any text is a quantity above or equal to 0, or an error."""
    with suppress(InvalidUsage):
        assert quantity(text) >= 0


@given(st.recursive(st.none() | st.booleans() | st.integers(), lambda below: st.lists(below) | st.text(max_size=3)))
def test_any_value(value):
    """No value of TOML is more than a wrong key."""
    from wherry.settings.kubernetes import read_kubernetes
    from wherry.settings.readers import FilePosition

    for key in ("tolerations", "labels", "memory", "pull-secrets", "env", "retries"):
        with suppress(InvalidSettings):
            read_kubernetes(FilePosition("w.toml", {}, ()), {key: value})
