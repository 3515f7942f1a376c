"""wherry.toml is read whole or refused with line and key."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidSettings, NotFound
from wherry.platform import Platform
from wherry.settings.build_keys import SERVICE_KEYS
from wherry.settings.options import BuildOptions
from wherry.settings.readers import WrongKey
from wherry.settings.template import NAMES
from wherry.settings.values import Added
from wherry.settings.wherry_toml import Settings, WrongSyntax

EVERYTHING = """
[services.api]
package = "./cmd/api"
front-door = "go"
platforms = ["linux/arm64", "linux/amd64"]
base = "static"
debian = "13"
keep = ["docs"]
ca = ["ca.pem"]
ca-for = ["ISRG Root X1"]
ca-only = false
tags = ["api:dev", "api:1"]
labels = { team = "media", "org.opencontainers.image.vendor" = "Example" }
annotations = { team = "media" }
user = 65532
workdir = "/srv/"
expose = [8080, "53/udp", "9000-9001"]
entrypoint = ["/app/api"]
cmd = []
add = ["config.yaml:/etc/app/:0644:65532"]
ldflags = ["-X", "main.version={{.Version}}"]
gcflags = "all=-l"
asmflags = ""
go-tags = ["grpcnotrace"]
go-version = "1.26.8"
trimpath = false
strip = true
strip-buildid = true
debug-info = "api.debug"
profile = ["edge", "small"]
device-memory = "64MB"
pie = true
cgo = "musl"
no-inline = ["google.golang.org/..."]
compression = "zstd"
compression-level = 19
release = false

[services.api.env]
PORT = "8080"
EMPTY = ""

