"""Every option of `wherry build` with each front end: it works, or it is refused by name. None is dropped."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click
import pytest

from build_calls import Made, call, label, module, recipe
from needs import need
from wherry.app.build.frontend import choose
from wherry.app.build.options import (
    CommonOptions,
    DockerfileBuild,
    DockerfileOptions,
    FrontEnd,
    GoBuild,
    GoOptions,
    check_conflicts,
    serves,
)
from wherry.cli.build import command
from wherry.errors import InvalidUsage
from wherry.oci import media
from wherry.settings.outputs import parse_outputs

REFUSED = 64


Check = Callable[[Made], object]


@dataclass(frozen=True)
class Case:
    """One option: how it is written, and what shows that it worked; None: it is refused."""

    words: Sequence[str]
    go: Check | None
    dockerfile: Check | None


def both(words: Sequence[str], check: Check) -> Case:
    """Make the case of an option that works for both."""
    return Case(words, check, check)


def go(words: Sequence[str], check: Check) -> Case:
    """Make the case of an option for Go modules."""
    return Case(words, check, None)


def dockerfile(words: Sequence[str], check: Check) -> Case:
    """Make the case of an option for Dockerfiles."""
    return Case(words, None, check)


def builds(made: Made) -> bool:
    """Tell whether an image was built."""
    return made.code == 0 and bool(made.image)


CASES = {
    "tags": both(["-t", "made:two"], lambda made: "made:two@" in made.out),
    "outputs": both(["-o", "type=oci,dest=out.tar"], lambda made: (made.folder / "out.tar").stat().st_size),
    "metadata_file": both(["--metadata-file", "m.json"], lambda made: json.loads((made.folder / "m.json").read_text())),
    "iidfile": both(["--iidfile", "id"], lambda made: (made.folder / "id").read_text().startswith("sha256:")),
    "quiet": both(["-q"], lambda made: made.out.startswith("sha256:") and not made.err),
    "as_json": both(["--json"], lambda made: json.loads(made.out)["version"] == 2),
    "push": both(["--push"], lambda made: made.code == REFUSED and "made" in made.err),
    "load": both(["--load"], lambda made: made.code == 69 or "load into" in made.err),
    "budgets": both(["--no-budgets"], builds),
    "prove": both(["--prove"], lambda made: made.code == 0 or "prove" in made.err or "no command" in made.err),
    "sbom": both(["--sbom", "spdx"], lambda made: "attached https://spdx.dev" in made.err),
    "provenance": both(["--provenance"], lambda made: "attached slsa" in made.err),
    "attach": both(["--attach", "both"], builds),
    "against": both(["--against", "x:1"], lambda made: made.code == REFUSED and "--against" in made.err),
    "platforms": both(["--platform", "linux/s390x"], lambda made: str(made.image.platform) == "linux/s390x"),
    "labels": both(["--label", "a=b"], lambda made: label(made, "a") == "b"),
    "annotations": both(["--annotation", "a=b"], lambda made: (made.image.manifest.annotations or {})["a"] == "b"),
    "env": both(["-e", "A=B"], lambda made: made.config.environment["A"] == "B"),
    "user": both(["-u", "1000"], lambda made: made.config.user == "1000"),
    "workdir": both(["-w", "/srv"], lambda made: made.config.working_dir == "/srv"),
    "expose": both(["--expose", "80"], lambda made: made.config.exposed_ports == {"80/tcp": {}}),
    "entrypoint": both(["--entrypoint", "/x -v"], lambda made: made.config.entrypoint == ("/x", "-v")),
    "cmd": both(["--cmd", "serve"], lambda made: made.config.cmd == ("serve",)),
    "compression": both(
        ["--compression", "zstd"], lambda made: made.image.manifest.stack[-1].media_type == media.OCI_LAYER_ZSTD
    ),
    "compression_level": both(["--compression-level", "99"], lambda made: made.code == REFUSED and "99" in made.err),
    "release": both(["--release"], lambda made: made.image.manifest.stack[-1].media_type == media.OCI_LAYER_ZSTD),
    "progress": both(["--progress", "json"], lambda made: json.loads(made.err.splitlines()[0])["event"]),
    "pull": both(["--pull"], builds),
    "offline": both(["--offline"], builds),
    "insecure": both(["--insecure"], builds),
    "no_cache": both(["--no-cache"], builds),
    "strict_encoder": both(["--strict-encoder"], builds),
    "explain": both(["--explain"], lambda made: "not built before" in made.err),
    "allow_secret_ldflags": go(["--allow-secret-ldflags"], builds),
    "size_record": go(["--size-record"], lambda made: "symbol data kept" in made.err),
    "add": both(["--add", "file:/etc/file:0600:7"], lambda made: made.files >= 2),
    "base": go(["--base", "scratch"], lambda made: made.files == 1),
    "debian": go(["--base", "deb:static", "--debian", "9"], lambda made: made.code == REFUSED and "Debian" in made.err),
    "keep": go(["--keep", "docs"], lambda made: made.code == REFUSED and "--keep docs: base static" in made.err),
    "ca": go(["--ca", "file"], lambda made: made.code == 65 and "no certificate in PEM" in made.err),
    "ca_for": go(["--ca-for", "ISRG Root X1"], lambda made: recipe(made)["base"]["roots"].startswith("96bcec")),
    "ca_only": go(["--ca-only"], lambda made: made.code == REFUSED and "add --ca FILE" in made.err),
    "ldflags": go(["--ldflags", "-w"], lambda made: "-w" in recipe(made)["go"]["flags"]),
    "ambiguous_tags": go(["--tags", "x"], lambda made: "-tags=x" in recipe(made)["go"]["flags"]),
    "disable_optimizations": go(
        ["--disable-optimizations"], lambda made: "-gcflags=all=-N -l" in recipe(made)["go"]["flags"]
    ),
    "jobs": both(["-j", "1"], builds),
    "format": both(["--format", "github"], builds),
    "timeout": both(["--timeout", "30s"], builds),
    "ignore_chown_errors": dockerfile(["--ignore-chown-errors"], builds),
    "image_refs": both(["--image-refs", "refs"], lambda made: "@sha256:" in (made.folder / "refs").read_text()),
    "tag_only": both(["--tag-only"], lambda made: made.code == 0 and "@" not in made.out),
    "go_tags": go(["--build-tags", "x"], lambda made: "-tags=x" in recipe(made)["go"]["flags"]),
    "gcflags": go(["--gcflags", "-l"], lambda made: "-gcflags" in recipe(made)["go"]["flags"]),
    "asmflags": go(["--asmflags", "-D=X"], lambda made: "-asmflags" in recipe(made)["go"]["flags"]),
    "go_env": go(["--go-env", "GO386=softfloat"], builds),
    "go_version": go(["--go-version", "1.0.1"], lambda made: made.code and "1.0.1" in made.err),
    "strip": go(["--no-strip"], lambda made: "with symbols" in made.err),
    "trimpath": go(["--no-trimpath"], lambda made: "with paths" in made.err),
    "strip_buildid": go(["--strip-buildid"], lambda made: "buildid" in recipe(made)["go"]["flags"]),
    "no_vcs": go(["--no-vcs"], builds),
    "profile": go(["--profile", "edge"], lambda made: recipe(made)["go"]["profile"] == "edge"),
    "device_memory": go(
        ["--device-memory", "64MB"], lambda made: made.code == REFUSED and "--profile edge" in made.err
    ),
    "pie": go(
        ["--pie", "--platform", "linux/arm"], lambda made: made.code == REFUSED and "C compiler only" in made.err
    ),
    "cgo": go(["--cgo", "off"], lambda made: recipe(made)["go"]["CGO_ENABLED"] == "0"),
    "go": go(["--go"], lambda made: "--go" in made.err),
    "debug_info": go(["--debug-info", "d"], lambda made: (made.folder / "d").stat().st_size),
    "repo": go(["--repo", "localhost:1/x"], lambda made: made.code == 69 and "localhost:1" in made.err),
    "style": go(["-B"], lambda made: made.code == REFUSED and "repository" in made.err),
    "local": go(["-L"], lambda made: made.code == 69 or "load into" in made.err),
    "file": dockerfile(["-f", "Dockerfile"], builds),
    "target": dockerfile(["--target", "none"], lambda made: made.code == 65 and "none" in made.err),
    "build_args": dockerfile(["--build-arg", "X=1"], lambda made: label(made, "x") == "1"),
    "build_contexts": dockerfile(["--build-context", "c=."], builds),
    "secrets": dockerfile(["--secret", "id=s,src=file"], builds),
    "agents": dockerfile(["--ssh", "default=file"], lambda made: made.code == 66 and "agent" in made.err),
    "no_cache_filter": dockerfile(["--no-cache-filter", "x"], builds),
    "hosts": dockerfile(["--add-host", "x"], lambda made: made.code == REFUSED and "NAME:IP" in made.err),
    "limits": dockerfile(["--ulimit", "nofile=x"], lambda made: made.code == REFUSED and "invalid limit" in made.err),
    "shm": dockerfile(["--shm-size", "x"], lambda made: made.code and "x" in made.err),
    "network": dockerfile(["--network", "none"], builds),
    "allow": dockerfile(["--allow", "security.insecure"], builds),
    "isolation": dockerfile(["--isolation", "userns"], lambda made: made.code in {0, 69}),
    "check": dockerfile(["--check"], lambda made: made.code == 0 and not made.out),
    "debug_shell": dockerfile(["--debug-shell"], builds),
    "cache_from": dockerfile(["--cache-from", "type=local"], lambda made: made.code == REFUSED),
    "cache_to": dockerfile(["--cache-to", "type=local,dest=cache"], lambda made: (made.folder / "cache").is_dir()),
}  # fmt: skip
"""By the name of the option's field."""


