"""The worst bug there could be: "nothing changed" where something had. Random edits against a build without a cache."""

import os
import random
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from needs import need
from wherry.app.build.go_work import GoRequest, GoRequests
from wherry.build.compile import GoFlags
from wherry.errors import WherryError
from wherry.host.process import SystemRunner
from wherry.pipeline import BuildSetup, build
from wherry.platform import Platform
from wherry.source.module import find_main
from wherry.store.disk import DiskStore

FILES = {
    "app/go.mod": """module example.com/app

go 1.21

require example.com/lib v0.0.0

replace example.com/lib => ../lib
""",
    "app/main.go": """package main

import (
	"embed"

	"example.com/app/inner"
	"example.com/lib"
)

//go:embed all:data
var data embed.FS

func main() {
	entries, _ := data.ReadDir("data")
	println(inner.A, lib.B, len(entries), extra)
}

var extra = 0
""",
    "app/data/a.txt": "a",
    "app/inner/inner.go": "package inner\n\nvar A = 1\n",
    "app/inner/tagged.go": "//go:build special\n\npackage inner\n\nfunc init() { A = 100 }\n",
    "lib/go.mod": "module example.com/lib\n\ngo 1.21\n",
    "lib/lib.go": "package lib\n\nvar B = 1\n",
}


@dataclass
class Project:
    """A module under edit, and the environment it is built in."""

    root: Path
    environment: dict[str, str]
    flags: GoFlags = field(default_factory=GoFlags)

    def build(self, *, cache: bool) -> tuple[str, bool]:
        """Build it; give the digest (or what is wrong) and whether nothing had changed."""
        line = BuildSetup(
            store=DiskStore(self.root / "store"),
            cache=self.root / "cache",
            runner=SystemRunner(),
            environment=self.environment,
            use_cache=cache,
        )
        try:
            request = GoRequest(
                package=find_main(self.root / "app"), names=("app:test",), platforms=(Platform("linux", "amd64"),),
                base="scratch", flags=self.flags, stamp=False,
            )  # fmt: skip
            report = build(line, GoRequests((request,))).result
        except WherryError as error:
            return type(error).__name__, False
        return report.images[0].root.digest, report.unchanged

    def call(self, *further: str) -> str:
        """Start `wherry build`, which replays a call where nothing changed; give the digest, or what is wrong."""
        environment = {
            **self.environment,
            "WHERRY_STORE": str(self.root / "store"),
            "WHERRY_CACHE": str(self.root / "cache"),
        }
        words = ["build", "--base=scratch", "--platform=linux/amd64", "-t", "app:test", "-q", *further]
        if self.flags.ldflags:
            words += ["--ldflags", self.flags.ldflags]
        program = [sys.executable, "-m", "wherry", *words]
        done = subprocess.run(
            program, check=False, cwd=self.root / "app", env=environment, capture_output=True, text=True
        )
        failures = {65: "CompileFailed", 66: "NoMainPackage"}
        return done.stdout.strip() if done.returncode == 0 else failures.get(done.returncode, done.stderr)

    def replays(self) -> int:
        """Count the calls that can be replayed."""
        return len([file for file in (self.root / "cache" / "calls").iterdir() if file.suffix != ".go"])

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def project(tmp_path):
    """The module as it is at first, with the user's Go settings out of the way."""
    need("go")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO"))}
    found = Project(tmp_path, {**environment, "GOENV": "off", "GOTOOLCHAIN": "local"})
    for name, text in FILES.items():
        found.write(name, text)
    return found


