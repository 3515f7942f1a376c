"""An image's config under change, and Go's ways of writing that history needs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.dockerfile.errors import DockerfileError
from wherry.oci.config import HealthcheckConfig, RuntimeConfig
from wherry.plan import image_config
from wherry.plan.image_config import ImageConfigBuilder

FULL = RuntimeConfig(  # noqa: S604 - a field of a config, no call of a shell
    user="app",
    exposed_ports={"80/tcp": {}},
    env=("A=1", "B=x=y"),
    entrypoint=("/app",),
    cmd=("serve",),
    volumes={"/data": {}},
    working_dir="/srv",
    labels={"a": "b"},
    stop_signal="SIGINT",
    args_escaped=True,
    healthcheck=HealthcheckConfig(test=("CMD", "true"), retries=3),
    on_build=("RUN true",),
    shell=("/bin/bash", "-c"),
)


@pytest.mark.parametrize("config", [RuntimeConfig(), FULL], ids=["empty", "full"])
def test_a_base_without_instructions_stays_as_it_is(config):
    """What is read is what is written."""
    assert ImageConfigBuilder.of(config, "me", "linux").config() == config


def test_a_child_leaves_its_parent_alone():
    """Two stages of one base: neither sees what the other sets."""
    parent = ImageConfigBuilder.of(FULL, "", "linux")
    child = parent.copied()
    for mapping in (child.env, child.ports, child.volumes, child.labels):
        assert mapping is not None
        mapping.clear()
    child.note("RUN true")

    assert parent.config() == FULL
    assert parent.history == []


def test_scratch_has_a_path_but_not_on_windows():
    """As BuildKit begins."""
    assert ImageConfigBuilder.empty("linux").config().env == (f"PATH={image_config.DEFAULT_PATH}",)
    assert ImageConfigBuilder.empty("windows").config().env is None


class TestChange:
    """Options of the command line, above what the Dockerfile says."""

    def test_nothing_set_changes_nothing(self):
        """An empty field leaves what is there."""
        changed = ImageConfigBuilder.of(FULL, "", "linux")
        changed.change(RuntimeConfig())

        assert changed.config() == FULL

    def test_maps_are_joined(self):
        """A port more, a label replaced."""
        changed = ImageConfigBuilder.of(FULL, "", "linux")
        changed.change(RuntimeConfig(exposed_ports={"90/udp": {}}, labels={"a": "new"}, env=("A=2", "C=3")))

        assert changed.config().exposed_ports == {"80/tcp": {}, "90/udp": {}}
        assert changed.config().labels == {"a": "new"}
        assert changed.config().env == ("A=2", "B=x=y", "C=3")

    def test_an_entrypoint_takes_the_command_away(self):
        """The command was meant for the old one."""
        changed = ImageConfigBuilder.of(FULL, "", "linux")
        changed.change(RuntimeConfig(entrypoint=("/new",)))

        assert (changed.config().entrypoint, changed.config().cmd) == (("/new",), None)
        assert not changed.config().args_escaped

    def test_both_are_set(self):
        """The command is meant for the new one."""
        changed = ImageConfigBuilder.of(FULL, "", "linux")
        changed.change(RuntimeConfig(entrypoint=("/new",), cmd=("a",)))

        assert (changed.config().entrypoint, changed.config().cmd) == (("/new",), ("a",))


@pytest.mark.parametrize(
    ("shell", "system", "argv"),
    [
        (None, "linux", ("/bin/sh", "-c", "a b")),
        (None, "windows", ("cmd", "/S", "/C", "a b")),
        (("/bin/bash", "-lc"), "linux", ("/bin/bash", "-lc", "a b")),
    ],
)
def test_words_for_the_shell(shell, system, argv):
    """The stage's own shell, or the system's."""
    assert ImageConfigBuilder(shell=shell, system=system).shelled(["a", "b"]) == argv


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x7f", r'"\x00\x7f"'),
        ("é 世", '"é 世"'),
        ("\u200b", r'"\u200b"'),
        ("\U000e0001", r'"\U000e0001"'),
    ],
)
def test_go_quotes(text, quoted):
    """Go 1.26, strconv.Quote."""
    assert image_config.go_quoted(text) == quoted


@given(st.text(st.characters(max_codepoint=0x7E, exclude_characters="\a\v\x00"), max_size=20))
def test_go_quoted_text_is_read_back(text):
    r"""ASCII is quoted as JSON does, but for \x."""
    quoted = image_config.go_quoted(text).replace("\\\\", "\\u005c").replace("\\x", "\\u00")

    assert json.loads(quoted) == text


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (2_000_000, "2ms"),
        (10**9, "1s"),
        (1_500_000_000, "1.5s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
        (3_661_000_000_001, "1h1m1.000000001s"),
        (100 * 3600 * 10**9, "100h0m0s"),
    ],
)
def test_go_durations(nanoseconds, shown):
    """Go 1.26, time.Duration.String."""
    assert image_config.go_duration(nanoseconds) == shown


UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "µs": 10**3, "ns": 1}


@given(st.integers(0, 10**14))
def test_no_nanosecond_of_a_duration_is_lost(nanoseconds):
    """Its parts add up to it."""
    from decimal import Decimal
    from re import findall

    parts = findall(r"([0-9.]+)(h|ms|m|s|µs|ns)", image_config.go_duration(nanoseconds))

    assert sum(Decimal(number) * UNITS[unit] for number, unit in parts) == nanoseconds


def test_health_words():
    """Go's %+v of BuildKit's value."""
    shown = image_config.health_words(HealthcheckConfig(test=("CMD-SHELL", "a b"), interval=5 * 10**9, retries=2))

    assert shown == "{Test:[CMD-SHELL a b] Interval:5s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2}"


@pytest.mark.parametrize(
    ("word", "ports"),
    [
        ("80", ["80/tcp"]),
        ("53/UDP", ["53/udp"]),
        ("8000-8002/sctp", ["8000/sctp", "8001/sctp", "8002/sctp"]),
        ("127.0.0.1:8080:80", ["80/tcp"]),
        ("[::1]:8080:80", ["80/tcp"]),
        ("8080:80", ["80/tcp"]),
        ("90-91:80-81", ["80/tcp", "81/tcp"]),
        ("80/", ["80/tcp"]),
    ],
)
def test_ports(word, ports):
    """Addresses and host ports mean nothing in an image."""
    assert image_config.ports_of([word]) == ports


@pytest.mark.parametrize(
    "word",
    ["", "a", "65536", "-1", "80/icmp", "82-80", "80-", "x:80:80", "70000:80", "90-95:80-81", "٨٠", "80.5"],
)
def test_no_ports(word):
    """Refused with the word that is wrong."""
    with pytest.raises(DockerfileError):
        image_config.ports_of(["80", word])


@pytest.mark.parametrize(
    ("folder", "path", "slash", "whole"),
    [
        ("/srv", "a", False, "/srv/a"),
        ("/srv", "../a", False, "/a"),
        ("", "a", False, "/a"),
        ("/srv", "/a/../b", False, "/a/../b"),
        ("/srv", "/a/../b/", True, "/b/"),
        ("/srv", "./", True, "/srv/"),
        ("/srv", "a/.", True, "/srv/a/"),
        ("/", "./", True, "/"),
        ("/srv", "../../..", False, "/"),
    ],
)
def test_paths_below_a_folder(folder, path, slash, whole):
    """A slash at the end says that a folder is meant."""
    assert image_config.below(folder, path, keep_slash=slash) == whole


@given(st.lists(st.sampled_from(["a", "b", ".", "..", "", " "]), max_size=8).map("/".join))
def test_clean_paths_stay_within_the_root(path):
    """And cleaning them once more changes nothing."""
    cleaned = image_config.clean(path)

    assert cleaned.startswith("/")
    assert ".." not in cleaned.split("/")
    assert image_config.clean(cleaned) == cleaned
