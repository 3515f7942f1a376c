"""`[trust] modules` stops a build of tampered modules; SBOM and provenance are attached to what was built."""

import json

import pytest

from cli_shell import Shell
from verified_modules import GoWorld, go_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> GoWorld:
    """A vendored module with a policy."""
    made = go_world(tmp_path_factory.mktemp("world"))
    (made.app / "wherry.toml").write_text('[build]\nbase = "scratch"\n\n[trust]\nmodules = "vendor+sumdb"\n')
    return made


@pytest.fixture(scope="module")
def shell(world) -> Shell:
    """A command line in the module's folder, with the store elsewhere."""
    made = Shell(world.app)
    made.environment |= {
        **world.environment, "HOME": str(world.root), "WHERRY_STORE": str(world.root / "store"),
        "WHERRY_CACHE": str(world.root / "cache"),
    }  # fmt: skip
    return made


def test_documents_are_attached(world, shell):
    """A build that is verified gets its documents, with hashes and proofs that the program does not have."""
    words = ("--sbom", "cyclonedx", "--provenance", "-t", "app:dev", "--no-vcs")
    (reference,) = shell("build", ".", *words)

    tree = json.loads("\n".join(shell("tree", "--json", "app:dev")))
    labels = {one["label"] for one in _all(tree["root"]) if one["role"] == "attachment" or one["label"]}
    assert reference.startswith("app:dev@sha256:")
    assert any("cyclonedx" in label for label in labels), labels
    sbom = json.loads(_blob(world, "application/vnd.cyclonedx+json"))
    lib = next(one for one in sbom["components"] if one["name"] == "example.com/lib")
    facts = {one["name"]: one["value"] for one in lib["properties"]}
    assert facts["go:h1"].startswith("h1:")
    assert facts["wherry:checksum-database"].endswith("of sum.example.com")
    statement = json.loads(_blob(world, "application/vnd.in-toto+json"))
    assert statement["predicate"]["buildDefinition"]["buildType"] == "urn:dev.wherry:build:go:v1"
    uris = {one["uri"]: one for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert uris["pkg:golang/example.com/lib@v1.2.0"]["annotations"]["h1"] == facts["go:h1"]


def _all(node: dict):
    yield node
    for child in node["children"]:
        yield from _all(child)


def _blob(world: GoWorld, media_type: str) -> bytes:
    """Find the layer of a media type among the manifests of the store."""
    blobs = world.root / "store" / "blobs" / "sha256"
    for file in blobs.iterdir():
        try:
            document = json.loads(file.read_bytes())
        except ValueError:
            continue
        for layer in document.get("layers", []) if isinstance(document, dict) else []:
            if layer.get("mediaType") == media_type:
                return (blobs / layer["digest"].removeprefix("sha256:")).read_bytes()
    raise AssertionError(media_type)


def test_hashes_of_vendored_modules(world, shell):
    """Without a policy too, documents have go.sum's hash of what vendor/ has; of what differs they have none."""
    toml, file = world.app / "wherry.toml", world.app / "vendor/example.com/lib/README.md"
    policy, text = toml.read_text(), file.read_text()
    toml.write_text('[build]\nbase = "scratch"\n')

    def facts(name: str) -> dict[str, str]:
        shell("build", ".", "--sbom", "cyclonedx", "-t", f"{name}:dev", "--no-vcs", "--label", f"name={name}")
        shell("tree", "--json", f"{name}:dev")
        for node in _all(json.loads(shell.out)["root"]):
            if node["media_type"] == "application/vnd.cyclonedx+json" and node["role"] == "layer":
                blob = world.root / "store" / "blobs" / "sha256" / node["digest"].removeprefix("sha256:")
                document = json.loads(blob.read_bytes())
                lib = next(one for one in document["components"] if one["name"] == "example.com/lib")
                return {one["name"]: one["value"] for one in lib["properties"]}
        raise AssertionError(name)

    try:
        same = facts("same")
        file.write_text(f"{text}more\n")
        changed = facts("changed")
        file.write_text(text)
        shell.environment["GOMODCACHE"] = str(world.root / "nothing")
        alone = facts("alone")
    finally:
        toml.write_text(policy)
        file.write_text(text)
        shell.environment["GOMODCACHE"] = world.environment["GOMODCACHE"]

    assert same["go:h1"] == alone["go:h1"]
    assert same["wherry:h1-source"] == "go.sum; vendor/ was compared with the module's zip"
    assert "go:h1" not in changed
    assert changed["wherry:h1"] == "NOASSERTION: vendor/ differs from go.sum's module"
    assert "was not compared" in alone["wherry:h1-source"]


def test_a_tampered_module_stops_the_build(world, shell):
    """One changed file in vendor/ ends the build with its place, and nothing is named."""
    file = world.app / "vendor/example.com/lib/lib.go"
    text = file.read_text()
    file.write_text(text.replace("words +", "words + words +"))
    try:
        shell("build", ".", "-t", "evil:dev", "--no-vcs", code=1)
    finally:
        file.write_text(text)

    assert "vendor/example.com/lib/lib.go:8: differs from the zip" in shell.err
    assert "evil:dev" not in "\n".join(shell("images"))


def test_a_switched_off_database_is_no_pass(world, shell):
    """GOSUMDB=off does not satisfy a policy that asks for the database."""
    shell.environment["GOSUMDB"] = "off"
    try:
        shell("build", ".", "-t", "off:dev", "--no-vcs", "--no-cache", code=1)
    finally:
        shell.environment["GOSUMDB"] = world.log.key

    assert "the checksum database was not asked: GOSUMDB=off" in shell.err


@pytest.mark.parametrize("front_end", ["go", "dockerfile"])
def test_a_build_that_could_be_replayed_is_verified_again(world, shell, front_end):
    """What nothing compiles counts too: a file of vendor/ and a line of go.sum that change between two builds."""
    words = ["build", ".", "-t", f"twice-{front_end}:dev", "--no-vcs"]
    if front_end == "dockerfile":
        shell.write("wherry.toml", '[trust]\nmodules = "vendor+sumdb"\n')
        shell.write("Dockerfile", "FROM scratch\nCOPY go.mod /\n")
        words = ["build", "-f", "Dockerfile", ".", "-t", "twice-dockerfile:dev"]
    first = shell(*words)
    assert shell(*words) == first
    for name, change in (
        ("vendor/example.com/lib/README.md", lambda text: text + "more"),
        ("go.sum", lambda text: text.replace("h1:", "h1:AAAA", 1)),
    ):
        file = world.app / name
        text = file.read_text()
        file.write_text(change(text))
        try:
            shell(*words, code=1)
        finally:
            file.write_text(text)
        assert "modules are not verified" in shell.err
