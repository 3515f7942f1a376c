"""The reference projects' own cases, built and judged by their results.

With WHERRY_TEST_BUILDER=buildkit it is BuildKit that builds: so the judge itself is judged.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dockerfile import bases, judging
from dockerfile.building import Builder, Built, Request, Wherry
from dockerfile.laying import body, lay, served, unpack
from flattened import Tree, opened
from needs import corpus
from registries import distribution

pytestmark = pytest.mark.slow
CORPUS = Path(os.environ.get("WHERRY_CORPUS", str(Path(__file__).resolve().parents[3] / "shared" / "corpus")))
PEER = os.environ.get("WHERRY_TEST_BUILDER", "wherry")

Case = Mapping[str, Any]

MENDED: Mapping[str, Mapping[str, Case | None]] = {
    # `env` wrote these, with the trace id of the one run of BuildKit that was recorded.
    "ci-pipeline-modified": {"env-contents.txt": {"type": "file", "mode": "0644"}},
    "moby-104": {"out": {"type": "file", "mode": "0644"}},
    # Recorded by a daemon that had seen a file of this name, size and time in another case's context, and sent for no
    # other; a daemon without that past gives what stands here.
    "dockerignore-exclude-deep-subdir-star-x": {"subdir/.dockerignore": {"content": "**/subdir-f\n!**/subdir-g"}},
    "add-populated-dir-not-dir": {
        "dirone": {"type": "file", "mode": "0664", "uid": 2510, "gid": 2516},
        "dirone/onefile.txt": None,
        "dirone/twofile.txt": None,
        "new-directory": None,
    },
    # Left in the daemon's cache mount by a case before.
    "mount-cache-by-ownership": {"results/0/foo": None},
}
"""Files of which a record says what no build of the case alone gives; None: the file is not there."""


def cases(name: str) -> list[Any]:
    """Read the cases of one file; none where the corpus is not here."""
    file = CORPUS / name
    lines = file.read_text().splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    return [pytest.param(case, id=re.sub(r"[^\w#/-]", "_", case["id"])) for case in found if case["expected"]]


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder | None]:
    """Give the daemon that builds instead of wherry, if one was asked for."""
    with ExitStack() as stack:
        if PEER == "buildkit":
            from peers.buildkit import buildkitd

            yield stack.enter_context(buildkitd(tmp_path_factory.mktemp("buildkit")))
        else:
            yield None


@pytest.fixture
def builder(peer: Builder | None, tmp_path: Path) -> Builder:
    """Give who builds: wherry with empty caches, or the peer with its caches emptied."""
    if peer:
        peer.forget()
    return peer or Wherry(tmp_path / "wherry")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Give a function that gives a registry's address; the registry starts when it is first asked for."""
    with ExitStack() as stack:
        running: list[str] = []

        def address() -> str:
            if not running:
                running.append(stack.enter_context(distribution(tmp_path_factory.mktemp("registry"))).host)
            return running[0]

        yield address


def base_of(name: str) -> Path:
    """Give what stands in for an image."""
    return bases.recorded("alpine" if "alpine" in name else "busybox")


def contexts(names: list[str]) -> dict[str, str]:
    """Name the stand-ins as the Dockerfile has them."""
    plain = {name for name in names if "$" not in name}
    if len(plain) < len(names):  # which image it is comes from an ARG
        plain |= {"mirror.gcr.io/busybox", "mirror.gcr.io/alpine"}
    return {name.removesuffix(":latest"): f"oci-layout://{base_of(name)}" for name in sorted(plain)}


def named_contexts(case: Case, folder: Path) -> dict[str, str]:
    """Lay the contexts that a case names itself."""
    found = {}
    for name, kind in case.get("named_contexts", {}).items():
        if "local" in kind:
            lay(kind["local"], folder / name)
            found[name] = str(folder / name)
        elif kind["image"] == "scratch":
            found[name] = "docker-image://scratch"
        else:
            found[name] = f"oci-layout://{base_of(kind['image'])}"
    return found


