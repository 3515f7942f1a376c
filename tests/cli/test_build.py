"""`wherry build` as a user calls it: what comes out, and what bad input gets."""

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from needs import need
from wherry.cli.main import run
from wherry.cli.world import World
from wherry.oci import media
from wherry.store.disk import DiskStore
from wherry.store.images import images_of

MAIN = 'package main\n\nimport "os"\n\nfunc main() { println("hi", len(os.Args)) }\n'


class Shell:
    """Calls wherry in a folder, with a store and a cache of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "app"
        self.folder.mkdir()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO", "WHERRY"))
        }
        self.environment = {
            **environment,
            "GOENV": "off",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "WHERRY_STORE": str(root / "store"),
            "WHERRY_CACHE": str(root / "cache"),
            "WHERRY_DEBUG": "1",
        }
        self.out = self.err = ""

    def write(self, name: str, text: str) -> None:
        """Write a file of the module."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def __call__(self, *arguments: str) -> int:
        """Run a command line; keep what it printed."""
        stdout, stderr = io.StringIO(), io.StringIO()
        code = run(list(arguments), World(stdout, stderr, self.environment, self.folder))
        self.out, self.err = stdout.getvalue(), stderr.getvalue()
        return code

    @property
    def store(self) -> DiskStore:
        """The local store."""
        return DiskStore(self.root / "store")

    def images(self, name: str):
        """The images behind a name."""
        return images_of(self.store, self.store.resolve(name))


@pytest.fixture
def wherry(tmp_path):
    """A shell in a module with one program."""
    need("go")
    shell = Shell(tmp_path)
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    shell.write("main.go", MAIN)
    return shell


pytestmark = pytest.mark.slow


def test_the_reference_and_nothing_else_goes_to_stdout(wherry):
    """What a script wants is one line; the rest is for people."""
    assert wherry("build", "-t", "api:dev") == 0

    root = wherry.store.resolve("api:dev")
    assert wherry.out == f"api:dev@{root.digest}\n"
    assert "example.com/app" in wherry.err
    assert root.media_type == media.OCI_MANIFEST


def test_platforms_make_an_index_in_fixed_order(wherry):
    """Whatever the order they were asked for in."""
    digests = set()
    for platforms in ("linux/arm64,linux/amd64", "linux/amd64,arm64"):
        assert wherry("build", "--platform", platforms, "-q") == 0
        digests.add(wherry.out)

    assert len(digests) == 1
    assert [str(image.platform) for image in wherry.images("app")] == ["linux/amd64", "linux/arm64"]


def test_a_second_build_says_that_nothing_changed(wherry):
    """And prints the same."""
    for _ in range(2):
        assert wherry("build") == 0
    first = wherry.out

    assert wherry("build") == 0

    assert "nothing changed" in wherry.err
    assert wherry.out == first


def test_the_config_says_what_was_asked_for(wherry):
    """Docker's flags, and a user that is not root."""
    wherry.write("etc/conf", "x=1")
    assert (
        wherry(
            "build", "--env", "A=1", "--label", "team=media", "--workdir", "/srv", "--expose", "8080",
            "--cmd", "serve -v", "--annotation", "org.example=1", "--add", "etc/conf:/etc/app/conf:0600:65532",
            "--base", "static-notz",
        )
        == 0
    )  # fmt: skip

    (image,) = wherry.images("app")
    config = image.config.runtime
    assert config.user.partition(":")[0] == "65532"
    assert config.entrypoint == ("/app/app",)
    assert config.cmd == ("serve", "-v")
    assert config.environment["A"] == "1"
    assert config.environment["SSL_CERT_FILE"]
    assert config.working_dir == "/srv"
    assert config.exposed_ports == {"8080/tcp": {}}
    assert config.labels["team"] == "media"
    assert image.manifest.annotations["org.example"] == "1"
    recipe = json.loads(config.labels["dev.wherry.recipe"])
    assert recipe["version"] == 2
    assert recipe["go"]["flags"].startswith("-trimpath -ldflags=-s")
    assert json.loads(image.manifest.annotations["dev.wherry.recipe"]) == recipe


def test_two_folders_two_homes_one_digest(wherry, tmp_path_factory):
    """Neither path, nor HOME, nor an empty cache, nor the number of CPUs shows."""
    digests = []
    for number in range(2):
        other = Shell(tmp_path_factory.mktemp(f"place{number}"))
        other.environment["HOME"] = str(other.root)
        other.environment["GOFLAGS"] = f"-p={number + 1}"
        other.environment["GOMAXPROCS"] = str(number + 1)
        other.environment["GOCACHE"] = (
            os.environ.get("GOCACHE")
            or subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
        )
        other.write("go.mod", "module example.com/app\n\ngo 1.21\n")
        other.write("main.go", MAIN)
        assert other("build", "-q", "--platform", "linux/amd64,linux/arm64") == 0
        digests.append(other.store.resolve("app").digest)
    assert digests[0] == digests[1]


