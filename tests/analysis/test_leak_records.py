"""What is said of build info; judged on values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.analysis.leak_records import recorded
from wherry.finding import Severity
from wherry.golang.buildinfo import BuildInfo, Module


def told(**settings: str) -> dict[str, Severity]:
    """Judge settings; give the rules that say something."""
    named = {name.replace("_", "-", 1) if name.startswith("_") else name: text for name, text in settings.items()}
    return {one.rule: one.severity for one in recorded(BuildInfo(settings=named))}


@pytest.mark.parametrize(("name", "rule"), [
    ("main.apiToken", "x-secret"), ("main.DBPassword", "x-secret"), ("cfg.SECRET", "x-secret"),
    ("main.dsn", "x-secret"),
    ("main.version", "x-values"), ("main.tokenURL", "x-values"), ("main.secretPath", "x-values"),
])  # fmt: skip
def test_names_that_tell(name, rule):
    """A variable that is called as secrets are."""
    assert rule in told(_ldflags=f"-X {name}=something")


@pytest.mark.parametrize(("settings", "expected"), [
    ({"_gcflags": "all=-l"}, {"flag-text": Severity.NOTE}),
    ({"_gcflags": "-I=/opt/a/b"}, {"flag-paths": Severity.WARNING}),
    ({"_pgo": "/home/me/default.pgo"}, {"flag-paths": Severity.WARNING}),
    ({"_tags": "a,b"}, {"flag-text": Severity.NOTE}),
    ({"CGO_CFLAGS": "-I/opt/include"}, {"flag-paths": Severity.WARNING}),
    ({"CGO_CFLAGS": ""}, {}),
    ({"vcs": "git", "vcs.modified": "true"}, {"revision": Severity.NOTE}),
    ({"GOOS": "linux", "_trimpath": "true"}, {}),
])  # fmt: skip
def test_settings(settings, expected):
    """Flags with paths, flags without, and what nobody has to mind."""
    assert told(**settings) == expected


@pytest.mark.parametrize("folder", ["../lib", "./lib", "..", "/home/me/lib", "C:\\lib"])
def test_replaced_by_a_folder(folder):
    """A folder's path is recorded; an absolute one tells more."""
    info = BuildInfo(modules=(Module("example.com/lib", "v1.0.0", "", Module(folder, "(devel)")),))

    (found,) = recorded(info)

    assert found.rule == "replaced-by-folder"
    assert (found.severity is Severity.NOTE) == folder.startswith(".")


def test_a_fork_is_no_folder():
    """A replacement by another module tells no path."""
    info = BuildInfo(modules=(Module("example.com/lib", "v1.0.0", "", Module("example.com/fork", "v1.0.1")),))

    assert list(recorded(info)) == []


@given(
    st.text(alphabet="abXYZ09", min_size=6, max_size=30), st.sampled_from(["{}", "'{}'", '"{}"', "'{} more'", "'{}"])
)
def test_no_secret_of_flags_is_shown(value, form):
    """However a value is quoted, or not closed."""
    text = f"-s -X main.apiToken={form.format(value)} -X other={form.format('x')}"
    found = list(recorded(BuildInfo(settings={"-ldflags": text, "CGO_CFLAGS": f"-DAPI_TOKEN={value}"})))

    assert value not in " ".join(line for one in found for line in one.evidence)
