"""wherry's own lint rules: where each is given and where not; real-looking files give no false alarm."""

from dataclasses import replace
from pathlib import Path

import pytest

from wherry.dockerfile.advice.advise import advise
from wherry.dockerfile.advice.rules import ADVICE
from wherry.dockerfile.advice.shell import commands_of
from wherry.dockerfile.instructions import CommandLine
from wherry.dockerfile.lint import lint
from wherry.dockerfile.notes import Around, Base
from wherry.dockerfile.syntax import Heredoc
from wherry.finding import Severity
from wherry.platform import Platform

AMD64 = Platform("linux", "amd64")
AROUND = Around(platform=AMD64, build_platform=AMD64)
REAL = sorted((Path(__file__).parents[1] / "cases/dockerfiles").glob("*.Dockerfile"))
DIGEST = "@sha256:" + "1" * 64
GO = f"FROM golang:1.25{DIGEST} AS build\n"
SCRATCH = "FROM scratch\n"
STATIC = f"FROM gcr.io/distroless/static-debian12:nonroot{DIGEST}\n"
DEBIAN = f"FROM debian:13{DIGEST}\n"
ALPINE = f"FROM alpine:3.22{DIGEST}\n"


def found(text: str, around: Around = AROUND) -> list[tuple[str, int]]:
    """Give the rules that a file breaks, with their lines."""
    return [(one.rule, int(one.place.rpartition(":")[2])) for one in advise("Dockerfile", text, around)]


def severities(text: str, rule: str, around: Around = AROUND) -> list[Severity]:
    """Give how much each finding of a rule matters."""
    return [one.severity for one in advise("Dockerfile", text, around) if one.rule == rule]


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.stem)
def test_no_false_alarm(file):
    """Files written after the patterns of known projects give notes at most."""
    text = file.read_text()
    assert lint(file.name, text, AROUND).error is None

    assert [one for one in advise(file.name, text, AROUND) if one.severity is not Severity.NOTE] == []


def test_there_are_forty_of_them():
    """A set that lost its files would prove nothing."""
    assert len(REAL) >= 40