[services.api.go-env]
GOEXPERIMENT = "jsonv2"
"""


def test_every_key_is_read():
    """One file that says everything there is to say."""
    options = Settings.parse(EVERYTHING).services["api"]

    assert options == BuildOptions(
        package="./cmd/api",
        keep=("docs",),
        ca=("ca.pem",),
        ca_for=("ISRG Root X1",),
        ca_only=False,
        front_door="go",
        platforms=(Platform("linux", "amd64"), Platform("linux", "arm64")),
        base="static",
        debian="13",
        tags=("api:dev", "api:1"),
        labels=(("team", "media"), ("org.opencontainers.image.vendor", "Example")),
        annotations=(("team", "media"),),
        env=(("PORT", "8080"), ("EMPTY", "")),
        user="65532",
        workdir="/srv",
        expose=("8080/tcp", "53/udp", "9000/tcp", "9001/tcp"),
        entrypoint=("/app/api",),
        cmd=(),
        add=(Added("config.yaml", "/etc/app/config.yaml", 0o644, 65532, 65532),),
        ldflags="-X main.version={{.Version}}",
        gcflags="all=-l",
        asmflags="",
        go_tags=("grpcnotrace",),
        go_env=(("GOEXPERIMENT", "jsonv2"),),
        go_version="1.26.8",
        trimpath=False,
        strip=True,
        strip_buildid=True,
        debug_info="api.debug",
        profile=("edge", "small"),
        device_memory=64_000_000,
        pie=True,
        cgo="musl",
        no_inline=("google.golang.org/...",),
        compression="zstd",
        compression_level=19,
        release=False,
    )


def test_every_option_has_a_key():
    """No option is for the command line only, and the sample above leaves none out; `mod` is for .ko.yaml only."""
    options = Settings.parse(EVERYTHING).services["api"]
    names = {field.name for field in fields(BuildOptions)} - {"mod"}

    assert {key.field for key in SERVICE_KEYS.values()} == names
    assert all(getattr(options, name) is not None for name in names)


@pytest.mark.parametrize("key", SERVICE_KEYS, ids=str)
def test_every_example_is_right(key):
    """What a hint tells to write can be written."""
    text = f"[services.x]\n{SERVICE_KEYS[key].example}\n" + ('package = "."\n' if key != "package" else "")

    options = Settings.parse(text).services["x"]

    assert getattr(options, SERVICE_KEYS[key].field) is not None


def test_a_service_stands_above_build():
    """Lists and single values are replaced, tables joined; what neither says stays unsaid."""
    text = """
        [build]
        platforms = ["all"]
        base = "static"
        env = { A = "1", B = "1" }
        cmd = ["serve"]
        [services.api]
        package = "./cmd/api"
        platforms = ["linux/amd64"]
        env = { B = "2", C = "2" }
        cmd = []
    """

    options = Settings.parse(text).resolve("api")

    assert options.platforms == (Platform("linux", "amd64"),)
    assert options.base == "static"
    assert dict(options.env or ()) == {"A": "1", "B": "2", "C": "2"}
    assert options.cmd == ()
    assert options.user is None


def test_an_empty_file_says_nothing():
    """A file to come."""
    settings = Settings.parse("# nothing yet\n")

    assert (settings.build, dict(settings.services)) == (BuildOptions(), {})


@pytest.mark.parametrize(
    ("text", "line", "key", "hint"),
    [
        ('[build]\n\nplatfroms = ["linux/amd64"]', 3, "platfroms", '"platforms"'),
        ('[services.api]\npackage = "."\nbse = "static"', 3, "bse", '"base"'),
        ('[build]\npackage = "."', 2, "package", ""),
        ('base = "static"', 1, "base", "[build]"),
        ("[biuld]", 1, "biuld", '"build"'),
        ("# x\nservices = 1", 2, "services", "[services"),
        ("[services]\napi = './cmd/api'", 2, "api", "[services.api]"),
        ("[services.api]\nbase = 'scratch'", 1, "api", "package ="),
        ("[services.'a b']\npackage = '.'", 1, "a b", "letters"),
        ("[build]\nplatforms = 'all'", 2, "platforms", "platforms = ["),
        ("[build]\nplatforms = [\n'linux/amd64',\n'linux/amd46',\n]", 4, "platforms", "linux/amd64"),
        ("[build]\nexpose = [\n80,\n70000]", 4, "expose", "8080"),
        ("[build]\nexpose = [80, true]", 2, "expose", "expose = ["),
        ("[build]\nenv = { PORT = 8080 }", 2, "PORT", "PORT ="),
        ("[build.env]\n'A=B' = 'x'", 2, "A=B", "="),
        ("[build]\n[build.go-env]\nGOARCH = 'arm64'", 3, "GOARCH", "platform"),
        ("[build]\nuser = -1", 2, "user", "user ="),
        ("[build]\nuser = 'a b'", 2, "user", "65532"),
        ("[build]\nworkdir = 'srv'", 2, "workdir", "/srv"),
        ("[build]\nadd = ['a', 'b:/c']", 2, "add", "/etc/app"),
        ("[build]\nbase = ''", 2, "base", "base ="),
        ("[build]\nbase = [ 'static' ]", 2, "base", "base ="),
        ("[build]\nstrip = 'yes'", 2, "strip", "strip ="),
        ("[build]\ngo-version = 1.26", 2, "go-version", '"1.26.8"'),
        ("[build]\ngo-version = 1979-05-27", 2, "go-version", '"1.26.8"'),
        ("[build]\ncompression = 'xz'", 2, "compression", "zstd"),
        ("[build]\ncompression-level = true", 2, "compression-level", "19"),
        ("[build]\nfront-door = ['go']", 2, "front-door", "go"),
        (f"[build]\nuser = 0x{'f' * 9999}", 2, "user", "user ="),
        (
            "[build]\ntags = ['x:1']\n[services.a]\npackage = '.'\n[services.b]\npackage = '.'",
            5,
            "tags",
            "its own tags",
        ),
        (
            "[services.a]\npackage = 'a'\ndebug-info = 'd'\n[services.b]\npackage = 'b'\ndebug-info = 'd'",
            6,
            "debug-info",
            "its own file",
        ),
        ("[services.a]\npackage = 'a'\nedge = 5", 3, "edge", "[edge] is a table of its own"),
        ("[edge.budgets]\nunpacked = -1", 2, "unpacked", "5.5MB"),
        ("[prove]\nprobe = ['http://localhost/',\n'tls://']", 3, "probe", "tls://localhost:8443"),
    ],
)
def test_what_does_not_fit_has_line_and_key(text, line, key, hint):
    """Whoever reads the message goes to one place."""
    with pytest.raises(WrongKey) as caught:
        Settings.parse(text, "wherry.toml")

    assert (caught.value.line, caught.value.key) == (line, key)
    assert hint in caught.value.hint
    assert caught.value.message.startswith(f'wherry.toml: line {line}: key "{key}" ')


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("[build]\nbase = static", 2, 8),
        ("[build]\nbase = 'a'\nbase = 'b'", 3, 11),
        ("[build\n", 1, 7),
        ("[build]\nbase = ", 2, 8),
        ("a = [\n1,\n", 3, 1),
    ],
)
def test_what_is_no_toml_has_line_and_column(text, line, column):
    """The parser's own place, where it has one."""
    with pytest.raises(WrongSyntax) as caught:
        Settings.parse(text)

    assert (caught.value.line, caught.value.column) == (line, column)