def test_source_date_epoch_is_the_time_of_every_file(wherry):
    """And of the config; without it files have time 0."""
    wherry.environment["SOURCE_DATE_EPOCH"] = "1700000000"
    assert wherry("build") == 0
    assert wherry.images("app")[0].config.created == "2023-11-14T22:13:20Z"

    wherry.environment["SOURCE_DATE_EPOCH"] = "yesterday"
    assert wherry("build") == 64


def test_services_of_wherry_toml(wherry):
    """Without arguments, each service is built under its own names."""
    wherry.write("cmd/api/main.go", MAIN)
    wherry.write("cmd/job/main.go", MAIN.replace("hi", "job"))
    wherry.write(
        "wherry.toml",
        '[build]\nbase = "scratch"\n\n[services.api]\npackage = "./cmd/api"\ntags = ["api:1", "api:latest"]\n\n'
        '[services.job]\npackage = "./cmd/job"\n',
    )
    assert wherry("build") == 0

    assert set(wherry.store.tags()) == {"api:1", "api:latest", "job:latest"}
    assert len(wherry.out.splitlines()) == 2
    assert wherry("build", "job", "-q") == 0
    assert wherry.out.strip() == wherry.store.resolve("job").digest


def test_settings_are_wrong_by_line_and_key(wherry):
    """wherry.toml's errors point at the place."""
    wherry.write("wherry.toml", '[build]\nbase = "static"\nplatfroms = ["linux/amd64"]\n')
    assert wherry("build") == 78
    assert "wherry.toml: line 3" in wherry.err
    assert "platforms" in wherry.err


def test_a_compile_error_has_the_compilers_words(wherry):
    """And leaves no name behind."""
    wherry.write("main.go", MAIN.replace("os.Args", "os.Arks"))
    assert wherry("build") == 65
    assert "main.go:5:" in wherry.err
    assert "Traceback" not in wherry.err
    assert wherry.store.tags() == {}


def test_a_program_that_needs_libraries_is_refused_on_static(wherry):
    """With what it asks for."""
    need("gcc")
    wherry.write("main.go", 'package main\n\n// int f() { return 1; }\nimport "C"\n\nfunc main() { println(C.f()) }\n')
    assert wherry("build", "--go-env", "CGO_ENABLED=1") == 65
    assert "ld-linux" in wherry.err
    assert "libc.so.6" in wherry.err
    assert wherry.store.tags() == {}


def test_a_pie_made_without_cgo_is_refused_on_static(wherry):
    """It asks for ld-linux, and there is none."""
    wherry.environment["GOFLAGS"] = "-buildmode=pie"
    assert wherry("build", "--platform", "linux/amd64") == 65
    assert "buildmode=pie" in wherry.err


def test_a_base_from_a_layout_or_an_archive(wherry):
    """What another tool left on disk serves as a base; its layers are taken as they are."""
    assert wherry("build", "--base", "static", "-t", "base:1") == 0
    below = wherry.images("base:1")[0]
    assert wherry("save", "base:1", "-o", "base.tar") == 0
    assert wherry("save", "base:1", "-o", "layout/") == 0

    for base in ("./base.tar", "./layout", "base:1"):
        assert wherry("build", "--base", base, "-t", "over:1", "--no-cache") == 0, wherry.err
        (image,) = wherry.images("over:1")
        assert image.manifest.stack[: len(below.manifest.stack)] == below.manifest.stack
        assert image.config.runtime.user == below.config.runtime.user


def test_folders_of_the_base_keep_their_mode(wherry):
    """A file put into /tmp does not make /tmp a folder that only root may write to."""
    wherry.write("x", "x")
    assert wherry("build", "--add", "x:/tmp/x", "--add", "x:/home/nonroot/deep/x", "-o", "type=tar,dest=root.tar") == 0

    with tarfile.open(wherry.folder / "root.tar") as tar:
        modes = {member.name.rstrip("/"): member.mode for member in tar}
        assert modes["tmp"] == 0o1777
        assert modes["home/nonroot"] == 0o700
        assert modes["home/nonroot/deep"] == 0o755