GIVEN = [
    ("latest-tag", "FROM debian\n", 1),
    ("latest-tag", "ARG V=latest\nFROM localhost:5000/debian:$V\n", 2),
    ("latest-tag", "FROM scratch\nCOPY --from=tools/uv:latest /uv /uv\n", 2),
    ("unpinned-base", "FROM debian:13\n", 1),
    ("root-user", SCRATCH + 'USER 0:0\nCMD ["/a"]\n', 2),
    ("root-user", SCRATCH + 'CMD ["/a"]\n', 1),
    ("root-user", 'FROM scratch AS a\nUSER root\nFROM a\nCMD ["/a"]\n', 2),
    ("build-tools-in-final-stage", GO + 'RUN go build -o /a .\nCMD ["/a"]\n', 2),
    ("build-tools-in-final-stage", DEBIAN + 'RUN apt-get install -y gcc\nRUN pip install -r r\nCMD ["a"]\n', 2),
    ("build-tools-in-final-stage", ALPINE + 'RUN ["apk", "add", "build-base"]\nRUN npm ci\nCMD ["a"]\n', 2),
    ("build-tools-in-final-stage", GO + "RUN CGO_ENABLED=0 go build .\nFROM scratch\nCOPY --from=build / /\n", 4),
    ("build-tools-in-final-stage", GO + DEBIAN + "COPY --from=build /go/pkg /go/pkg\n", 3),
    ("secret-in-arg-or-env", SCRATCH + "ENV PGPASSWORD=hunter2\n", 2),
    ("secret-in-arg-or-env", SCRATCH + "ARG accessToken\n", 2),
    ("secret-in-arg-or-env", "ARG DB_PASS\n" + SCRATCH, 1),
    ("secret-in-arg-or-env", SCRATCH + "ENV DSN=postgres://web:hunter2@db/web\n", 2),
    ("secret-in-arg-or-env", SCRATCH + "LABEL note=ghp_" + "a1B2" * 9 + "\n", 2),
    ("secret-in-arg-or-env", DEBIAN + "RUN curl -H 'X-Key: AKIA" + "ABCDEFGH" * 2 + "' x\n", 2),
    ("go-rebuild-all", GO + "RUN go build -a .\n", 2),
    ("go-rebuild-all", GO + "ENV GOFLAGS=-a\nRUN go install ./...\n", 3),
    ("go-installsuffix", GO + "RUN go build -installsuffix cgo .\n", 2),
    ("go-static-without-cgo", GO + "ENV CGO_ENABLED=0\nRUN go build -ldflags '-extldflags \"-static\"' .\n", 3),
    ("go-static-without-cgo", GO + "RUN export CGO_ENABLED=0; go build -ldflags=-extldflags=-static .\n", 2),
    ("go-strip-twice", GO + 'RUN go build -ldflags="-w -s" .\n', 2),
    ("go-strip-twice", GO + "RUN <<EOF\ngo build \\\n  -ldflags '-s -w' .\nEOF\n", 2),
    ("go-empty-build-id", GO + 'RUN go build -ldflags="-s -buildid=" .\n', 2),
    ("go-linker-z", GO + 'RUN ["/bin/sh", "-c", "go build -ldflags=-z ."]\n', 2),
    ("base-cannot-start-program", GO + f"RUN CGO_ENABLED=1 go build -o /a .\n{STATIC}COPY --from=build /a /a\n", 4),
    ("base-cannot-start-program", GO + f"RUN CGO_ENABLED=1 go build -o /a .\n{ALPINE}COPY --from=0 /a /a\n", 4),
    ("base-cannot-start-program", GO + "RUN go build -o /a .\nFROM scratch\nCOPY --from=build /a /a\n", 4),
    (
        "base-cannot-start-program",
        "FROM rust:1.88 AS b\nRUN cargo build --release\nFROM scratch\nCOPY --from=b /t/release/a /a\n",
        4,
    ),
    (
        "base-cannot-start-program",
        f"FROM golang:1.25-alpine AS b\nENV CGO_ENABLED=1\nRUN go build -o a .\n{DEBIAN}COPY --from=b /go/a /a\n",
        5,
    ),
    ("base-has-no-shell", SCRATCH + "COPY a /a\nCMD /a --port 80\n", 3),
    ("base-has-no-shell", STATIC + "ENTRYPOINT /a\n", 2),
    ("apt-lists-left", DEBIAN + "RUN apt-get update && apt-get install -y curl\n", 2),
    ("apt-lists-left", DEBIAN + "RUN apt-get update\nRUN apt-get install -y a && rm -rf /var/lib/apt/lists/*\n", 2),
    ("apt-lists-left", f"FROM debian:13{DIGEST} AS a\nRUN apt-get -q update\nFROM a\n", 2),
    (
        "apt-cache-mount-missing",
        DEBIAN + "RUN --mount=type=cache,target=/var/cache/apt apt-get update && apt-get install -y a\n",
        2,
    ),
    (
        "apt-cache-mount-missing",
        DEBIAN + "RUN --mount=type=cache,target=/var/lib/apt/lists apt update && apt install -y a\n",
        2,
    ),
    ("sources-before-dependencies", GO + "COPY . .\nRUN go mod download\n", 3),
    ("sources-before-dependencies", "FROM node:22\nADD ./ /a\nRUN cd /a && npm ci && npm run build\n", 3),
    ("sources-before-dependencies", "FROM python:3.13\nCOPY . .\nRUN python3 -m pip install -r requirements.txt\n", 3),
    ("sources-before-dependencies", "FROM rust:1.88\nCOPY . .\nRUN cargo fetch --locked\n", 3),
]


@pytest.mark.parametrize(("rule", "text", "line"), GIVEN, ids=[f"{one[0]}-{n}" for n, one in enumerate(GIVEN)])
def test_given(rule, text, line):
    """A rule is given at the line of the instruction that breaks it, once."""
    assert found(text).count((rule, line)) == 1
    assert [one for one in found(text) if one[0] == rule] == [(rule, line)]


