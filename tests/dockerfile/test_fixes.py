"""`wherry lint --fix`: what each rule's fix writes, and that nothing else changes."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.dockerfile.advice.advise import advise
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.fixes.apply import FIXABLE, FixedDockerfile, fix
from wherry.dockerfile.fixes.words import raw_commands
from wherry.dockerfile.fixes.written import split_lines
from wherry.dockerfile.lint import lint
from wherry.dockerfile.notes import Around
from wherry.dockerfile.parser import parse
from wherry.platform import Platform

AMD64 = Platform("linux", "amd64")
AROUND = Around(platform=AMD64, build_platform=AMD64)
CASES = Path(__file__).parents[1] / "cases"
CONTEXT = {"go.mod": b"module example.com/a\n", "go.sum": b""}
GO = "FROM golang:1.25\n"
APT = "FROM debian:13\nRUN apt-get update && apt-get install -y a"


def fixed(text: str, context: dict[str, bytes] = CONTEXT) -> FixedDockerfile:
    """Fix a text."""
    return fix(
        text,
        AROUND,
        lambda text: (*lint("D", text, AROUND).findings, *advise("D", text, AROUND)),
        context.get,
    )


PAIRS = {
    "StageNameCasing": ("FROM a:1 AS Build\n", "FROM a:1 AS build\n"),
    "FromAsCasing": ("FROM a:1 as b\n", "FROM a:1 AS b\n"),
    "ConsistentInstructionCasing": ("from a:1 as b\nRUN c\nRUN d\n", "FROM a:1 AS b\nRUN c\nRUN d\n"),
    "NoEmptyContinuation": ("FROM a:1\nRUN b \\\n\n\t# c\n\td\n", "FROM a:1\nRUN b \\\n\t# c\n\td\n"),
    "MaintainerDeprecated": (
        "FROM a:1\nMAINTAINER 'A B <a@b>'\n",
        'FROM a:1\nLABEL org.opencontainers.image.authors="A B <a@b>"\n',
    ),
    "LegacyKeyValueFormat": ("FROM a:1\nENV A  b c\nENV D /e\n", 'FROM a:1\nENV A="b c"\nENV D=/e\n'),
    "RedundantTargetPlatform": ("FROM --platform=$TARGETPLATFORM a:1\n", "FROM a:1\n"),
    "ExposeProtoCasing": ("FROM a:1\nEXPOSE 80/TCP 53/udp\n", "FROM a:1\nEXPOSE 80/tcp 53/udp\n"),
    "MultipleInstructionsDisallowed": ('FROM a:1\nCMD ["b"]\nCMD ["c"]\n', 'FROM a:1\nCMD ["c"]\n'),
    "base-has-no-shell": (
        "FROM scratch\nUSER 1\nCOPY a /a\nCMD /a --b=c\n",
        'FROM scratch\nUSER 1\nCOPY a /a\nCMD ["/a", "--b=c"]\n',
    ),
    "go-rebuild-all": (GO + "RUN go build -a -o b .\n", GO + "RUN go build -o b .\n"),
    "go-installsuffix": (
        GO + "RUN CGO_ENABLED=0 go build \\\n    -installsuffix cgo \\\n    .\n",
        GO + "RUN CGO_ENABLED=0 go build \\\n    .\n",
    ),
    "go-strip-twice": (GO + 'RUN go build -ldflags="-w  -s" .\n', GO + 'RUN go build -ldflags="-s" .\n'),
    "go-empty-build-id": (GO + "RUN go build -ldflags '-buildid=' .\n", GO + "RUN go build .\n"),
    "go-static-without-cgo": (
        GO + "RUN CGO_ENABLED=0 go build -ldflags '-s -extldflags \"-static\"' .\n",
        GO + "RUN CGO_ENABLED=0 go build -ldflags '-s' .\n",
    ),
    "go-linker-z": (GO + "RUN go build \\\n -ldflags=-z\n", GO + "RUN go build\n"),
    "apt-lists-left": (f"{APT}\n", f"{APT} && rm -rf /var/lib/apt/lists/*\n"),
    "apt-cache-mount-missing": (
        "FROM debian:13\nRUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install a\n",
        (
            "FROM debian:13\nRUN --mount=type=cache,target=/var/cache/apt,sharing=locked "
            "--mount=type=cache,target=/var/lib/apt apt-get update && apt-get install a\n"
        ),
    ),
    "sources-before-dependencies": (
        GO + "WORKDIR /a\n# All of it\nCOPY --chown=1 . .\nENV A=b\nRUN go mod download\nRUN go build\n",
        GO + "WORKDIR /a\nCOPY --chown=1 go.mod go.sum ./\nENV A=b\nRUN go mod download\n"
        "# All of it\nCOPY --chown=1 . .\nRUN go build\n",
    ),
}


@pytest.mark.parametrize("rule", PAIRS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_a_fix_writes(rule, end):
    """The lines that change are those of the finding; ends of lines stay."""
    before, after = (text.replace("\n", end) for text in PAIRS[rule])

    found = fixed(before)

    assert found.text == after
    assert {one.rule for one in found.fixed} == {rule}
    assert rule not in {one.rule for one in found.left}


def test_every_fix_is_tried():
    """Each rule with a fix has a pair."""
    assert set(PAIRS) == FIXABLE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "FROM debian:13\nRUN <<EOF\n\tset -eux\n\tapt-get update\n\tapt-get install a\nEOF\n",
            (
                "FROM debian:13\nRUN <<EOF\n\tset -eux\n\tapt-get update\n\tapt-get install a\n"
                "\trm -rf /var/lib/apt/lists/*\nEOF\n"
            ),
        ),
        (
            "FROM debian:13\nRUN apt-get update \\\n\t&& apt-get install \\\n\t\ta",
            (
                "FROM debian:13\nRUN apt-get update \\\n\t&& apt-get install \\\n\t\ta \\\n"
                "\t&& rm -rf /var/lib/apt/lists/*"
            ),
        ),
        (
            GO + "RUN <<-EOF\n\tgo build \\\n\t\t-a \\\n\t\t-o b\n\tEOF\n",
            GO + "RUN <<-EOF\n\tgo build \\\n\t\t-o b\n\tEOF\n",
        ),
        (GO + "RUN go build -o b \\\n  # c\n  -a\nRUN d\n", GO + "RUN go build -o b\n  # c\nRUN d\n"),
        ("# escape=`\n" + GO + "RUN go build `\n  -a `\n  .\n", "# escape=`\n" + GO + "RUN go build `\n  .\n"),
        ("\ufeff" + GO + "RUN go build -a\n", "\ufeff" + GO + "RUN go build\n"),
        (GO + "RUN go build -a && go test -a ./... ; echo -a\n", GO + "RUN go build && go test ./... ; echo -a\n"),
        ("FROM a:1\nCMD b \\\n c\n# d\nCMD e\n", "FROM a:1\n# d\nCMD e\n"),
    ],
)
def test_shapes(before, after):
    """Heredocs, continued lines, comments in between, other escapes, a byte order mark, several commands."""
    assert fixed(before).text == after


@pytest.mark.parametrize(
    "text",
    [
        f"{APT} || true # why\n",
        f"{APT} &\n",
        "FROM debian:13\nRUN apt-get update\nRUN apt-get install -y a && rm -rf /var/lib/apt/lists/*\n",
        "FROM debian:13\nRUN <<EOF\napt-get update\napt-get install a\nEOF\n",
        "FROM debian:13 AS a\nRUN apt-get update\nFROM a\nRUN apt-get install b\n",
        GO + 'RUN ["sh", "-c", "go build -a"]\n',
        GO + "ENV GOFLAGS=-a\nRUN go build\n",
        GO + "COPY . .\nRUN go mod download && go build\n",
        GO + "COPY . .\nWORKDIR /b\nRUN go mod download\n",
        "FROM node:22\nCOPY . .\nRUN npm ci\n",
        'FROM scratch\nUSER 1\nCOPY a /a\nCMD /a "$B"\n',
        "FROM scratch\nUSER 1\nCOPY a /a\nCMD exec /a\n",
        "FROM a:1\nENV A b 'c d'\n",
        'FROM a:1\nMAINTAINER A "B" $C\n',
    ],
)
def test_what_is_left_alone(text):
    """What could build something else stays, finding and all."""
    found = fixed(text)

    assert found.text == text
    assert found.fixed == ()
    assert found.left


def test_a_module_with_local_replacements():
    """Its download needs more than go.mod and go.sum; so does one without a go.mod in the context."""
    text = GO + "COPY . .\nRUN go mod download\n"

    assert fixed(text, {"go.mod": b"module a\nreplace b => ../b\n"}).text == text
    assert fixed(text, {}).text == text


def texts() -> list[str]:
    """Give all Dockerfiles that there are cases of."""
    found = [file.read_text() for file in sorted((CASES / "dockerfiles").glob("*.Dockerfile"))]
    for name in ("checks", "syntax"):
        table = tomllib.loads((CASES / f"{name}.toml").read_text())
        found += [row["text"] for row in table["case"] if "text" in row]
    return found


def test_all_cases():
    """Each file is built from the same instructions afterwards, ends as it did, and has nothing more to fix."""
    tried = 0
    for text in texts():
        try:
            before = parse(text)
        except DockerfileError:
            continue
        tried += 1
        found = fixed(text)
        assert len(parse(found.text).stages) == len(before.stages)
        assert fixed(found.text).text == found.text
        kept = set(split_lines(found.text))
        changed = [line for line in split_lines(text) if line not in kept]
        assert bool(changed) <= bool(found.fixed)
        if "\r" not in text:
            assert fixed(text.replace("\n", "\r\n")).text.replace("\r\n", "\n") in (found.text, text)
    assert tried > 60


PIECES = st.sampled_from(
    ["FROM a:1 AS B\n", "RUN go build -a \\\n", "\t-ldflags='-s -w'\n", "\r\n", " \\\n", "# c\n", "RUN <<EOF\n",
     "EOF\n",
     "apt-get update\n", "set -e\n", "ENV A b\n", "CMD a\n", "'", '"', "$(", "`", "-a ", "COPY . .\n", "\\"]
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(PIECES, max_size=14).map(lambda pieces: "FROM golang:1.25\n" + "".join(pieces)))
def test_any_file(text):
    """A file that parses still does, as many stages as before; words lie where they say."""
    try:
        before = parse(text)
    except DockerfileError:
        return
    found = fixed(text)

    assert len(parse(found.text).stages) == len(before.stages)
    assert all(text[word.start : word.end] == word.text for words in raw_commands(text) for word in words)