def request(case: Case, folder: Path, fill: Callable[[str], str]) -> Request:
    """Lay out a case; give what to ask for."""
    context, options = folder / "context", case.get("opts", {})
    lay(case["context"], context)
    file: Path | None = context / case.get("dockerfile_name", "Dockerfile")
    match case.get("dockerfile_location", "in-context"):
        case "context-as-is":
            file = file if "dockerfile_name" in case else None
        case "outside-context":
            (folder / "outside").mkdir()
            file = folder / "outside" / "Dockerfile"
            file.write_text(fill(case["dockerfile"]))
        case _:
            assert file
            file.write_text(fill(case["dockerfile"]))
    secrets = {}
    for name, value in options.get("secrets", {}).items():
        secrets[name] = folder / f"secret-{name}"
        secrets[name].write_text(value)
    return Request(
        context=context,
        dockerfile=file,
        build_args=options.get("build_args", {}),
        contexts={**contexts(["busybox", "alpine"]), **named_contexts(case, folder)},
        secrets=secrets,
        names=tuple(options.get("names", ())),
        platforms=tuple(options.get("platforms", ())),
        target=options.get("target", ""),
    )


@pytest.mark.parametrize("case", cases("buildkit_behaviour.jsonl"))
def test_buildkit_behaviour(case: Case, builder: Builder, registry: Callable[[], str], tmp_path: Path):
    """What BuildKit's own tests of its Dockerfile frontend ask of it."""
    with ExitStack() as stack:
        address = stack.enter_context(served(case["http"])) if "http" in case else ""

        def fill(text: str) -> str:
            text = text.replace("{{HTTP}}", address)
            return text.replace("{{REGISTRY}}", registry()) if "{{REGISTRY}}" in text else text

        for number, before in enumerate(case.get("prereq", [])):
            asked = request({**before, "bases": case["bases"]}, tmp_path / f"before{number}", fill)
            pushed = builder.push(asked, fill(before["push"]))
            assert pushed.ok, pushed.message
        asked = request(case, tmp_path / "case", fill)
        built = builder.build(asked, tmp_path / "out")
        again = builder.build(asked, tmp_path / "again") if case["expected"].get("reproducible") else None
    found = complaints(case, built)
    assert not found, "\n".join(found)
    assert again is None or digests(again) == digests(built)


def digests(built: Built) -> list[str]:
    """Name the images of a layout."""
    return [entry["digest"] for entry in opened(built.layout).index["manifests"]]


def complaints(case: Case, built: Built) -> list[str]:
    """Judge a build of a behaviour case."""
    expected = case["expected"]
    if not expected["ok"]:
        return list(judging.failure(expected, built, exactly=PEER == "buildkit"))
    if not built.ok:
        return [built.message]
    sources = {path: body(answer) for path, answer in case.get("http", {}).items()}
    folder = built.layout.parent / "case" / "context"
    sources |= {entry["path"]: (folder / entry["path"]).read_bytes() for entry in case["context"] if _plain(entry)}
    return list(judging.behaviour(expected, built, sources))


def _plain(entry: Case) -> bool:
    return entry["type"] in {"file", "tar", "tar.gz"}


def flat(name: str) -> Tree:
    """Flatten the base of a case."""
    return {} if name == "scratch" else opened(base_of(name)).images()[0].tree()


def judged(case: Case, built: Built) -> list[str]:
    """Judge a build of a case that tells the whole result."""
    expected = case["expected"]
    if not expected["ok"]:
        return list(judging.failure({"message": ""} | expected, built, exactly=False))
    if not built.ok:
        return [built.message]
    files = {**expected["files"], **MENDED.get(case["id"], {})}
    files = {path: said for path, said in files.items() if said is not None}
    return list(judging.whole({**expected, "files": files}, built, flat(expected["on_base"])))


@pytest.mark.parametrize("case", cases("conformance.jsonl"))
def test_conformance(case: Case, builder: Builder, tmp_path: Path):
    """What the conformance tests of buildah build."""
    context = tmp_path / "context"
    unpack(corpus(case["context"]), context)
    asked = Request(
        context=context,
        dockerfile=context / case["dockerfile_name"],
        build_args=case["build_args"],
        contexts=contexts(case["bases"]),
    )

    found = judged(case, builder.build(asked, tmp_path / "out"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("case", cases("moby_integration.jsonl"))
def test_moby_integration(case: Case, builder: Builder, tmp_path: Path):
    """What the integration tests of moby's builder build."""
    context, options = tmp_path / "context", case["opts"]
    lay([{"path": path, "type": "file", "content": content} for path, content in case["files"].items()], context)
    asked = Request(
        context=context,
        dockerfile=context / case["dockerfile_name"],
        build_args=options.get("build_args", {}),
        contexts=contexts(case["bases"]),
        labels=options.get("labels", {}),
        target=options.get("target", ""),
    )

    found = judged(case, builder.build(asked, tmp_path / "out"))
    assert not found, "\n".join(found)
