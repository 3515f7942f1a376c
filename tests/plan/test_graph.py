"""Steps, their definition keys, and what makes a plan sound."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.build.solver import changes
from wherry.oci.config import HealthcheckConfig, RuntimeConfig
from wherry.plan.graph import (
    VALUES,
    WHOLE,
    Action,
    AddedFile,
    BaseOp,
    CompileOp,
    FilesLayerOp,
    Plan,
    ProgramImageOp,
    Step,
    key_of,
)
from wherry.plan.ops import CopyFrom, CopyOp, CopySource, HistoryEntry, LayerOp, MkdirOp, RunOp, StageImageOp, StepMount
from wherry.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")

RUNTIME = RuntimeConfig(  # noqa: S604 - a field of a config, no call of a shell
    user="app",
    exposed_ports={"80/tcp": {}},
    env=("A=1",),
    entrypoint=("/app",),
    cmd=("serve",),
    volumes={"/data": {}},
    working_dir="/srv",
    labels={"a": "b"},
    stop_signal="SIGINT",
    healthcheck=HealthcheckConfig(test=("CMD", "true"), interval=1),
    on_build=("RUN true",),
    shell=("/bin/sh", "-c"),
)
TAKING = CopySource(
    CopyFrom("context", "named", "text", "sha256:0", keep_git_dir=False), "/a", only=("b",), required=("c",)
)
MOUNT = StepMount("secret", "/run/secrets/a", "a", variable="A", mode=0o400, uid=1, gid=2)

ACTIONS: tuple[Action, ...] = (
    CompileOp(
        "/src", AMD64, ("-trimpath",), {"GOFLAGS": ""}, "go@1.26", stamp=True, public=("main.v",), no_inline=("a/...",)
    ),
    FilesLayerOp((AddedFile("/a", "/b", 0o644),), 0, "gzip", 5, "isal 1", "wherry build"),
    BaseOp("static", AMD64, {"accounts": "1"}),
    ProgramImageOp(AMD64, RUNTIME, "2026-01-01T00:00:00Z", {"a": "b"}, {"go": "1.26"}),
    CopyOp((TAKING,), "/to/", ("*.md",), "1:2", "755"),
    MkdirOp("/srv", "app"),
    RunOp(
        ("true",), (("A", "1"),), "/", "app", AMD64, (MOUNT,), hosts=(("h", "10.0.0.1"),), limits=(("nofile", 1, 2),)
    ),
    LayerOp("gzip", 5, "isal 1"),
    StageImageOp(
        AMD64, "{}", "me", (HistoryEntry("RUN true", layer=True),), base=True, created="", annotations=(("a", "b"),)
    ),
)
"""One of each kind; every tuple and mapping has an element."""


def definition(action: Action) -> Mapping[str, str]:
    """Give the definition of a step that does it."""
    return Step("x", action).definition()


def others(value: object) -> Iterator[Any]:
    """Give values that differ from one in a single place."""
    match value:
        case Platform():
            yield ARM64
        case bool():
            yield not value
        case str():
            yield f"{value}x"
        case int():
            yield value + 1
        case None:
            yield "x"
        case tuple():
            yield ()
            yield (*value, *value[:1])
            yield from (
                (*value[:place], other, *value[place + 1 :])
                for place, inner in enumerate(value)
                for other in others(inner)
            )
        case Mapping():
            yield from _other_mappings(value)
        case _:
            names = getattr(value, "__struct_fields__", None) or [one.name for one in dataclasses.fields(value)]
            changed = msgspec.structs.replace if isinstance(value, msgspec.Struct) else dataclasses.replace
            yield from (changed(value, **{name: other}) for name in names for other in others(getattr(value, name)))


def _other_mappings(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield {**value, "further": next(iter(value.values()), "")}
    for name, inner in value.items():
        yield {key: text for key, text in value.items() if key != name}
        yield {f"{key}x" if key == name else key: text for key, text in value.items()}
        yield from ({**value, name: other} for other in (others(inner) if inner else ()))


def test_there_is_one_action_of_each_kind():
    """So that the tests below see every kind."""
    assert {type(action) for action in ACTIONS} == set(get_args(Action))


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.op)
def test_every_part_of_an_action_changes_its_key(action):
    """However deep it lies: what is in no key is a wrong hit."""
    key = key_of(definition(action))
    changed = list(others(action))

    assert len(changed) >= len(dataclasses.fields(action))
    assert [other for other in changed if key_of(definition(other)) == key] == []


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.op)
def test_equal_actions_have_equal_keys(action):
    """A copy, made part by part, is found in the cache."""
    copy = dataclasses.replace(action)

    assert copy is not action
    assert key_of(definition(copy)) == key_of(definition(action))


def test_other_ports_are_another_image():
    """The port is the name of an empty object, so no text stands for it elsewhere."""
    one, other = (
        definition(ProgramImageOp(AMD64, RuntimeConfig(exposed_ports={port: {}}), "", {}, {}))
        for port in ("80/tcp", "90/tcp")
    )

    assert key_of(one) != key_of(other)


def test_kinds_with_the_same_fields_differ():
    """The name of the kind is in each key."""
    keys = {key_of(definition(action)) for action in ACTIONS}

    assert len(keys) == len(ACTIONS)


def test_what_cannot_be_told_apart_is_refused():
    """A value without fields would be left out of the key without a word."""
    action = BaseOp("static", AMD64, {"level": 1.5})

    with pytest.raises(TypeError, match=r"content\.level"):
        definition(action)


def test_the_order_of_a_mapping_does_not_matter():
    """Two tellers of the same environment."""
    one = definition(BaseOp("static", AMD64, {"a": "1", "b": "2"}))
    other = definition(BaseOp("static", AMD64, {"b": "2", "a": "1"}))

    assert key_of(one) == key_of(other)


def test_names_of_steps_are_in_no_key():
    """A stage may be renamed."""
    action = MkdirOp("/srv", "")

    assert Step("[build 1/2] WORKDIR /srv", action).definition() == Step("[2/3] WORKDIR /srv", action).definition()


COMPILE = ACTIONS[0]


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("-ldflags=-s -X main.token=s3cret",), {}),
        (("-ldflags=-X=main.token=s3cret -w",), {}),
        ((), {"GOFLAGS": "'-ldflags=-X main.token=s3cret'"}),
    ],
    ids=["flag", "joined", "GOFLAGS"],
)
def test_values_of_x_are_hidden_but_count(flags, environment):
    """`--explain` prints definitions, and a token must not be printed; another token is another program."""
    assert isinstance(COMPILE, CompileOp)
    action = dataclasses.replace(COMPILE, flags=flags, environment=environment)
    other = dataclasses.replace(
        COMPILE,
        flags=tuple(flag.replace("s3cret", "other") for flag in flags),
        environment={name: text.replace("s3cret", "other") for name, text in environment.items()},
    )
    before, after = definition(action), definition(other)

    assert "s3cret" not in repr(before)
    assert {name for name in before if before[name] != after[name]} == {VALUES, WHOLE}


def test_another_flag_is_not_another_value():
    """Where -X sets the same, only the flags are named; what only quotes tell apart are two definitions."""
    assert isinstance(COMPILE, CompileOp)

    def reasons(before: str, after: str) -> list[str]:
        first, second = (definition(dataclasses.replace(COMPILE, flags=(flags,))) for flags in (before, after))
        return list(changes(first, second))

    assert reasons("-ldflags=-s -X main.v=1", "-ldflags=-w -X main.v=1") == [
        "flags.0 changed: -ldflags=-s -X main.v=… → -ldflags=-w -X main.v=…"
    ]
    assert reasons("-ldflags=-X main.v=1", "-ldflags=-X main.v=2") == ["values of -X changed"]
    assert reasons("-ldflags=-X main.v=1 -r 'a b'", "-ldflags=-X main.v=1 -r a b") == ["the quotes of flags changed"]
    assert reasons("-ldflags=-X main.v=1", "-ldflags=-X main.v=1") == []


def test_without_values_nothing_is_hidden():
    """Flags are shown as they are."""
    shown = definition(COMPILE)

    assert shown["flags.0"] == "-trimpath"
    assert VALUES not in shown


TEXTS = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3)


@given(TEXTS, TEXTS)
def test_keys_are_equal_where_mappings_are(one, other):
    """And only there."""
    assert (key_of(one) == key_of(other)) == (one == other)


def test_bytes_that_are_no_text_have_keys():
    """A file's name need not be UTF-8."""
    assert key_of({"path": "\udcff"}) != key_of({"path": "\udcfe"})


class TestPlan:
    """Plans are checked once, where they are made."""

    def test_finds_steps_by_name(self):
        """The last as well as the first."""
        steps = (Step("a", MkdirOp("/a", "")), Step("b", MkdirOp("/b", ""), ("a",)))

        assert Plan(steps, "here").by_name == {"a": steps[0], "b": steps[1]}

    @pytest.mark.parametrize(
        "needs", [{"a": ("b",), "b": ()}, {"a": ("a",)}, {"a": ("gone",)}], ids=["later", "itself", "missing"]
    )
    def test_refuses_a_step_before_what_it_needs(self, needs):
        """Such a plan could not be done one by one."""
        with pytest.raises(ValueError, match="step 'a'"):
            Plan(tuple(Step(name, MkdirOp("/", ""), these) for name, these in needs.items()), "here")

    def test_refuses_a_name_twice(self):
        """One of the two results would be lost."""
        with pytest.raises(ValueError, match="duplicated"):
            Plan((Step("a", MkdirOp("/a", "")), Step("a", MkdirOp("/b", ""))), "here")
