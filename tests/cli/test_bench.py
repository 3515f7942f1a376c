"""`wherry bench`: an image built in two ways; and the merged and split forms of Dockerfiles."""

import json
import subprocess

import pytest
from tests.cli_shell import Shell

from wherry.app.stage_bench import Spread
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.fixes.merge import CannotReshape, is_split, merged, split
from wherry.dockerfile.notes import Around
from wherry.dockerfile.parser import parse
from wherry.platform import Platform

AMD64 = Platform("linux", "amd64")
TWO = """FROM scratch AS build
WORKDIR /src
COPY . .
FROM scratch
COPY --from=build /src/d /src/d
"""


def advised(text: str) -> Advised:
    """Read a Dockerfile."""
    return Advised("Dockerfile", parse(text), Around(platform=AMD64, build_platform=AMD64), Checks())


@pytest.fixture
def shell(tmp_path):
    """A context with a source, a list of dependencies and a folder that the image has."""
    shell = Shell(tmp_path / "context")
    for name, text in {"Dockerfile": TWO, "a.py": "a\n", "requirements.txt": "b\n", "d/c": "c\n"}.items():
        shell.write(name, text)
    shell.write(".dockerignore", "store\ncache\n")
    return shell


@pytest.mark.slow
def test_stages_against_one(shell):
    """Each kind of build in each round; sizes, times and look-ups; the project, the store and the cache stay clean."""
    found = json.loads("\n".join(shell("bench", "stages", ".", "--rounds", "1", "--json")))

    separate, one = found["variants"]
    kinds = ["cold", "one line changed", "dependencies changed", "unchanged"]
    assert [separate["name"], one["name"]] == ["separate stages", "merged"]
    assert list(separate["seconds"]) == list(one["seconds"]) == kinds
    assert all(len(each["seconds"][kind]["values"]) == 1 for each in found["variants"] for kind in kinds)
    assert len(separate["pulled"]["values"]) == 4
    assert separate["pulled"]["max"] < one["pulled"]["min"]
    assert 0 < separate["unpacked"] < one["unpacked"]
    assert separate["lookup"] == separate["seconds"]["unchanged"]["median"] < separate["seconds"]["cold"]["median"]
    assert separate["start"] is None
    assert "no entry point" in separate["start_error"]
    assert found["changed"] == ["a.py", "requirements.txt"]
    assert (shell.root / "a.py").read_text() == "a\n"
    assert shell.store.tags() == {}
    assert list((shell.root / "cache").glob("bench-*")) == []


@pytest.mark.slow
def test_a_module_against_its_dockerfile(shell):
    """Without a word, the Go module is built without the Dockerfile too; text has a verdict for each row."""
    shell.module()

    lines = shell("bench", "--rounds", "1", "--starts", "0")

    assert lines[0] == "1 round, interleaved; changed: main.go, go.mod"
    assert lines[1].split() == ["Dockerfile", "Go", "module"]
    assert any(line.startswith("  cold: ") and "%" in line for line in lines)


@pytest.mark.slow
def test_another_dockerfile(shell):
    """It is built from the same context; a build that fails says which of the two it was."""
    shell.write("other", "FROM scratch\nCOPY missing /\n")

    assert shell.ended("bench", "stages", "--against", "other", "--starts", "0") == 65
    assert "other: " in shell.err
    assert shell.store.tags() == {}


def test_what_can_not_be_compared(shell):
    """Two folders, a file without stages, a file that is not there, no source to change."""
    assert shell.ended("bench", "stages", ".", ".") == 64
    assert shell.ended("bench", "--against", "x") == 64
    assert shell.ended("bench", "stages", "--against", "x") == 64
    assert shell.ended("bench", "stages", "--change", "../x") == 64
    shell.write("Dockerfile", "FROM scratch\nCOPY d /d\n")
    assert shell.ended("bench", "stages") == 65
    assert "can't be split" in shell.err


GO = 'FROM golang:1\nWORKDIR /s\nCOPY . .\nRUN CGO_ENABLED=0 go build -o /app .\nUSER 1\nENTRYPOINT ["/app"]\n'


def test_merged_and_split():
    """What COPY took of a stage is copied within the root; a single stage ships its program alone."""
    parts = split(advised(GO), GO)
    assert is_split(advised(parts))
    assert parts.endswith('FROM scratch\nCOPY --from=build ["/app", "/app"]\nWORKDIR /s\nUSER 1\nENTRYPOINT ["/app"]\n')
    assert parts.startswith("FROM golang:1 AS build\nWORKDIR /s\n")

    whole = merged(advised(parts), parts)
    assert not is_split(advised(whole))
    assert "COPY --from" not in whole
    assert "FROM golang:1\n" in whole
    other = parts.replace('["/app", "/app"]', "/app /bin/")
    assert "RUN if [ -d /app ]" in merged(advised(other), other)


def test_a_copy_of_one_path_within_one_stage(tmp_path):
    """What two stages have at one path is there already; a file and a folder elsewhere are copied."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/x").write_text("x")
    text = f"FROM a AS b\nRUN true\nFROM a\nWORKDIR {tmp_path}\nCOPY --from=b {tmp_path}/modules modules\n"
    text += f"COPY --from=b {tmp_path}/modules other\nCOPY --from=b {tmp_path}/modules/x y\n"

    lines = merged(advised(text), text).splitlines()

    for line in lines:
        if line.startswith("RUN"):
            subprocess.run(["sh", "-c", line.removeprefix("RUN ")], cwd=tmp_path, check=True)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "modules", "modules/x", "other", "other/x", "y",
    ]  # fmt: skip


def test_a_folder_without_what_is_compared(shell):
    """The hint names the other comparison, or what is missing."""
    assert shell.ended("bench") == 66
    assert "wherry bench stages" in shell.err
    shell.module()
    (shell.root / "Dockerfile").unlink()
    assert shell.ended("bench") == 66
    assert "no Dockerfile" in shell.err


@pytest.mark.parametrize(
    "text",
    [
        "FROM a AS b\nFROM c\nRUN --mount=from=b true\n",
        "FROM a AS b\nRUN true\nFROM scratch\nCOPY --from=b /x* /y\n",
        "FROM scratch AS b\nFROM scratch\nCOPY --from=b /x /y\n",
    ],
)
def test_what_has_no_merged_form(text):
    """Mounts of stages, wildcards, and copies where no shell is."""
    with pytest.raises(CannotReshape):
        merged(advised(text), text)


@pytest.mark.parametrize("old", ["CGO_ENABLED=0 ", '["/app"]', "-o /app"])
def test_what_can_not_be_split(old):
    """A program that may need a library, is started by a shell, or is not the one that is compiled."""
    text = GO.replace(old, {'["/app"]': "/app"}.get(old, ""))
    with pytest.raises(CannotReshape):
        split(advised(text), text)


def test_percentiles_are_nearest_ranks():
    """Of ten values, P50 is the fifth and P95 the tenth."""
    found = Spread(tuple(map(float, range(10, 0, -1))))
    assert (found.percentile(0.5), found.percentile(0.95), found.median) == (5.0, 10.0, 5.5)