def options() -> dict[str, click.Option]:
    """Give the options of the command by the name they are handed over by."""
    return {str(one.name): one for one in command.params if isinstance(one, click.Option) and not one.hidden}


def test_the_table_has_every_option():
    """A new option has to say what it is for."""
    assert CASES.keys() == options().keys()


def test_the_table_says_what_the_classes_say():
    """An option that one class alone declares is for one front end alone."""
    for name, case in CASES.items():
        checks = {FrontEnd.GO: case.go, FrontEnd.DOCKERFILE: case.dockerfile}
        assert [front for front in FrontEnd if checks[front]] == list(serves(name.replace("ambiguous", "go"))), name
    own = {*GoOptions.__dataclass_fields__, *DockerfileOptions.__dataclass_fields__}
    words = {"quiet", "as_json", "progress", "explain", "style", "ambiguous_tags", "format", "timeout"}
    files = {"mod", "no_inline"}  # only .ko.yaml says mod, only wherry.toml no-inline
    assert {*own, *words} - files - {"settled"} == CASES.keys()  # only a rebuild has all of it settled
    assert CommonOptions.__dataclass_fields__.keys() <= CASES.keys()


@pytest.fixture
def folder(tmp_path):
    """An empty folder that is called as the image is."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "file").write_text("content")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_go_module(folder, name):
    """Works, or is refused."""
    need("go")
    module(folder)
    case = CASES[name]

    made = call(folder, *case.words, *(["--go"] if name == "platforms" else []))

    if case.go is None and name != "file":
        assert (made.code, made.out) == (REFUSED, "")
        assert "Dockerfiles; this folder" in made.err
        assert max(options()[name].opts, key=len) in made.err
    elif name != "file":
        assert case.go is not None
        assert case.go(made), made.err


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_dockerfile(folder, name):
    """Works, or is refused."""
    (folder / "Dockerfile").write_text("FROM scratch\nARG X=0\nCOPY file /file\nLABEL x=$X\n")
    case = CASES[name]

    made = call(folder, *case.words)

    if case.dockerfile is None and name != "go":
        assert (made.code, made.out) == (REFUSED, "")
        assert "Go modules; this folder is built from its Dockerfile" in made.err
        written = "--base-import-paths" if name == "style" else case.words[0]
        assert any(word in made.err for word in (written, *options()[name].opts))
    elif name != "go":
        assert case.dockerfile is not None
        assert case.dockerfile(made), made.err


def test_all_strangers_are_named(folder):
    """The call that once ended with 0, and did nothing of what was asked."""
    (folder / "Dockerfile").write_text("FROM scratch\n")
    words = ["-f", "Dockerfile", "--user", "1000", "--base", "static", "--debug-info", "F", "--repo", "localhost:1/x"]

    made = call(folder, *words)

    assert made.code == REFUSED
    assert all(word in made.err for word in ("--base", "--debug-info", "--repo", "-f Dockerfile"))
    assert "--user" not in made.err
    assert call(folder, "-f", "Dockerfile", "--go").code == REFUSED


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (GoBuild(release=True, compression="gzip"), "--release"),
        (DockerfileBuild(release=True, compression_level=3), "--release"),
        (DockerfileBuild(release=True, outputs=parse_outputs(["type=oci,dest=x,compression=gzip"])), "--release"),
        (GoBuild(pull=True, offline=True), "--offline"),
        (DockerfileBuild(pull=True, offline=True), "--offline"),
        (DockerfileBuild(check=True, push=True), "--push"),
        (DockerfileBuild(check=True, cache_to=("type=local,dest=x",)), "--cache-to"),
    ],
)
def test_what_excludes_each_other(wanted, words):
    """Both are named; for both front ends alike."""
    with pytest.raises(InvalidUsage) as caught:
        check_conflicts(wanted)

    assert words in caught.value.message


@pytest.mark.parametrize(
    ("files", "paths", "given", "front_end"),
    [
        (["main.go"], [], [], FrontEnd.GO),
        (["main.go", "Dockerfile"], [], [], FrontEnd.GO),
        (["main.go", "Dockerfile"], [], ["target"], FrontEnd.DOCKERFILE),
        (["Dockerfile"], [], [], FrontEnd.DOCKERFILE),
        (["dockerfile"], ["."], [], FrontEnd.DOCKERFILE),
        (["Dockerfile"], ["a", "b"], [], FrontEnd.GO),
        ([], ["-"], [], FrontEnd.DOCKERFILE),
        ([], ["https://example.com/x.git"], [], FrontEnd.DOCKERFILE),
    ],
)
def test_which_front_end(tmp_path, files, paths, given, front_end):
    """What is there decides, and what is asked for."""
    for name in files:
        (tmp_path / name).touch()

    assert choose(tmp_path, paths, given, file="", go=False).front_end is front_end