def _keep_mtime(project: Project, chance: random.Random) -> None:
    path = project.root / "lib" / "lib.go"
    before = path.stat()
    path.write_text(f"package lib\n\nvar B = {chance.randint(0, 9)}\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _swap(project: Project, chance: random.Random) -> None:
    new = project.root / "new.go"
    new.write_text(f"package inner\n\nvar A = {chance.randint(0, 9)}\n")
    new.rename(project.root / "app" / "inner" / "inner.go")


def _toggle(project: Project, name: str, text: str) -> None:
    path = project.root / name
    if path.exists():
        path.unlink()
    else:
        project.write(name, text)


def _edit_main(project: Project, chance: random.Random) -> None:
    project.write("app/main.go", FILES["app/main.go"].replace("extra = 0", f"extra = {chance.randint(0, 9)}"))


def _edit_constraint(project: Project, chance: random.Random) -> None:
    special = chance.choice(["special", "linux"])
    project.write("app/inner/tagged.go", FILES["app/inner/tagged.go"].replace("special", special))


def _add_source(project: Project, chance: random.Random) -> None:
    _toggle(project, "app/inner/more.go", f"package inner\n\nfunc init() {{ A = {chance.randint(10, 99)} }}\n")


def _edit_go_mod(project: Project, chance: random.Random) -> None:
    project.write("app/go.mod", FILES["app/go.mod"].replace("go 1.21", f"go 1.{chance.randint(21, 22)}"))


OTHER = "app/other/other.go"


def _edit_import(project: Project, chance: random.Random) -> None:
    """Import a package or not, in a file that is there anyway: no folder's names change."""
    project.write(OTHER, "package other\n\nvar C = 1\n")
    imported = 'import "example.com/app/other"\n\nfunc init() { A = other.C }\n'
    project.write("app/inner/uses.go", f"package inner\n\n{chance.choice(['', imported])}")


def _edit_pattern(project: Project, chance: random.Random) -> None:
    project.write("app/more/a.txt", "more")
    pattern = chance.choice(["all:data", "all:data more"])
    project.write("app/main.go", FILES["app/main.go"].replace("all:data", pattern))


EDITS = {
    "an import": _edit_import,
    "what may be imported": lambda p, r: p.write(OTHER, f"package other\n\nvar C = {r.randint(0, 9)}\n"),
    "a pattern of embedded files": _edit_pattern,
    "what may be embedded": lambda p, r: p.write("app/more/a.txt", r.choice("abc")),
    "a source of the program": _edit_main,
    "a source of a package": lambda p, r: p.write(
        "app/inner/inner.go", f"package inner\n\nvar A = {r.randint(0, 9)}\n"
    ),
    "a replaced module, its time kept": _keep_mtime,
    "a file put in another's place": _swap,
    "a new source": _add_source,
    "a test": lambda p, _: _toggle(p, "app/inner/inner_test.go", "package inner\n"),
    "a README": lambda p, r: p.write("app/README.md", str(r.random())),
    "an embedded file": lambda p, r: p.write("app/data/a.txt", r.choice("abc")),
    "another embedded file": lambda p, _: _toggle(p, "app/data/b.txt", "b"),
    "a hidden embedded file, deep": lambda p, _: _toggle(p, "app/data/deep/.er/c.txt", "c"),
    "a constraint": _edit_constraint,
    "tags in GOFLAGS": lambda p, r: p.environment.update(GOFLAGS=r.choice(["", "-tags=special"])),
    "linker flags": lambda p, r: setattr(p, "flags", GoFlags(ldflags=r.choice(["", "-X main.x=1"]))),
    "go.mod": _edit_go_mod,
    "a nested module": lambda p, _: _toggle(p, "app/inner/go.mod", "module example.com/app/inner\n\ngo 1.21\n"),
    "a workspace": lambda p, _: _toggle(p, "go.work", "go 1.22\n\nuse (\n\t./app\n\t./lib\n)\n"),
    "assembly": lambda p, _: _toggle(p, "app/inner/empty_amd64.s", "// nothing\n"),
    "nothing": lambda _p, _r: None,
    "times only": lambda p, _: os.utime(p.root / "app" / "main.go"),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_cached_build_is_what_a_fresh_one_is(project, seed):
    """After each random edit both give the same digest, or fail alike."""
    chance = random.Random(seed)  # noqa: S311 - edits, not secrets
    edits = list(EDITS)
    chance.shuffle(edits)
    project.build(cache=True)
    for name in edits[: len(edits) if seed == 0 else 8]:
        EDITS[name](project, chance)
        called = project.call("--no-vcs")
        cached, _ = project.build(cache=True)
        replayed = project.call("--no-vcs")
        fresh, _ = project.build(cache=False)
        assert cached == called == replayed == fresh, f"seed {seed}, after an edit of {name}"
    assert project.replays()


HEADS = {
    "an import": (
        lambda p: p.write("app/inner/uses.go", 'package inner\n\nimport "example.com/app/other"\n\nvar _ = other.C\n'),
        lambda p: p.write(OTHER, "package other\n\nvar C = 2\n\nfunc init() { println(C) }\n"),
    ),
    "an embedded file": (
        lambda p: p.write("app/main.go", FILES["app/main.go"].replace("all:data", "all:data more")),
        lambda p: p.write("app/more/a.txt", "changed"),
    ),
    "a constraint": (
        lambda p: p.write("app/inner/only.go", "package inner\n\nfunc init() { A++ }\n"),
        lambda p: p.write("app/inner/only.go", "package inner\n\nfunc init() { A += 2 }\n"),
    ),
    "another import in its place": (
        lambda p: p.write("app/inner/uses.go", 'package inner\n\nimport "example.com/app/third"\n\nvar _ = third.D\n'),
        lambda p: p.write("app/third/third.go", "package third\n\nvar D = 2\n\nfunc init() { println(D) }\n"),
    ),
    "a body, and what it had brought in": (
        lambda p: p.write("app/main.go", FILES["app/main.go"].replace("extra = 0", "extra = 7")),
        lambda p: p.write("app/data/a.txt", "z"),
    ),
}
"""Edits of what decides which files are read, each with an edit of a file that only then counts."""


@pytest.mark.slow
def test_what_an_edit_brings_in_is_read_from_then_on(project):
    """The list of files is taken over where only bodies changed; where more did, the next edit must be seen too."""
    project.write("app/inner/uses.go", "package inner\n")
    project.write("app/inner/only.go", "//go:build never\n\npackage inner\n\nfunc init() { A++ }\n")
    project.write(OTHER, "package other\n\nvar C = 1\n")
    project.write("app/third/third.go", "package third\n\nvar D = 1\n")
    project.write("app/more/a.txt", "more")
    project.build(cache=True)
    project.write("app/main.go", FILES["app/main.go"].replace("extra = 0", "extra = 5"))  # only its body
    project.build(cache=True)
    for name, edits in HEADS.items():
        for edit in edits:
            edit(project)
            time.sleep(0.03)  # else it counts as made while the compiler runs, and nothing is taken over
            called = project.call("--no-vcs")
            cached, _ = project.build(cache=True)
            assert called == cached == project.build(cache=False)[0], name


def _git(project: Project, *words: str) -> None:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(project.root))
    subprocess.run([*git, *words], check=True, capture_output=True)


COMMITS = {
    "an untracked file": lambda p: p.write("NOTES", "new"),
    "a commit": lambda p: (_git(p, "add", "."), _git(p, "commit", "-qm", "two")),
    "an ignored file": lambda p: p.write("ignored", "new"),
    "a modified file": lambda p: p.write("NOTES", "newer"),
    "the file as it was": lambda p: _git(p, "checkout", "-q", "NOTES"),
    "another branch": lambda p: _git(p, "checkout", "-qb", "other"),
    "a tag": lambda p: _git(p, "tag", "v1.2.3"),
    "a remote": lambda p: _git(p, "remote", "add", "origin", "https://git.example.com/a/b"),
    "a nearer checkout": lambda p: subprocess.run(["git", "init", "-q", str(p.root / "app")], check=True),
    "no checkout": lambda p: [(p.root / name).rename(p.root / "gone" / str(at)) for at, name in enumerate(CHECKOUTS)],
}
CHECKOUTS = (".git", "app/.git")


@pytest.mark.slow
def test_a_replayed_call_says_what_git_says_now(project):
    """Commits, branches, tags, remotes and other checkouts go to labels: each call gives what a fresh build gives."""
    need("git")
    project.write(".gitignore", "store\ncache\nignored\ngone\n")
    project.write("gone/.keep", "")
    project.environment["GIT_CONFIG_GLOBAL"] = os.devnull
    _git(project, "init", "-q")
    _git(project, "add", ".")
    _git(project, "commit", "-qm", "one")
    for name, edit in COMMITS.items():
        edit(project)
        assert project.call() == project.call() == project.call("--no-cache"), f"after {name}"
    assert project.replays()


@pytest.mark.slow
def test_nothing_changed_is_said_where_it_is_so(project):
    """The second build does nothing, also after a touch and an unrelated file."""
    first, _ = project.build(cache=True)
    project.build(cache=True)  # the first came so soon after the sources that it could not trust their times

    assert project.build(cache=True) == (first, True)
    os.utime(project.root / "app" / "main.go")
    project.write("app/README.md", "words")
    project.write("app/inner/inner_test.go", "package inner\n")
    assert project.build(cache=True) == (first, True)


@pytest.mark.slow
def test_an_edit_while_the_compiler_runs_is_seen_next_time(project, monkeypatch):
    """The compiler may have read the old text: the next build may not trust the record."""

    class Editing(SystemRunner):
        def run(self, command):
            outcome = super().run(command)
            if "build" in command.argv:
                project.write("app/inner/inner.go", "package inner\n\nvar A = 77\n")
            return outcome

    line = BuildSetup(
        store=DiskStore(project.root / "store"),
        cache=project.root / "cache",
        runner=Editing(),
        environment=project.environment,
    )
    request = GoRequest(
        package=find_main(project.root / "app"), names=("app:test",), platforms=(Platform("linux", "amd64"),),
        base="scratch", stamp=False,
    )  # fmt: skip
    build(line, GoRequests((request,)))

    cached, unchanged = project.build(cache=True)

    assert not unchanged
    assert cached == project.build(cache=False)[0]


@pytest.mark.slow
def test_a_commit_changes_only_a_program_that_reads_it(project):
    """VCS facts go to labels; the program is compiled anew only where it would show them."""
    need("git")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(project.root)]
    reading = (
        FILES["app/main.go"]
        .replace('"embed"', '"embed"\n\t"runtime/debug"')
        .replace("println(", "info, _ := debug.ReadBuildInfo()\n\tprintln(info.String(), ")
    )
    project.write(".gitignore", "store\ncache\n")
    for text, changes in ((FILES["app/main.go"], False), (reading, True)):
        project.write("app/main.go", text)
        subprocess.run([*git, "init", "-q"], check=True)
        layers = []
        for commit in ("one", "two"):
            project.write("NOTES", commit)
            subprocess.run([*git, "add", "."], check=True)
            subprocess.run([*git, "commit", "-qm", commit], check=True)
            line = BuildSetup(
                store=DiskStore(project.root / "store"),
                cache=project.root / "cache",
                runner=SystemRunner(),
                environment=project.environment,
            )
            request = GoRequest(
                package=find_main(project.root / "app"),
                names=("app:test",),
                platforms=(Platform("linux", "amd64"),),
                base="scratch",
            )
            image = build(line, GoRequests((request,))).result.images[0].platforms[0]
            labels = image.image.config.runtime.labels
            assert labels["org.opencontainers.image.revision"] in image.image.config.runtime.labels["dev.wherry.recipe"]
            layers.append(image.own[-1].diff_id)
        assert (layers[0] != layers[1]) is changes