NOT_GIVEN = [
    ("latest-tag", "FROM debian:13\n"),
    ("latest-tag", f"FROM debian:latest{DIGEST}\n"),
    ("latest-tag", "FROM scratch AS debian\nFROM debian\nCOPY --from=debian /a /a\nCOPY --from=0 /b /b\n"),
    ("unpinned-base", f"FROM debian:13{DIGEST}\n"),
    ("unpinned-base", "FROM scratch AS a\nFROM a\n"),
    ("root-user", SCRATCH + 'USER 1000\nCMD ["/a"]\n'),
    ("root-user", STATIC + 'CMD ["/a"]\n'),
    ("root-user", SCRATCH + "COPY a /\n"),
    ("root-user", DEBIAN + 'USER root\nRUN gosu nobody true\nCMD ["a"]\n'),
    ("build-tools-in-final-stage", GO + f'RUN go build -o /a .\n{DEBIAN}COPY --from=build /a /a\nCMD ["/a"]\n'),
    ("build-tools-in-final-stage", GO + "RUN go install example.com/tool@v1\n"),
    (
        "build-tools-in-final-stage",
        ALPINE + 'RUN apk add --virtual .b gcc && pip install -r r && apk del .b\nCMD ["a"]\n',
    ),
    ("secret-in-arg-or-env", SCRATCH + "ENV PGPASSWORD= TOKENS=5 NO_PASSWORD=x PASSWORDFILE=/run/x\n"),
    ("secret-in-arg-or-env", SCRATCH + "ENV DB_PASS_FILE=/run/secrets/a USE_PAT=true PWD=/a\n"),
    ("secret-in-arg-or-env", SCRATCH + "ENV URL=https://example.org:8443/a@b\n"),
    ("secret-in-arg-or-env", SCRATCH + "ARG API_TOKEN\n"),  # BuildKit's check sees it
    ("go-rebuild-all", GO + "RUN go build -asmflags=-a -o /a . && tar -a -cf b.tar .\n"),
    ("go-rebuild-all", GO + "RUN echo 'go build -a'\n# RUN go build -a\n"),
    ("go-static-without-cgo", GO + "RUN CGO_ENABLED=1 go build -ldflags '-extldflags -static' .\n"),
    ("go-strip-twice", GO + "RUN go build -ldflags=-s . && go build -ldflags=-w .\n"),
    ("go-strip-twice", GO + "RUN go build -ldflags '-s -X main.flag=-w' .\n"),
    ("go-empty-build-id", GO + 'RUN go build -ldflags="-buildid=abc" .\n'),
    ("go-linker-z", GO + "RUN CGO_ENABLED=1 go build -ldflags '-extldflags \"-z now\"' .\n"),
    ("base-cannot-start-program", GO + f"RUN CGO_ENABLED=0 go build -o /a .\n{STATIC}COPY --from=build /a /a\n"),
    ("base-cannot-start-program", GO + f"RUN CGO_ENABLED=1 go build -o /a .\n{STATIC}COPY --from=build /etc/b /b\n"),
    ("base-cannot-start-program", GO + f"RUN CGO_ENABLED=1 go build -o /a .\n{DEBIAN}COPY --from=build /a /a\n"),
    (
        "base-cannot-start-program",
        GO
        + "RUN CGO_ENABLED=1 go build -o /a .\nFROM scratch\nCOPY --from=build /lib64 /lib64\nCOPY --from=build /a /\n",
    ),
    (
        "base-cannot-start-program",
        "FROM rust:1.88 AS b\nRUN cargo build --target x86_64-unknown-linux-musl\nFROM scratch\nCOPY --from=b /a /a\n",
    ),
    ("base-has-no-shell", DEBIAN + "CMD a\n"),
    ("base-has-no-shell", "FROM scratch\nADD root.tar /\nCMD a\n"),
    ("base-has-no-shell", "FROM gcr.io/distroless/base:debug\nCMD a\n"),
    ("apt-lists-left", GO + "RUN apt-get update && apt-get install -y git\nFROM scratch\nCOPY --from=build /a /a\n"),
    ("apt-lists-left", DEBIAN + "RUN --mount=type=cache,target=/var/lib/apt apt-get update\n"),
    ("apt-lists-left", DEBIAN + "RUN apt-get update; apt-get install -y a; apt-get dist-clean\n"),
    ("apt-lists-left", DEBIAN + "RUN apt-get update; apt-get install -y a; /build/cleanup.sh\n"),
    (
        "apt-cache-mount-missing",
        DEBIAN
        + "RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt apt-get install -y a\n",
    ),
    ("apt-cache-mount-missing", DEBIAN + "RUN --mount=type=cache,target=/root/.cache apt-get install -y a\n"),
    ("sources-before-dependencies", GO + "COPY go.* ./\nRUN go mod download\nCOPY . .\nRUN go build .\n"),
    ("sources-before-dependencies", GO + "COPY . .\nRUN --mount=type=cache,target=/go/pkg/mod go mod download\n"),
    ("sources-before-dependencies", GO + "FROM node:22\nCOPY --from=build . .\nRUN npm ci\n"),
    ("sources-before-dependencies", "FROM python:3.13\nCOPY . .\nRUN pip install . && pip install gunicorn\n"),
    ("sources-before-dependencies", "FROM node:22\nCOPY . .\nRUN npm install -g serve && npm run build\n"),
]


@pytest.mark.parametrize(("rule", "text"), NOT_GIVEN, ids=[f"{one[0]}-{n}" for n, one in enumerate(NOT_GIVEN)])
def test_not_given(rule, text):
    """What resembles a broken rule and is none is left alone."""
    assert lint("Dockerfile", text, AROUND).error is None
    assert rule not in dict(found(text))


