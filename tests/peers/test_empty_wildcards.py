"""Wildcards of COPY that match nothing: refused where BuildKit refuses them, and allowed where it does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerfile import bases
from dockerfile.building import Request, Wherry
from peers.buildkit import BuildKit, buildkitd

pytestmark = [pytest.mark.slow, pytest.mark.peers]
FILES = ("a", "d/a", "d/e/f", "i/hidden")
CASES = (
    "COPY nosuch* /x/",
    "COPY a nosuch* /x/",
    "COPY d/no* /x/",
    "COPY d/no* a /x/",
    "COPY d/no* /x/\nCOPY d/a /y/",
    "COPY d/no* /x/\nCOPY d /y/",
    "COPY d/no* /x/\nCOPY . /y/",
    "COPY d/no* /x/\nCOPY d/a* /y/",
    "COPY d/no* /x/\nCOPY * /y/",
    "COPY d/no* /x/\nCOPY d/e/f /y/",
    "COPY d/e/no* /x/\nCOPY d/a /y/",
    "COPY d/e/no* /x/\nCOPY d/*/f /y/",
    "COPY nod/no* /x/\nCOPY . /y/",
    "COPY l/no* /x/",
    "COPY l/no* /x/\nCOPY d/a /y/",
    "COPY l/no* /x/\nCOPY l/a /y/",
    "COPY a/no* /x/",
    "COPY a/no* /x/\nCOPY a /y/",
    "ADD d/no* /x/",
    "COPY i/no* /x/\nCOPY i /y/",
    "COPY --parents d/no* /x/",
    "COPY --parents d/./no* /x/",
    "COPY */no* /x/",
    "COPY --exclude=*a d/a* /x/",
    "RUN --mount=type=bind,source=d,target=/m true\nCOPY d/no* /x/",
    "RUN --mount=type=bind,target=/m true\nCOPY d/no* /x/",
    "RUN mkdir /q\nFROM scratch\nCOPY --from=0 /q/no* /x/",
    "RUN mkdir /q\nFROM scratch\nCOPY --from=0 /nq/no* /x/",
    "COPY d/a /x/\nFROM scratch\nCOPY d/no* /x/",
    "COPY --from=named no* /x/",
    "COPY --from=named d/no* /x/",
    "COPY --from=named d/no* /x/\nCOPY --from=named d/a /y",
    "COPY --from=named d/no* d/a /x/",
)


@pytest.fixture(scope="module")
def buildkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildKit]:
    """Give a daemon of the module's own."""
    with buildkitd(tmp_path_factory.mktemp("buildkit")) as running:
        yield running


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay files, a link to a folder, and a folder of which nothing is sent."""
    folder = tmp_path_factory.mktemp("context")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "l").symlink_to("d")
    (folder / ".dockerignore").write_text("i/*\n")
    return folder


@pytest.mark.parametrize("text", CASES)
def test_both_refuse_or_both_allow(text: str, context: Path, buildkit: BuildKit, tmp_path: Path) -> None:
    """Whether a folder of the context is there for BuildKit depends on what else is copied."""
    file = tmp_path / "Dockerfile"
    file.write_text(f"FROM busybox\n{text}\n")
    named = {"busybox": f"oci-layout://{bases.busybox()}", "named": str(context)}
    request = Request(context=context, dockerfile=file, contexts=named)

    ours = Wherry(tmp_path / "wherry").build(request, tmp_path / "ours")
    theirs = buildkit.build(request, tmp_path / "theirs")

    assert ours.ok == theirs.ok, ours.message + theirs.message
