"""`wherry lint`, and the checks of a build."""

import io
import json
import os
import subprocess
import sys
import time

import pytest
from tests.cli_shell import Shell

from wherry.cli.main import run
from wherry.cli.world import World

GOOD = 'FROM scratch\nCOPY app /app\nENTRYPOINT ["/app"]\nUSER 65532:65532\n'


@pytest.fixture
def shell(tmp_path):
    """A folder with a Dockerfile that has one flaw."""
    shell = Shell(tmp_path)
    shell.write("Dockerfile", f"{GOOD}MAINTAINER me\n")
    return shell


def test_findings_are_lines(shell):
    """File, line, rule and message, and what mends it; exit 1."""
    first, second = shell("lint", code=1)

    assert first.startswith("Dockerfile:5: MaintainerDeprecated: Maintainer instruction is deprecated ")
    assert second.startswith("  remedy: write LABEL org.opencontainers.image.authors=")


@pytest.mark.parametrize("words", [["Dockerfile"], ["."], ["Dockerfile", "--context", "."]])
def test_a_file_or_a_folder(shell, words):
    """All of them are the same Dockerfile."""
    found = shell("lint", *words, "--json", code=1)

    assert [one["rule"] for one in json.loads("\n".join(found))] == ["MaintainerDeprecated"]


def test_standard_input(shell):
    """A Dockerfile can come by itself."""
    out = io.StringIO()
    stdin = io.TextIOWrapper(io.BytesIO(b"FROM scratch\nMAINTAINER me\n"))

    code = run(["lint", "-"], World(out, io.StringIO(), shell.environment, shell.root, stdin=stdin))

    assert code == 1
    assert out.getvalue().startswith("-:2: MaintainerDeprecated")


def test_nothing_found(shell):
    """Stdout is empty, and stderr says so; exit 0."""
    shell.write("Dockerfile", GOOD)

    assert shell("lint") == []
    assert "no findings" in shell.err
    assert json.loads("".join(shell("lint", "--json"))) == []


def test_a_file_that_is_none(shell):
    """The error has the line and what was meant; what was found above it is printed first."""
    shell.write("Dockerfile", "FROM scratch\nMAINTAINER me\nCOPPY a /\n")

    found = shell("lint", code=65)

    assert found[0].startswith("Dockerfile:2: MaintainerDeprecated")
    assert "Dockerfile:3: unknown instruction: COPPY (did you mean COPY?)" in shell.err


def test_the_ignore_file_of_the_dockerfile_wins(shell):
    """FILE.dockerignore stands for .dockerignore."""
    shell.write(".dockerignore", "app\n")
    assert any("CopyIgnoredFile" in line for line in shell("lint", code=1))

    shell.write("Dockerfile.dockerignore", "*.md\n")
    assert not any("CopyIgnoredFile" in line for line in shell("lint", code=1))


def test_arguments_platform_and_target(shell):
    """What the build would be given is taken too."""
    shell.write("Dockerfile", "ARG base\nFROM $base AS a\nFROM --platform=linux/$WHAT scratch AS b\nARG WHAT\n")

    assert any("blank" in line for line in [*shell("lint", code=65), shell.err])
    found = shell("lint", "--build-arg", "base=scratch", "--build-arg", "WHAT=arm64", "--target", "a", code=65)
    assert "UndefinedArgInFrom" in "".join(found)


def test_a_named_context_is_a_base(shell):
    """A folder sets no variables; what it replaces is not looked into."""
    shell.write("Dockerfile", "# check=skip=latest-tag\nFROM base\nENV a=$b\n")

    (line, doubt, _) = shell("lint")
    assert "UndefinedVar" in line
    assert "not available" in doubt
    assert len(shell("lint", "--build-context", "base=.", code=1)) == 2


def test_build_check(shell):
    """`wherry build --check` says the same and builds nothing."""
    assert shell("build", "--check", ".", code=1) == shell("lint", code=1)
    assert shell.store.tags() == {}


def test_a_build_can_be_held_to_its_checks(shell):
    """`# check=error=true` stops a build where something is found."""
    shell.write("Dockerfile", "# check=error=true\nFROM scratch AS a\nWORKDIR x\n")

    shell("build", "-f", "Dockerfile", ".", code=65)

    assert "lint violation found for rules: WorkdirRelativePath" in shell.err
    assert shell.store.tags() == {}


BAD = 'FROM golang:1.25 AS a\nRUN go build -a .\nFROM scratch\nUSER 1\nCOPY --from=a /a /a\nENTRYPOINT ["/a"]\n'


def test_rules_of_our_own(shell):
    """They come with BuildKit's, by line; `build --check` goes by BuildKit's alone."""
    shell.write("Dockerfile", BAD + "MAINTAINER me\n")

    found = [line.split(": ")[:2] for line in shell("lint", code=1) if line.startswith("Dockerfile:")]

    assert found == [
        ["Dockerfile:1", "unpinned-base"],
        ["Dockerfile:2", "go-rebuild-all"],
        ["Dockerfile:5", "base-cannot-start-program"],
        ["Dockerfile:7", "MaintainerDeprecated"],
    ]
    assert [line.split(": ")[1] for line in shell("build", "--check", ".", code=1)[::2]] == ["MaintainerDeprecated"]


def test_notes_alone_are_no_failure(shell):
    """Exit 0 where nothing is a warning."""
    shell.write("Dockerfile", BAD.replace(" -a ", " -installsuffix x "))

    assert any("go-installsuffix" in line for line in shell("lint"))