def test_every_rule_is_tried_both_ways():
    """Each has a file that breaks it and one that does not."""
    assert {one[0] for one in GIVEN} == set(ADVICE)
    assert {one[0] for one in NOT_GIVEN} >= set(ADVICE) - {"go-installsuffix"}


def test_what_may_not_be_so_is_a_note():
    """A program that is only dynamic if it imports net, and a base that may set a user."""
    unsure = GO + "RUN go build -o /a .\nFROM scratch\nCOPY --from=build /a /a\n"
    assert severities(unsure, "base-cannot-start-program") == [Severity.NOTE]
    assert severities(unsure.replace("RUN ", "RUN CGO_ENABLED=1 "), "base-cannot-start-program") == [Severity.WARNING]
    assert severities(DEBIAN + 'CMD ["a"]\n', "root-user") == [Severity.NOTE]


def test_the_user_of_a_base_that_is_at_hand():
    """Its config says whether root is what starts."""
    base = Base(platform=AMD64, env={}, own_shell=False, user="1000")
    text = DEBIAN + 'CMD ["a"]\n'

    assert found(text, replace(AROUND, base=lambda *_: base)) == []
    assert found(text, replace(AROUND, base=lambda *_: replace(base, user="0:0"))) == [("root-user", 1)]


def test_locked_bases_are_pinned():
    """A digest in wherry.lock pins as one in the file does."""
    locked = replace(AROUND, pinned=lambda name: name == "debian")

    assert found("FROM debian\n", locked) == []
    assert found("FROM debian:13\n", locked) == [("unpinned-base", 1)]


def test_rules_are_left_out():
    """The file's directive, a comment above an instruction, and `all` hold for these rules too."""
    assert found("# check=skip=latest-tag\nFROM debian\n") == []
    assert found("# check=skip=all\nFROM debian\n") == []
    assert found("# check=skip=latest-tag\nFROM debian AS a\nFROM alpine\n") == []
    assert found("FROM scratch\n\n# check=skip=latest-tag\nFROM debian\nFROM alpine\n") == [("latest-tag", 5)]


def test_only_what_the_target_needs():
    """Another stage than the target's is not judged, and the target is the final stage."""
    text = GO + 'RUN go build -a .\nCMD ["a"]\nFROM debian\n'

    assert found(text, replace(AROUND, target="build")) == [
        ("root-user", 1),
        ("build-tools-in-final-stage", 2),
        ("go-rebuild-all", 2),
    ]


def words(text: str, *docs: Heredoc) -> list[tuple[str, ...]]:
    """Give the words of a script's commands."""
    line = CommandLine((text,), shell=True, heredocs=docs)  # noqa: S604 - a field; nothing is started
    return [one.words for one in commands_of(line)]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a 'b c' \"d $e\" f\\ g", [("a", "b c", "d $e", "f g")]),
        ("a && b||c;d|e&f", [("a",), ("b",), ("c",), ("d",), ("e",), ("f",)]),
        ("if [ -f a ]; then b; else c; fi", [("[", "-f", "a", "]"), ("b",), ("c",), ("fi",)]),
        ("a >/b 2>&1 <<<c &>d e", [("a", "e")]),
        ('a $(b; c ")") d', [("a", '$(b; c ")")', "d")]),
        ("sudo -E env A=b a", [("a",)]),
        ("bash -euxc 'a b; c'", [("a", "b"), ("c",)]),
        ("a # b\nc#d", [("a",), ("c#d",)]),
        ('"a', [("a",)]),
        ("a $(b 'c", [("a", "$(b 'c")]),
    ],
)
def test_shell(text, commands):
    """Scripts are cut into commands as a shell does."""
    assert words(text) == commands


def test_shell_of_heredocs_and_lists():
    """A heredoc is a script; a JSON array is a command, or a script for a shell."""
    doc = Heredoc("EOF", "a\nb\n", expand=True, chomp=False)

    assert words("<<EOF", doc) == [("a",), ("b",)]
    assert [one.words for one in commands_of(CommandLine(("sh", "-c", "a; b"), shell=False))] == [("a",), ("b",)]
    assert [one.words for one in commands_of(CommandLine(("a", "b;c"), shell=False))] == [("a", "b;c")]


def test_the_documents_have_every_rule():
    """The table of rules is that of the code."""
    page = (Path(__file__).parents[2] / "docs/reference/lint-rules.md").read_text()
    rows = [
        [cell.strip("` ") for cell in line.strip("|").split(" | ")] for line in page.splitlines() if "| `" in line[:3]
    ]

    rows = [row for row in rows if row[1] in set(Severity)]
    assert {row[0]: row[1] for row in rows} == {name: str(rule.severity) for name, rule in ADVICE.items()}
