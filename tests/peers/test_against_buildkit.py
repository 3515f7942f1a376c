"""The same Dockerfiles by wherry and by BuildKit: one image, as far as times allow."""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dockerfile import bases
from dockerfile.building import Request, Wherry
from peers import random_corners
from peers.buildkit import BuildKit, buildkitd
from peers.compare_images import compared, larger_layers, layer_bytes
from peers.random_dockerfiles import dockerfile, lay_context

pytestmark = [pytest.mark.slow, pytest.mark.peers]
COUNT = int(os.environ.get("WHERRY_TEST_RANDOM", "60"))
FIRST = int(os.environ.get("WHERRY_TEST_RANDOM_FROM", "0"))


BYTES: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]] = []
"""Of each pair of images: wherry's layers and BuildKit's, bytes as stored and of the files in them."""


@pytest.fixture(scope="module", autouse=True)
def _sums(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print, once all are built, how many bytes the layers of both have."""
    yield
    if BYTES:
        stored, files = (
            tuple(sum(layer[place] for pair in BYTES for layer in pair[who]) for who in range(2)) for place in range(2)
        )
        shown = request.config.pluginmanager.getplugin("capturemanager")
        with shown.global_and_fixture_disabled():
            sys.stdout.write(f"\n| {len(BYTES)} images | wherry | BuildKit |\n")
            sys.stdout.write(f"| layers, bytes as stored | {stored[0]} | {stored[1]} |\n")
            sys.stdout.write(f"| layers, bytes of files | {files[0]} | {files[1]} |\n")


@pytest.fixture(scope="module")
def buildkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildKit]:
    """Give a daemon of the module's own."""
    with buildkitd(tmp_path_factory.mktemp("buildkit")) as running:
        yield running


def both(folder: Path, buildkit: BuildKit, text: str, **more: object) -> list[str]:
    """Build a Dockerfile twice, and check it; give what differs, wherry's left."""
    file = folder / "Dockerfile"
    file.write_text(text)
    named = {"busybox": f"oci-layout://{bases.busybox()}"}
    request = Request(**{"context": folder / "context", "dockerfile": file, "contexts": named, **more})  # type: ignore[arg-type]  # what more there is has the fields' types
    ours = Wherry(folder / "wherry").build(request, folder / "ours")
    theirs = buildkit.build(request, folder / "theirs")
    if ours.ok != theirs.ok:
        return [f"wherry: {ours.message}", f"BuildKit: {theirs.message}"]
    if not ours.ok:
        return []
    # A build checks what its target needs; of all stages only `--check` speaks.
    names = re.findall(r"^FROM .* AS (\w+)$", text, re.MULTILINE)
    last = replace(request, target=names[-1]) if names else request
    warned, found = _warned(theirs.message), _found(Wherry(folder / "wherry").check(last))
    for attempt in range(3):  # its log loses a warning now and then
        if found <= warned:
            break
        warned |= _warned(buildkit.build(request, folder / f"theirs-{attempt}").message)
    differing = sorted(found - warned, key=str), sorted(warned - found, key=str)
    BYTES.append((layer_bytes(ours.layout), layer_bytes(theirs.layout)))
    return [
        *compared(ours.layout, theirs.layout),
        *larger_layers(ours.layout, theirs.layout),
        *(f"checks: {pair}" for pair in [differing] if any(pair)),
    ]


def _warned(message: str) -> set[tuple[str, str, int]]:
    """Read what BuildKit's log says of the Dockerfile: rule, words, line."""
    found = re.findall(r"^#\d+ WARN: (\w+): (.*) \(line (\d+)\)$", message, re.MULTILINE)
    return {(rule, words, int(line)) for rule, words, line in found}


def _found(printed: str) -> set[tuple[str, str, int]]:
    findings = json.loads(printed)
    return {
        (one["rule"], one["message"], int(one["place"].rpartition(":")[2]))
        for one in findings
        if one["severity"] != "note" and one["rule"][:1].isupper()  # as BuildKit names its rules
    }


DOCKERFILES = {
    "owners": """FROM busybox
RUN adduser -D dev
USER dev
WORKDIR /home/dev/work
COPY --chown=dev:dev dir ./
RUN id > id && touch mine
""",
    "links": """FROM busybox
RUN echo 1 > /a && ln /a /b && ln -s b /c && mkdir /d && ln /a /d/e
RUN echo 2 >> /b
COPY --from=busybox /bin/sh /sh
""",
    "removals": """FROM busybox
RUN mkdir -p /x/y/z && touch /x/y/z/1 /x/y/2 /x/3
RUN rm -r /x/y && mkdir /x/y && touch /x/y/new
RUN rm /x/3 && mkdir /x/3
RUN rm -r /etc && ln -s /x /etc
""",
    "modes": """FROM busybox AS made
RUN mkdir -m 1777 /d /d/s && for m in 644 755 4755 2711 6777 1666 0; do touch /d/$m; chmod $m /d/$m; done
FROM scratch
COPY --from=made --chmod=u=rwx,go=rx /d /equal
COPY --from=made --chmod=a=rX /d /read
COPY --from=made --chmod=u+s,g-w,o=u /d /copied
COPY --from=made --chmod==t /d /sticky
COPY --from=made --chmod=+X /d /search
COPY --from=made --chmod=g=u-w,o= /d /group
COPY --from=made --chmod=4750 /d /octal
COPY --from=made /d /plain
""",
    "special": """FROM busybox
RUN mkfifo /pipe && chmod 4755 /bin/busybox && mkdir -m 1777 /sticky && mkdir -m 2750 /group && chgrp 50 /group
""",
    "stages": """ARG A=1
FROM busybox AS one
ARG A
RUN echo "$A" > /one
FROM one AS two
RUN echo two >> /one
FROM busybox AS never
RUN false
FROM scratch
COPY --from=two /one /
COPY --from=one /one /first
""",
    "parents and excludes": """FROM busybox
WORKDIR /w
COPY --parents dir/sub/y ./dir/./x deep /p/
COPY --exclude=**/y --exclude=x dir /e/
COPY --link --chmod=u=rwx,go= dir /l/
""",
    "what changes nothing": """FROM busybox
COPY dir /w/
COPY . /w/
COPY dir /w/
RUN chmod -R a+rX /w && chown -R 0:0 /w /bin && touch /etc/new && rm /etc/new
RUN rm -rf /home && mkdir /home && cp -a /w /w2 && rm -r /w && mv /w2 /w
RUN cp -a /etc/passwd /p && cat /p > /etc/passwd && touch -r /p /etc/passwd
COPY --link . /w/
COPY --chmod=600 a /w/
""",
    "config": """FROM busybox
MAINTAINER me
ENV A=1 B="two words" C=$A
LABEL x=$B y="a
b"
EXPOSE 80 443/tcp 53/udp
VOLUME ["/data", "/more"]
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=3s --timeout=10s --start-period=1m --retries=4 CMD wget -q localhost
SHELL ["/bin/sh", "-xc"]
ENTRYPOINT top -b
CMD ["a", "b"]
ONBUILD COPY . /app
USER 1:2
""",
}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_one_image(name: str, buildkit: BuildKit, tmp_path: Path):
    """Owners, links, removals, special files, stages, config: the same by both."""
    lay_context(tmp_path / "context")

    found = both(tmp_path, buildkit, DOCKERFILES[name])
    assert not found, "\n".join(found)


def test_several_platforms(buildkit: BuildKit, tmp_path: Path):
    """Each platform has its own files and config."""
    lay_context(tmp_path / "context")
    text = """FROM --platform=$BUILDPLATFORM busybox AS build
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM
RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH $TARGETVARIANT $BUILDPLATFORM" > /out
FROM scratch
COPY --from=build /out /
"""

    found = both(tmp_path, buildkit, text, platforms=("linux/amd64", "linux/arm64", "linux/arm/v7"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("number", range(FIRST, FIRST + COUNT))
def test_random_dockerfiles(number: int, buildkit: BuildKit, tmp_path: Path):
    """What chance writes is built by both to the same image, or refused by both.

    WHERRY_TEST_RANDOM says how many there are, WHERRY_TEST_RANDOM_FROM the first one's number.
    """
    lay_context(tmp_path / "context")
    text = dockerfile(number)

    found = both(tmp_path, buildkit, text, build_args={"B": "bee"})
    assert not found, "\n".join([text, *found])


@pytest.mark.parametrize("number", range(FIRST, FIRST + COUNT))
def test_random_corners(number: int, buildkit: BuildKit, tmp_path: Path):
    """Globs, links, archives, ignore patterns, expansion, ONBUILD, heredocs and slips: the same by both."""
    lay_context(tmp_path / "context")
    random_corners.lay_more(tmp_path / "context", number)
    text = random_corners.dockerfile(number)
    ignore = (tmp_path / "context" / ".dockerignore").read_text()

    found = both(tmp_path, buildkit, text, build_args={"B": "bee"})
    assert not found, "\n".join([text, "--- .dockerignore", ignore, *found])