def test_what_is_not_utf8():
    """Bytes of another encoding are named with their line, in comments and values too."""
    with pytest.raises(InvalidSettings, match="line 2: not UTF-8"):
        Settings.parse(b"[build]\nlabels = { a = '\xe9' }".decode(errors="replace"))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 50_000,
        "a = " + "9" * 5000,
        "#" * (1 << 21),
        ".".join(["a"] * 100_000) + " = 1",
        "[" + " . ".join(["'a'", '"b"'] * 30_000) + "]",
        "a = " + "a" * 200_000,
        '"' * 200_000,
        ".".join([r'"\""'] * 40_000) + " = 1",
    ],
    ids=lambda text: text[:12],
)
def test_hostile_text_is_refused(text):
    """Deep, long or large: an error, in a moment."""
    with pytest.raises(InvalidSettings):
        Settings.parse(text)


def test_services_are_found_by_their_package():
    """The command line names folders."""
    settings = Settings.parse("[services.a]\npackage = './cmd/api/'\n[services.b]\npackage = 'cmd/api'\n")

    assert settings.services_of("./cmd/api") == ("a", "b")
    assert settings.services_of("cmd/worker") == ()


def test_an_unknown_service_has_its_nearest():
    """A slip costs one look."""
    with pytest.raises(NotFound) as caught:
        Settings.parse("[services.worker]\npackage = '.'\n").resolve("wroker")

    assert "worker" in caught.value.hint


@settings(max_examples=100)
@given(st.text(st.sampled_from("[]=.\"'{}, \nab1#-builds"), max_size=60))
def test_any_text_is_read_or_refused(text):
    """Nothing but our own error comes out."""
    try:
        Settings.parse("[build]\n" + text)
    except InvalidSettings as error:
        said = error
    else:
        return
    assert said.hint


def test_a_base_that_is_declared():
    """All of its keys; what is wrong is named with its line; a value of [build] outside a table is told as before."""
    text = '[base]\npackages = ["libsqlite3-0"]\nfiles = ["a:/b:0644"]\nusers = ["app:1"]\nenv = { TZ = "UTC" }\n'
    found = Settings.parse(text).declared
    assert found is not None
    assert (found.packages, found.env, found.files[0].path) == (("libsqlite3-0",), (("TZ", "UTC"),), "/b")
    for line, said in (
        ("[base]", 'key "base" has no packages'),
        ('[base]\npackages = "x"', "must be a list of strings"),
        ('[base]\npackage = ["x"]', "is unknown"),
        ('base = "static"', "outside any table"),
    ):
        with pytest.raises(InvalidSettings, match=said):
            Settings.parse(line)
    with pytest.raises(InvalidSettings, match="for Go modules"):
        Settings.parse(text, front_end="dockerfile")


def test_the_reference_lists_every_key():
    """A key that is not in the docs can't be found."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "wherry-toml.md").read_text()

    rows = re.findall(r"^\| `([a-z-]+)` \| .*\| .*\| .*\|$", page, re.MULTILINE)

    assert sorted(rows) == sorted(SERVICE_KEYS)


def test_the_references_example_is_right():
    """The first thing that a reader copies."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "wherry-toml.md").read_text()
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example

    settings = Settings.parse(example[1])

    assert list(settings.services) == ["api", "worker"]
    assert settings.resolve("api").base == "static"


def test_the_reference_lists_every_template_name():
    """So can't a name."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "wherry-toml.md").read_text()

    assert set(re.findall(r"`\.([A-Za-z.]+)`", page)) == {*NAMES, "Env.NAME"}