def test_wherry_lock_pins(shell):
    """A base with a digest in wherry.lock is no moving one."""
    shell.write("Dockerfile", "FROM golang:1.25\n")
    digest = "sha256:" + "1" * 64
    shell.write("wherry.lock", f'version = 1\n\n[bases]\n"docker.io/library/golang:1.25" = "{digest}"\n')

    assert shell("lint") == []


def test_format_json(shell):
    """The same as --json."""
    shell.write("Dockerfile", BAD)

    assert shell("lint", "--format", "json", code=1) == shell("lint", "--json", code=1)


def test_format_sarif(shell):
    """One run; each result has its rule, level, place from the checkout, and a fingerprint."""
    shell.write("deploy/Dockerfile", BAD)

    log = json.loads("\n".join(shell("lint", "deploy", "--format", "sarif", code=1)))

    assert log["version"] == "2.1.0"
    (run_,) = log["runs"]
    rules = [rule["id"] for rule in run_["tool"]["driver"]["rules"]]
    assert [(one["ruleId"], one["level"]) for one in run_["results"]] == [
        ("unpinned-base", "note"),
        ("go-rebuild-all", "warning"),
        ("base-cannot-start-program", "note"),
    ]
    assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in run_["results"])
    place = run_["results"][1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "deploy/Dockerfile", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 2}
    assert len({one["partialFingerprints"]["wherryFinding/v1"] for one in run_["results"]}) == 3


def test_format_gitlab(shell):
    """What GitLab's report needs; a fingerprint stays when lines are added above, and equal findings differ."""
    shell.write("Dockerfile", BAD)
    before = json.loads("\n".join(shell("lint", "--format", "gitlab", code=1)))
    shell.write("Dockerfile", "\n# more\n" + BAD.replace("RUN go build -a .\n", "RUN go build -a .\n" * 2))
    after = json.loads("\n".join(shell("lint", "--format", "gitlab", code=1)))

    assert [(one["check_name"], one["severity"], one["location"]) for one in before][1] == (
        "go-rebuild-all",
        "minor",
        {"path": "Dockerfile", "lines": {"begin": 2}},
    )
    assert {one["fingerprint"] for one in before} < {one["fingerprint"] for one in after}
    assert len({one["fingerprint"] for one in after}) == len(after) == 4


@pytest.mark.parametrize("form", ["json", "sarif", "gitlab"])
def test_reports_of_a_file_that_is_none(shell, form):
    """The report is whole, and has the error as a finding."""
    shell.write("Dockerfile", "FROM scratch\nCOPPY a /\n")

    report = "\n".join(shell("lint", "--format", form, code=65))

    assert json.loads(report)
    assert "COPPY" in report


def test_fixes_are_written_and_shown(shell):
    """A diff on stdout, the file in its own mode, line ends kept; a second time nothing is left to fix."""
    file = shell.root / "Dockerfile"
    file.write_bytes(b"FROM scratch\r\nCOPY app /app\r\nUSER 1\r\n\tMAINTAINER me\r\n")
    file.chmod(0o640)

    lines = shell("lint", "--fix")

    assert lines[:2] == ["--- a/Dockerfile", "+++ b/Dockerfile"]
    assert file.read_bytes().endswith(b'USER 1\r\n\tLABEL org.opencontainers.image.authors="me"\r\n')
    assert file.stat().st_mode & 0o777 == 0o640
    assert "1 fixed" in shell.err
    assert shell("lint", "--fix") == []


def test_a_dry_run_writes_nothing(shell):
    """The diff alone; exit 1 where there is one. As JSON too."""
    before = (shell.root / "Dockerfile").read_text()

    found = json.loads("\n".join(shell("lint", "--fix", "--dry-run", "--json", code=1)))

    assert (found["changed"], found["written"], found["findings"]) == (True, False, [])
    assert found["diff"].count("\n-") == 1
    assert (shell.root / "Dockerfile").read_text() == before
    assert shell("lint", "--fix", "--dry-run", code=1)[-1].startswith("+LABEL")


def test_fixes_need_a_file(shell):
    """Standard input can't be written; words that say different things are refused."""
    assert shell.ended("lint", "--fix", "-", stdin="FROM scratch\n") == 64
    assert shell.ended("lint", "--dry-run") == 64
    assert shell.ended("lint", "--fix", "--history", "3") == 64
    assert shell.ended("lint", "--fix", "--format", "sarif") == 64
    shell.write("Dockerfile", "FROM scratch\nCOPPY a /\n")
    assert shell.ended("lint", "--fix") == 65


@pytest.mark.slow
def test_nothing_found_is_replayed(shell):
    """A lint without findings loads no command the second time, and works again once a file changes."""
    shell.write("Dockerfile", GOOD)
    os.utime(shell.root, (1, 1))
    program = [sys.executable, "-X", "importtime", "-m", "wherry", "lint", "Dockerfile"]

    def lint() -> tuple[bool, int]:
        """Lint in a process of its own; give whether a command was loaded, and the exit code."""
        done = subprocess.run(
            program, check=False, cwd=shell.root, env=shell.environment, capture_output=True, text=True
        )
        assert ("no findings" in done.stderr) == (done.returncode == 0)
        return "wherry.cli.main" in done.stderr, done.returncode

    lint()
    time.sleep(0.1)  # the ticks of the clock that stamps have
    lint()
    assert lint() == (False, 0)
    shell.write(".dockerignore", "app\n")
    assert lint() == (True, 1)