def test_outputs_leave_what_was_stored(wherry):
    """Buildx's types and files, and one digest everywhere."""
    assert (
        wherry(
            "build", "-o", "type=oci,dest=a.tar", "-o", "type=docker,dest=d.tar", "-o", "type=local,dest=root",
            "--metadata-file", "m.json", "--iidfile", "iid",
        )
        == 0
    )  # fmt: skip

    digest = wherry.store.resolve("app").digest
    assert json.loads((wherry.folder / "m.json").read_text())["containerimage.digest"] == digest
    with tarfile.open(wherry.folder / "a.tar") as tar:
        index = json.load(tar.extractfile("index.json"))
    assert [entry["digest"] for entry in index["manifests"]] == [digest]
    assert (wherry.folder / "root" / "app" / "app").stat().st_mode & 0o777 == 0o755
    assert (wherry.folder / "iid").read_text() == wherry.images("app")[0].manifest.config.digest


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["nowhere"], 66, "no such directory"),
        (["inner"], 66, "not main"),
        (["--platform", "linux/amd46"], 64, "linux/amd64"),
        (["-t", "API:dev"], 64, "API"),
        (["--base", "./nothing"], 66, "nothing"),
        (["-f", "Dockerfile"], 66, "Dockerfile"),
        (["--add", "gone:/etc/gone"], 66, "gone"),
        (["--compression-level", "99"], 64, "99"),
        (["--compression", "bzip2"], 64, "bzip2"),
        (["--ldflags", "-X main.v={{.Vresion}}"], 64, "Version"),
        (["ftp://example.com/x"], 64, "directory"),
        (["-o", "type=registry"], 64, "push"),
    ],
)
def test_bad_input_is_told_apart(wherry, arguments, code, word):
    """One message with the place, a hint with what to do, a documented exit code."""
    wherry.write("inner/inner.go", "package inner\n")
    assert wherry("build", *arguments) == code
    assert word in wherry.err
    assert "Traceback" not in wherry.err


def test_a_template_of_a_file_names_the_file(wherry):
    """The key of wherry.toml is what is wrong, not an option that nobody wrote; one that is written wins."""
    wherry.write("wherry.toml", '[build]\nldflags = "-X main.v={{.Vresion}}"\n')
    assert wherry("build") == 64
    assert "wherry.toml: ldflags: {{.Vresion}}" in wherry.err
    assert wherry("build", "--ldflags", "-X main.v={{.Other}}") == 64
    assert "--ldflags: {{.Other}}" in wherry.err


def test_outside_of_a_module(wherry):
    """Says so, and what to do."""
    (wherry.folder / "go.mod").unlink()
    assert wherry("build") == 66
    assert "go.mod" in wherry.err


def test_without_go(wherry, monkeypatch):
    """There is a wheel for that."""
    from wherry.host import toolchain

    monkeypatch.setattr(toolchain, "_wheel", lambda: None)
    wherry.environment["PATH"] = str(wherry.root)
    assert wherry("build") == 69
    assert "wherry[go]" in wherry.err


def test_a_store_that_cannot_be_written(wherry):
    """Is named, with the option that names another."""
    (wherry.root / "store").write_text("a file")
    assert wherry("build") == 73


def test_flags_are_the_users(wherry):
    """-X by template, tags, and a program with its symbols beside the stripped one."""
    wherry.write("main.go", MAIN.replace('"hi"', "version") + 'var version = "none"\n')
    assert wherry("build", "--ldflags", "-X main.version={{.Env.MINE}}", "--debug-info", "app.debug") == 64
    wherry.environment["MINE"] = "v7"
    assert wherry("build", "--ldflags", "-X main.version={{.Env.MINE}}", "--debug-info", "app.debug") == 0

    assert b"v7" in subprocess.run([wherry.folder / "app.debug"], capture_output=True, check=True).stderr
    sections = subprocess.run(
        ["readelf", "-SW", wherry.folder / "app.debug"], capture_output=True, text=True, check=True
    ).stdout
    assert ".symtab" in sections
    assert ".debug_info" in sections


def test_json_has_the_figures(wherry):
    """For machines."""
    assert wherry("build", "--json") == 0
    (image,) = json.loads(wherry.out)["images"]
    (platform,) = image["platforms"]
    assert image["digest"] == wherry.store.resolve("app").digest
    assert platform["pulled"] == sum(layer["size"] for layer in platform["layers"])


def test_explain_says_what_changed(wherry):
    """By name of the file."""
    assert wherry("build") == 0
    wherry.write("main.go", MAIN.replace("hi", "ho"))
    assert wherry("build", "--explain") == 0
    assert "main.go changed" in wherry.err


def test_the_encoding_is_what_was_asked_for(wherry):
    """Zstandard for the program's layer, and an image of another digest."""
    assert wherry("build", "-q") == 0
    gzip = wherry.out
    assert wherry("build", "-q", "--compression", "zstd") == 0
    assert wherry.out != gzip
    assert wherry.images("app")[0].manifest.stack[-1].media_type == media.OCI_LAYER_ZSTD


def test_gc_cleans_the_cache_too(wherry):
    """Unpacked layers of images that are gone, and results that nobody used."""
    need("go")
    assert wherry("build", "-t", "app:1") == 0
    assert wherry("run", "-q", "app:1") == 0, wherry.err
    assert wherry("rm", "app:1") == 0

    assert wherry("gc", "--older", "0s") == 0

    assert "unpacked layers" in wherry.out
    assert wherry("build", "-t", "app:1") == 0
    assert "nothing changed" not in wherry.err
    assert wherry("gc") == 0
    assert wherry("build", "-t", "app:1") == 0
    assert "nothing changed" in wherry.err
