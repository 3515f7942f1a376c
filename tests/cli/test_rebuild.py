"""`wherry rebuild`: the same image again, or the first difference and the cause that was planted."""

import json
import shutil
import subprocess

import msgspec
import pytest

from cli_shell import Shell
from git_server import serving
from wherry.app.build.materials import folder_hash
from wherry.app.rebuild_provenance import stated_build
from wherry.cli.world import World

pytestmark = pytest.mark.slow

MAIN = """package main

var version = "none"

func main() { println("hello", version) }
"""


@pytest.fixture
def wherry(tmp_path):
    """A shell with a module below it."""
    shell = Shell(tmp_path)
    lay(shell, "m")
    return shell


def lay(shell: Shell, folder: str, *, main: str = MAIN, go: str = "1.21", **files: str) -> None:
    """Write the module into a folder."""
    shell.write(f"{folder}/go.mod", f"module example.com/m\n\ngo {go}\n")
    shell.write(f"{folder}/main.go", main)
    for name, text in files.items():
        shell.write(f"{folder}/{name}.go", text)


def git(shell: Shell, folder: str, *words: str) -> str:
    """Run git in a folder, as somebody."""
    argv = ["git", "-C", str(shell.root / folder), "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def commit(shell: Shell, folder: str = "m") -> str:
    """Make a repository of a folder and commit all of it; give the commit."""
    if not (shell.root / folder / ".git").exists():
        git(shell, folder, "init", "--quiet", "--initial-branch=main")
    git(shell, folder, "add", "--all")
    git(shell, folder, "commit", "--quiet", "--message=all")
    return git(shell, folder, "rev-parse", "HEAD")


def document(shell: Shell, *arguments: str, code: int) -> dict:
    """Run `rebuild --json`."""
    shell("rebuild", *arguments, "--json", code=code)
    return json.loads(shell.out)


def test_the_same_folder_gives_the_same_image(wherry):
    """Empty caches, one job, another directory, two platforms, zstd: the same digest; the user's store is as it was."""
    words = "--platform linux/amd64,linux/arm64 --compression zstd --compression-level 9 --label team=a --env A=b"
    wherry("build", "m", "-t", "m:1", *words.split())
    before = sorted(wherry("images"))

    found = document(wherry, "m:1", "--source", "m", code=0)

    assert [one["platform"] for one in found["platforms"]] == ["linux/amd64", "linux/arm64"]
    assert found["identical"]
    assert found["before"].partition("@")[2] == found["after"].partition("@")[2]
    assert sorted(wherry("images")) == before


def test_from_the_commit(wherry):
    """The source is taken at the image's commit, whatever the working tree has now; a wrong -X value is found out."""
    commit(wherry)
    wherry("build", "m", "-t", "m:1", "--ldflags", "-X main.version=of-mine")
    wherry.write("m/main.go", MAIN.replace("hello", "other"))
    commit(wherry)
    wherry.write("m/more.go", "package main\n")

    wherry("rebuild", "m:1", "--source", "m", "--ldflags", "-X main.version=of-mine")
    assert wherry.out.startswith("identical")
    wherry("rebuild", "m:1", "--source", "m", "--ldflags", "-X main.version=another", code=1)
    assert "(linker-flag)" in wherry.out
    assert git(wherry, "m", "status", "--short") == "?? more.go"
    assert git(wherry, "m", "worktree", "list").count("\n") == 0


def test_the_program_of_an_image_without_a_recipe(wherry):
    """As ko or a Dockerfile makes it: built again by its build info; what trimmed paths hide is asked for."""
    commit(wherry)
    environment = {**wherry.environment, "CGO_ENABLED": "0"}
    argv = ["go", "build", "-trimpath", "-ldflags=-s -w -X main.version=of-mine", "-o", "../image/app", "."]
    subprocess.run(argv, cwd=wherry.root / "m", env=environment, check=True)
    wherry.write("image/Dockerfile", 'FROM scratch\nCOPY app /ko-app/app\nENTRYPOINT ["/ko-app/app"]\n')
    wherry("build", "image", "-t", "k:1")

    wherry("rebuild", "k:1", "--source", "m", code=1)
    assert "linker-flag" in wherry.out
    found = document(wherry, "k:1", "--source", "m", "--ldflags", "-s -w -X main.version=of-mine", code=0)
    assert found["identical"]
    assert found["before"].endswith(" /ko-app/app")
    assert "its program is compared" in found["notes"][0]


def test_from_provenance(wherry):
    """An image that lost its label is built again from wherry's provenance; another image's is refused."""
    commit(wherry)
    wherry("build", "m", "-t", "m:1", "--user", "7")
    wherry("provenance", "m:1")
    wherry.write("statement.json", wherry.out)
    wherry("provenance", "m:1", "--predicate")
    wherry.write("predicate.json", wherry.out)
    forge(wherry, dict.clear)
    wherry("rebuild", "evil:1", "--source", "m", "--provenance", "statement.json", code=3)
    assert "about another image" in wherry.err

    found = document(wherry, "evil:1", "--source", "m", "--provenance", "predicate.json", code=1)
    differences = [one for platform in found["platforms"] for one in platform["differences"]]
    assert {one["level"] for one in differences} <= {"config", "manifest"}
    assert any("recipe" in str(one) for one in differences), differences


@pytest.mark.parametrize(
    "text", ["", "{}", "[", '{"predicate": 1}', '{"buildDefinition": {"resolvedDependencies": [1]}}']
)
def test_what_is_no_provenance(wherry, text):
    """The file is named, and nothing is built."""
    wherry("build", "m", "-t", "m:1", "--no-vcs")
    wherry.write("p.json", text)

    wherry("rebuild", "m:1", "--source", "m", "--provenance", "p.json", code=3)
    assert "p.json: not SLSA v1 provenance" in wherry.err


def test_fetched_from_a_git_server(wherry):
    """With --fetch the repository is cloned from a real server at the image's commit; one that lost it ends with 3."""
    with serving(wherry.root) as server:
        url = f"http://{server.host}/m"
        commit(wherry)
        git(wherry, "m", "remote", "add", "origin", url)
        wherry("build", "m", "-t", "m:1")
        wherry.write("m/main.go", MAIN.replace("hello", "later"))
        commit(wherry)

        wherry("rebuild", "m:1", "--fetch")
        assert wherry.out.startswith("identical")
        assert "fetching http://127.0.0.1" in wherry.err
        assert any("git-upload-pack" in path for path, _ in server.seen)

        shutil.rmtree(wherry.root / "m")
        lay(wherry, "m", main=MAIN.replace("hello", "rewritten"))
        commit(wherry)
        wherry("rebuild", "m:1", "--fetch", code=3)
        assert "has no commit" in wherry.err

    wherry("rebuild", "m:1", "--fetch", code=3)
    assert url in wherry.err


def test_a_policy_by_real_evidence(wherry):
    """Signed, attested and rebuilt for real: each rule holds; without the source it is not known."""
    wherry("keys", "new", "--no-password", "-o", "k")
    wherry("build", "m", "-t", "m:1", "--no-vcs")
    wherry.write("p.toml", """[[rule]]
name = "reproduced"
reproduced = true

[[rule]]
name = "by us"
all = [
  { signed-by = ["k.pub"] },
  { attested = { type = "slsaprovenance1", keys = ["k.pub"] } },
  { any = [{ no-shell = true, non-root = true }, { base = ["registry.example/*"] }] },
  { not = { attested = { type = "spdxjson", keys = ["k.pub"] } } },
]
""")  # fmt: skip
    wherry("check", "m:1", "--policy", "p.toml", "--source", "nowhere", "--json", code=1)
    unknown = json.loads(wherry.out)["rules"]
    assert [one["holds"] for one in unknown] == [None, False]
    assert "nowhere" in unknown[0]["reason"]
    wherry("provenance", "m:1", "--predicate")
    wherry.write("predicate.json", wherry.out)
    wherry("sign", "--key", "k.key", "m:1")
    wherry("attest", "--key", "k.key", "--type", "slsaprovenance1", "--predicate", "predicate.json", "m:1")

    wherry("check", "m:1", "--policy", "p.toml", "--source", "m", "--json")
    found = json.loads(wherry.out)
    assert found["rules"][0]["reason"] == "a rebuild is identical"
    assert found["rules"][0]["evidence"][0].startswith("compared with rebuilt:rebuilt@sha256:")
    assert found["evidence"]["reproduced"] is True


class TestBeforeAnythingIsBuilt:
    """What can't be built again ends with 3, and Go was not started to compile."""

    def test_commit_is_gone(self, wherry):
        """A rewritten branch, or a shallow clone."""
        commit(wherry)
        wherry("build", "m", "-t", "m:1")
        lay(wherry, "n", main=MAIN.replace("hello", "another"))
        commit(wherry, "n")

        wherry("rebuild", "m:1", "--source", "n", code=3)
        assert "has no commit" in wherry.err

    def test_built_from_a_changed_tree(self, wherry):
        """Its source is in no commit."""
        commit(wherry)
        wherry.write("m/main.go", MAIN.replace("hello", "changed"))
        wherry("build", "m", "-t", "m:1")

        wherry("rebuild", "m:1", "--source", "m", code=3)
        assert "changed working tree" in wherry.err

    def test_values_are_withheld(self, wherry):
        """It asks for them."""
        wherry("build", "m", "-t", "m:1", "--ldflags", "-X main.version=s3cret-of-mine")

        wherry("rebuild", "m:1", "--source", "m", code=3)
        assert "withholds the values of main.version" in wherry.err

    def test_a_module_that_cannot_be_had(self, wherry):
        """A private module without its proxy."""
        lay(wherry, "p")
        wherry("build", "p", "-t", "p:1")
        wherry.write("p/go.mod", "module example.com/m\n\ngo 1.21\n\nrequire example.com/private v1.0.0\n")
        wherry.environment["GOPROXY"] = "off"

        wherry("rebuild", "p:1", "--source", "p", code=3)
        assert "example.com/private" in wherry.err

    def test_a_toolchain_that_cannot_be_had(self, wherry):
        """A release of Go that is neither here nor anywhere."""
        commit(wherry)
        wherry("build", "m", "-t", "m:1")
        forge(wherry, lambda recipe: recipe["go"].update(version="go1.26.99"))
        wherry.environment["GOPROXY"] = "off"

        wherry("rebuild", "evil:1", "--source", "m", code=3)
        assert "go1.26.99" in wherry.err

    def test_no_source(self, wherry):
        """It says what to give."""
        wherry("build", "m", "-t", "m:1")

        wherry("rebuild", "m:1", code=3)
        assert "no source for example.com/m" in wherry.err
        assert "--source DIR" in wherry.err

    def test_no_recipe(self, wherry):
        """An image of a Dockerfile."""
        wherry.write("d/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
        wherry("build", "d", "-t", "d:1")

        wherry("rebuild", "d:1", code=3)
        assert "has no recipe, and no Go program" in wherry.err


HOSTILE = [
    ("-toolexec=/bin/false", "-toolexec"),
    ("-overlay=o.json", "-overlay"),
    ("-modfile=other.mod", "-modfile"),
    ("-ldflags=-extld=/bin/false", "-extld"),
    ("-gcflags=-embedcfg=/etc/passwd", "-embedcfg"),
]


@pytest.mark.parametrize(("flag", "name"), HOSTILE, ids=[name for _, name in HOSTILE])
def test_flags_of_a_hostile_recipe(wherry, flag, name):
    """What an image says is no reason to start a program or to read a file."""
    wherry("build", "m", "-t", "m:1", "--no-vcs")
    forge(wherry, lambda recipe: recipe["go"].update(flags=flag))

    wherry("rebuild", "evil:1", "--source", "m", code=3)
    assert name.lstrip("-") in wherry.err


@pytest.mark.parametrize(
    ("flags", "named"),
    [("-overlay=o.json", "-overlay"), ("-modfile=o.mod", "-modfile"), ("-pgo=/etc/passwd", "-pgo"), ("'", "quotation")],
)
def test_goflags_of_a_hostile_recipe(wherry, flags, named):
    """Nor are the recipe's GOFLAGS, and a broken quote in them is no traceback."""
    wherry("build", "m", "-t", "m:1", "--no-vcs")
    forge(wherry, lambda recipe: recipe["go"].update(goflags=flags))

    wherry("rebuild", "evil:1", "--source", "m", code=3)
    assert named in wherry.err


SETTINGS = {
    "extld": "[build]\ngo-env = {{ CGO_ENABLED = '1' }}\nldflags = '-linkmode=external -extld={evil}'\n",
    "toolexec": "[build]\ngo-env = {{ GOFLAGS = '-toolexec={evil}' }}\n",
    "CC": "[build]\ngo-env = {{ CC = '{evil}', CGO_ENABLED = '1' }}\nldflags = ''\n",
    "gcflags": "[build]\ngcflags = '-embedcfg={evil}'\nldflags = ''\n",
    "ko": "builds:\n- id: m\n  ldflags: ['-linkmode=external', '-extld={evil}']\n",
}
"""What the source's settings files say, with a program of the attacker's."""


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_in_a_hostile_commit(wherry, name):
    """The image chooses the commit, so a settings file in it starts no program."""
    evil = wherry.root / "m" / "evil"
    wherry.write("m/evil", f"#!/bin/sh\ntouch {wherry.root}/pwned\nexit 1\n")
    evil.chmod(0o755)
    commit(wherry)
    wherry("build", "m", "-t", "m:1")
    wherry.write("m/.ko.yaml" if name == "ko" else "m/wherry.toml", SETTINGS[name].format(evil=evil))
    revision = commit(wherry)
    forge(wherry, lambda recipe: (recipe["module"].update(revision=revision), recipe["go"].update(withheld="main.v")))

    wherry("rebuild", "evil:1", "--source", "m", code=3)
    assert not (wherry.root / "pwned").exists()
    assert "ldflags" in wherry.err or "of the source" in wherry.err


def test_a_hostile_commit_writes_nothing_elsewhere(wherry):
    """debug-info of the commit's wherry.toml names no file of the user's."""
    wherry.write("mine", "mine")
    wherry.write("m/wherry.toml", f"[build]\ndebug-info = '{wherry.root}/mine'\n")
    commit(wherry)
    wherry("build", "m", "-t", "m:1", "--debug-info", "elsewhere")

    wherry("rebuild", "m:1", "--source", "m")
    assert (wherry.root / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% pwned", "file:///etc", "--upload-pack=touch pwned", "http://127.0.0.1:9/x;id"]
)
def test_address_of_a_hostile_image(wherry, url):
    """--fetch clones what can be an address of a repository, and runs nothing else."""
    wherry("build", "m", "-t", "m:1", "--no-vcs", "--label", f"org.opencontainers.image.source={url}")
    forge(wherry, lambda recipe: recipe["module"].update(revision="0" * 40))

    wherry("rebuild", "evil:1", "--fetch", code=3)
    assert not (wherry.root / "pwned").exists()


def forge(shell: Shell, change) -> None:
    """Store the image `m:1` as `evil:1`, with another recipe."""
    from wherry.store.contract import write_document
    from wherry.store.images import images_of

    store = shell.store
    (image,) = images_of(store, store.resolve("m:1"))
    labels = dict(image.config.runtime.labels)
    recipe = json.loads(labels["dev.wherry.recipe"])
    change(recipe)
    labels["dev.wherry.recipe"] = json.dumps(recipe)
    runtime = msgspec.structs.replace(image.config.runtime, labels=labels)
    config = msgspec.structs.replace(image.config, config=runtime)
    blob = write_document(store, image.manifest.config.media_type, config.encoded())
    manifest = msgspec.structs.replace(image.manifest, config=blob)
    store.tag("evil:1", write_document(store, image.descriptor.media_type, manifest.encoded()))


PLANTED = {
    "path-not-trimmed": (["--no-trimpath"], ["--no-trimpath"], "elsewhere"),
    "linker-flag": (["--ldflags", "-X main.version=1"], ["--ldflags", "-X main.version=2"], ""),
    "stripped": ([], ["--no-strip"], ""),
    "no-build-id": ([], ["--strip-buildid"], ""),
    "tags": ([], ["--tags", "unused"], ""),
    "microarchitecture": (["--platform", "linux/amd64"], ["--platform", "linux/amd64/v3"], ""),
    "platform": (["--platform", "linux/amd64"], ["--platform", "linux/arm64"], ""),
    "toolchain": ([], ["--go-version", "1.25.3"], ""),
    "compression": ([], ["--compression-level", "9"], ""),
    "config": ([], ["--user", "1000"], ""),
    "labels": ([], ["--label", "a=b"], ""),
    "base": ([], ["--base", "scratch"], ""),
}
"""Causes, with the options of two builds of one source and the folder that the second is in."""


@pytest.mark.parametrize("rule", PLANTED)
def test_the_planted_cause_is_named(wherry, rule):
    """Two builds that differ in one thing: that thing is the cause."""
    first, second, folder = PLANTED[rule]
    if folder:
        lay(wherry, folder)
    wherry("build", "m", "-t", "m:1", *first)
    wherry("build", folder or "m", "-t", "m:2", *second)

    found = document(wherry, "m:1", "--against", "m:2", code=1)

    (platform,) = found["platforms"]
    assert platform["cause"]["rule"] == rule, platform
    wherry("rebuild", "m:1", "--against", "m:2", code=1)
    assert f"({rule})" in wherry.out


CHANGED = {
    "go-line": {"go": "1.20"},
    "same-code": {"main": MAIN + "\n// a comment\n"},
    "source-changed": {"main": MAIN.replace('"hello"', '"hello", 1')},
    "vcs-stamp": {},
    "timestamps": {},
}


@pytest.mark.parametrize("rule", CHANGED)
def test_the_planted_change_is_named(wherry, rule):
    """Two sources that differ in one thing, built alike."""
    lay(wherry, "n", **CHANGED[rule])
    if rule == "vcs-stamp":
        commit(wherry)
    if rule == "timestamps":
        wherry.environment["SOURCE_DATE_EPOCH"] = "1000000000"
    wherry("build", "m", "-t", "m:1")
    if rule == "timestamps":
        wherry.environment["SOURCE_DATE_EPOCH"] = "1100000000"
    wherry("build", "n", "-t", "m:2")

    found = document(wherry, "m:1", "--against", "m:2", code=1)

    assert found["platforms"][0]["cause"]["rule"] == rule, found


def test_two_programs(wherry):
    """Bare files are compared too."""
    wherry("build", "m", "-t", "m:1", "--debug-info", "one")
    wherry.write("m/main.go", MAIN.replace('"hello"', '"hello", 1'))
    wherry("build", "m", "-t", "m:2", "--debug-info", "two")

    found = document(wherry, "one", "--against", "two", code=1)

    assert found["platforms"][0]["cause"]["rule"] == "source-changed"
    levels = [one["level"] for one in found["platforms"][0]["differences"]]
    assert "build id" in levels
    wherry("rebuild", "one", "--against", "one")
    assert wherry.out == "identical  one\n"


def test_entries_of_layers(wherry):
    """A changed mode, a missing file and an added one of a Dockerfile's layer: the header's field is named."""
    for number, mode in (("1", "0644"), ("2", "0600")):
        wherry.write(f"d{number}/a", "a")
        wherry.write(f"d{number}/Dockerfile", f"FROM scratch\nCOPY --chmod={mode} a /a\n")
        wherry("build", f"d{number}", "-t", f"d:{number}")

    found = document(wherry, "d:1", "--against", "d:2", code=1)

    rows = found["platforms"][0]["differences"]
    assert ["layer 1 /a mode", "420", "384"] in [[row["place"], row["before"], row["after"]] for row in rows]
    assert found["platforms"][0]["cause"]["rule"] == "permissions"

    def test_provenance_of_a_changed_tree(self, wherry):
        """A Dockerfile's provenance names the commit, and that files differed from it."""
        environment = {**wherry.environment, "CGO_ENABLED": "0"}
        argv = ["go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", "../image/app", "."]
        subprocess.run(argv, cwd=wherry.root / "m", env=environment, check=True)
        wherry.write("image/Dockerfile", "FROM scratch\nCOPY app /app\n")
        commit(wherry, "image")
        wherry.write("image/more", "changed\n")
        wherry("build", "image", "-t", "k:1", "--provenance", "--attach", "index")
        blobs = list((wherry.root / "store/blobs/sha256").iterdir())
        (statement,) = (text for text in (one.read_bytes() for one in blobs) if text.startswith(b'{"_type"'))
        (wherry.root / "p.json").write_bytes(statement)
        stated = stated_build(World(None, None, wherry.environment, wherry.root), "p.json", digests_of(statement))

        assert stated.context == folder_hash(wherry.root / "image")
        assert stated.revision.endswith("-dirty")
        wherry("rebuild", "k:1", "--source", "m", "--provenance", "p.json", code=3)
        assert "changed working tree" in wherry.err


def digests_of(statement: bytes) -> frozenset[str]:
    """Give what a statement is about."""
    return frozenset(f"sha256:{one['digest']['sha256']}" for one in json.loads(statement)["subject"])
