"""`wherry lint --history`: commits replayed against a Dockerfile's cache."""

import json
import os
import subprocess
from contextlib import closing

import msgspec
import pytest
from tests.cli_shell import Shell

from wherry.app.build.step_notes import StepNote
from wherry.store.results import Results

FILE = """FROM golang:1.25 AS build
WORKDIR /src
COPY go.* ./
RUN go mod download
COPY --exclude=docs . .
RUN go build -o /a .
FROM debian:13
RUN true
COPY --from=build /a /a
"""


class Checkout(Shell):
    """A folder with a git history."""

    def git(self, *words: str) -> None:
        """Run git, without the user's settings."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        subprocess.run(["git", *words], cwd=self.root, env=environment, check=True, capture_output=True)

    def commit(self, **files: str) -> None:
        """Write files, by their names with `_` for a dot and `__` for a slash, and commit them."""
        for name, text in files.items():
            self.write(name.replace("__", "/").replace("_", "."), text)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "a")

    def rebuilds(self, *words: str) -> dict[int, int]:
        """Give the rebuilds by line."""
        found = json.loads("\n".join(self("lint", "--history", "100", "--json", *words)))
        return {row["line"]: row["rebuilds"] for row in found["now"]["instructions"]}


@pytest.fixture
def shell(tmp_path):
    """A checkout with one commit that has a Dockerfile and a manifest."""
    shell = Checkout(tmp_path / "checkout")
    shell.git("init", "-q", "-b", "main")
    shell.write("Dockerfile", FILE)
    shell.commit(go_mod="a", _gitignore="store\ncache\n")
    return shell


def test_each_change_runs_what_takes_it_and_what_follows(shell):
    """Sources run the build again, a manifest the download too; what is excluded runs nothing."""
    shell.commit(main_go="a")
    shell.commit(docs__a_txt="a")
    shell.commit(go_sum="a")

    assert shell.rebuilds() == {2: 0, 3: 2, 4: 2, 5: 3, 6: 3, 8: 0, 9: 3}


def test_the_ignore_file_of_each_commit(shell):
    """A file counts as long as no commit has put it into .dockerignore."""
    shell.commit(a_md="a")
    shell.commit(_dockerignore="*.md\n.dockerignore\n")
    shell.commit(a_md="b")
    assert shell.rebuilds()[5] == 2

    shell.commit(Dockerfile_dockerignore="Dockerfile*\n")
    shell.commit(a_md="c")
    assert shell.rebuilds()[5] == 3


def test_merges_and_renames(shell):
    """A merge is one commit with what it brings; a rename takes the old name away and adds the new one."""
    shell.git("checkout", "-q", "-b", "side")
    shell.commit(b_go="a")
    shell.commit(c_go="a")
    shell.git("checkout", "-q", "main")
    shell.git("merge", "-q", "--no-ff", "-m", "a", "side")
    assert shell.rebuilds()[5] == 2

    shell.git("mv", "go.mod", "docs.mod")
    shell.commit()
    assert shell.rebuilds()[3] == 2


def test_odd_names(shell):
    """Names that git would quote count as they are."""
    (shell.root / 'go.a"\nö').write_text("a")
    shell.commit()
    (shell.root / "\x01go.x").write_text("a")
    shell.commit()

    assert shell.rebuilds()[3] == 2


def test_a_context_below_the_checkout(shell):
    """Only what is in the context counts."""
    shell.commit(app__Dockerfile="FROM scratch\nCOPY . /\n")
    shell.commit(other__a="a")
    shell.commit(app__a="a")

    assert shell.rebuilds("app") == {2: 2}


def test_binds_and_targets(shell):
    """A bind mount takes files too; stages that the target does not need are left out."""
    shell.write("Dockerfile", "FROM a AS a\nRUN --mount=type=bind,source=x,target=/x true\nFROM b\nCOPY y /\n")
    shell.commit(x__a="a")

    assert shell.rebuilds() == {4: 0}
    assert shell.rebuilds("--target", "a") == {2: 1}


def test_text(shell):
    """A line for each instruction, and how many commits there were."""
    lines = shell("lint", "--history", "100")

    assert lines[0] == "rebuilds of 1 commit; no file that Dockerfile takes is changed by 0"
    assert lines[2].split() == ["1", "100", "%", "build", "3", "COPY", "go.*", "./"]
    assert "1 of 100 commits" in shell.err


def test_a_shallow_clone_says_so(shell, tmp_path):
    """Fewer commits than asked for come with the reason."""
    shell.commit(a_go="a")
    shell.git("clone", "-q", "--depth", "1", f"file://{shell.root}", str(tmp_path / "clone"))

    clone = Checkout(tmp_path / "clone")
    clone("lint", "--history", "5")

    assert "1 of 5 commits: the clone is shallow" in clone.err


BAD = """FROM golang:1.25 AS build
WORKDIR /src
COPY . .
RUN go mod download
RUN go build -o /a .
FROM debian:13
COPY --from=build /a /a
RUN apt-get update && apt-get install -y a
"""
TIMES = {
    "[build 2/5] WORKDIR /src": 0.1,
    "[build 3/5] COPY . .": 0.5,
    "layer of [build 3/5] COPY . .": 0.5,
    "[build 4/5] RUN go mod download": 10.0,
    "[build 5/5] RUN go build -o /a .": 20.0,
    "[stage-1 3/3] RUN apt-get update && apt-get install -y a": 8.0,
}


@pytest.fixture
def bad(shell):
    """A checkout whose Dockerfile copies everything first, with four commits, and times of a build."""
    shell.write("Dockerfile", BAD)
    shell.commit(go_mod="b")
    shell.commit(a_go="a")
    shell.commit(docs__a_md="a")
    shell.commit(go_sum="a")
    notes = {name: StepNote(cached=False, missed=1.0, seconds=seconds, reasons=()) for name, seconds in TIMES.items()}
    with closing(Results(shell.root / "cache")) as results:
        scope = f"{os.path.realpath(shell.root)} Dockerfile"
        results.put_fact(f"steps of {scope}", msgspec.json.encode(notes).decode())
    return shell


def test_seconds_now_and_in_the_proposed_order(bad):
    """What steps took, times how often they run: before, after, and with fewer files in the context."""
    found = json.loads("\n".join(bad("lint", "--history", "4", "--json", code=1)))

    proposals = {one["name"]: one for one in found["proposals"]}
    assert found["now"]["seconds"] == pytest.approx(1 + 10 + 20 + 8)
    assert [row["seconds"] for row in found["now"]["instructions"]] == [0.1, 1.0, 10.0, 20.0, None, 8.0]
    order = proposals["order"]
    assert order["diff"].count("+COPY go.mod go.sum ./") == 1
    assert order["replay"]["seconds"] == pytest.approx(1 + 10 * 2 / 4 + 20)
    assert proposals["ignore"]["ignore"] == ["docs", "**/*.md"]
    assert proposals["ignore"]["replay"]["seconds"] == pytest.approx(39 * 3 / 4)
    assert proposals["order and ignore"]["replay"]["seconds"] == pytest.approx(1 * 3 / 4 + 10 * 2 / 4 + 20 * 3 / 4)


def test_an_order_that_the_history_speaks_against(bad):
    """It is a finding, with the rules of the file in formats of findings; the proposed order is none."""
    lines = bad("lint", "--history", "4", code=1)
    assert "in this order: 39.0 s a build on average now, 26.0 s so" in lines
    assert any(line.startswith("Dockerfile:3: order-against-history: 33% of the seconds") for line in lines)

    sarif = json.loads("\n".join(bad("lint", "--history", "4", "--format", "sarif", code=1)))
    rules = {one["ruleId"] for one in sarif["runs"][0]["results"]}
    assert rules >= {"order-against-history", "unread-context-files", "sources-before-dependencies"}

    moved = (
        BAD.replace("COPY . .\nRUN go mod download\n", "COPY go.mod go.sum ./\nRUN go mod download\nCOPY . .\n")
        .replace("COPY --from=build /a /a\n", "")
        .replace("-y a\n", "-y a\nCOPY --from=build /a /a\n")
    )
    bad.write("Dockerfile", moved)
    found = json.loads("\n".join(bad("lint", "--history", "4", "--json")))
    assert [one["name"] for one in found["proposals"]] == ["ignore"]


def test_what_can_not_be_replayed(shell, tmp_path):
    """No checkout, no commit, no git, a broken file: each is an error that says so."""
    other = Checkout(tmp_path / "other")
    other.write("Dockerfile", FILE)
    assert other.ended("lint", "--history", "5") != 0
    assert "not a git checkout" in other.err
    other.git("init", "-q")
    assert other.ended("lint", "--history", "5") != 0
    assert "no commits" in other.err
    assert shell.ended("lint", "--history", "0") != 0
    shell.environment["PATH"] = str(tmp_path)
    assert shell.ended("lint", "--history", "5") != 0
    assert "install git" in shell.err
    shell.write("Dockerfile", "FROM scratch\nCOPPY a /\n")
    assert shell.ended("lint", "--history", "5") == 65
    assert "Dockerfile:2" in shell.err