@pytest.mark.slow
def test_modules_fetched_by_the_first_build_are_trusted_by_the_second(project):
    """Go unpacks them during the first build; that is no change of the user's."""
    proxy = project.root / "proxy" / "example.com" / "far" / "@v"
    proxy.mkdir(parents=True)
    (proxy / "v1.0.0.info").write_text('{"Version":"v1.0.0"}')
    (proxy / "v1.0.0.mod").write_text("module example.com/far\n\ngo 1.21\n")
    with zipfile.ZipFile(proxy / "v1.0.0.zip", "w") as archive:
        archive.writestr("example.com/far@v1.0.0/go.mod", "module example.com/far\n\ngo 1.21\n")
        archive.writestr("example.com/far@v1.0.0/far.go", "package far\n\nvar F = 5\n")
    project.write("app/go.mod", FILES["app/go.mod"].replace("require", "require example.com/far v1.0.0\n\nrequire"))
    project.write("app/far.go", 'package main\n\nimport "example.com/far"\n\nfunc init() { extra = far.F }\n')
    project.environment |= {
        "GOPROXY": f"file://{project.root / 'proxy'}",
        "GOMODCACHE": str(project.root / "modules"),
        "GOFLAGS": "-mod=mod -modcacherw",
        "GONOSUMDB": "example.com",
    }
    subprocess.run(["go", "mod", "tidy"], cwd=project.root / "app", env=project.environment, check=True)
    subprocess.run(["go", "clean", "-modcache"], cwd=project.root / "app", env=project.environment, check=True)

    first, _ = project.build(cache=True)

    assert first.startswith("sha256:")
    assert project.build(cache=True) == (first, True)
