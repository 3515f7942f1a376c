"""`build --sbom --provenance --attach`: on real registries, with the referrers API and without, and after a push."""

import hashlib
import json
import subprocess
from collections.abc import Iterator

import pytest

from cli_shell import Shell
from registries import CNCF, distribution, free_port, with_referrers
from wherry.app.attaching import ATTESTATION
from wherry.digest import Digest
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import Reference
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.registry.referrers import RegistryAttachments
from wherry.store.contract import read_whole

pytestmark = pytest.mark.slow
WORDS = ("--sbom", "spdx", "--provenance", "--platform", "linux/amd64,linux/arm64")


@pytest.fixture(scope="module", params=["without", "with"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of each kind."""
    if request.param == "with":
        with with_referrers() as found:
            yield found
    else:
        with distribution(tmp_path_factory.mktemp("registry"), program=CNCF) as running:
            yield running.host


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A user with a Dockerfile and its context, in a git checkout with a remote."""
    made = Shell(tmp_path_factory.mktemp("attached") / "home")
    made.write("site/Dockerfile", "FROM scratch\nCOPY . /\n")
    made.write("site/.dockerignore", "secret.txt\n.git\n")
    made.write("site/secret.txt", "not sent\n")
    made.write("site/pages/index.html", "hello\n")
    for words in (
        ("init", "-q"), ("remote", "add", "origin", "https://git.example/team/site.git"), ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"),
    ):  # fmt: skip
        subprocess.run(["git", "-C", str(made.root / "site"), *words], check=True)
    return made


def there(image: str) -> RegistryAttachments:
    """Open a repository."""
    return RegistryAttachments(Registries(Network(), NoKeyring()).repository(Reference.parse(image)))


def kinds(place: RegistryAttachments, digest: Digest) -> list[str]:
    """Name the kinds of what is attached as referrers; attestation manifests of an index are referrers, too."""
    found = [Manifest.parse(read_whole(place, one), "it") for one in place.referrers(digest)]
    return sorted(one.stack[0].media_type for one in found if one.artifact_type != ATTESTATION)


DOCUMENTS = ["application/spdx+json", "application/vnd.in-toto+json"]


@pytest.mark.parametrize("to", ["referrers", "index", "both"])
def test_pushed(shell, host, to):
    """What is printed is what the tag points to; documents are in the index, are referrers, or both."""
    image = f"{host}/built-{to}:1"
    (named,) = shell("build", "site", *WORDS, "--attach", to, "-t", image, "--push", "--metadata-file", "m.json")
    place = there(image)
    root = place.repository.resolve("1")
    index = Index.parse(read_whole(place, root), "it")

    assert named == f"{image}@{root.digest}"
    assert json.loads((shell.root / "m.json").read_text())["containerimage.digest"] == root.digest
    assert shell.store.resolve(image).digest == root.digest
    images = [one for one in index.manifests if one.platform and one.platform.os == "linux"]
    proofs = [one for one in index.manifests if one not in images]
    assert len(images) == 2
    assert len(proofs) == (0 if to == "referrers" else 2)
    for proof, one in zip(proofs, images, strict=False):
        assert proof.annotations["vnd.docker.reference.digest"] == one.digest
        layers = Manifest.parse(read_whole(place, proof), "it").stack
        assert {layer.annotations["in-toto.io/predicate-type"] for layer in layers} == {
            "https://spdx.dev/Document", "https://slsa.dev/provenance/v1",
        }  # fmt: skip
        assert all(json.loads(read_whole(place, layer))["subject"][0]["digest"]["sha256"] == one.digest.encoded
                   for layer in layers)  # fmt: skip
    for one in (root, *images):
        assert kinds(place, one.digest) == ([] if to == "index" else DOCUMENTS)


def test_attached_after_a_push(shell, host):
    """An image that was pushed bare gets its documents later, and keeps its digest where they are referrers."""
    image = f"{host}/later:1"
    (named,) = shell("build", "site", "-t", image, "--push")
    shell("sbom", image, "--format", "spdx")
    shell.write("sbom.json", shell.out)
    place = there(image)
    before = place.repository.resolve("1").digest

    assert shell("attest", "--attach", "referrers", "--type", "spdxjson", "--predicate", "sbom.json", image) == [named]
    assert kinds(place, before) == DOCUMENTS[:1]
    (later,) = shell("attest", "--attach", "both", "--type", "spdxjson", "--predicate", "sbom.json", image)
    after = place.repository.resolve("1")
    assert later == f"{image}@{after.digest}"
    assert Index.parse(read_whole(place, after), "it").manifests[0].digest == before
    assert kinds(place, after.digest) == DOCUMENTS[:1]


def test_outputs_that_push(shell, host):
    """`-o type=registry` pushes too, so documents go where it pushes."""
    image = f"{host}/output:1"
    shell("build", "site", "--sbom", "spdx", "-t", "local:1", "-o", f"type=registry,name={image}")

    place = there(image)
    assert kinds(place, place.repository.resolve("1").digest) == DOCUMENTS[:1]


def test_what_a_dockerfile_was_made_of(shell, host):
    """Provenance names the context by its directory hash and commit, the bases by digest, and the Dockerfile."""
    base = f"{host}/base:1"
    (named,) = shell("build", "site", "-t", base, "--push")
    shell("rm", base)
    shell("build", "site", "-t", "here:1")
    text = f"FROM here:1 AS other\nFROM {base}\nCOPY --from=more pages /pages\nCOPY --from=other /pages /other\n"
    shell.write("second/Dockerfile", text)
    words = ("--build-context", "more=site", "--provenance", "-t", "second:1", "--attach", "index")
    shell("build", "second", *words)
    made = Index.parse(read_whole(shell.store, shell.store.resolve("second:1")), "it").manifests[1]
    (layer,) = Manifest.parse(read_whole(shell.store, made), "it").stack
    predicate = json.loads(read_whole(shell.store, layer))["predicate"]
    rows = {one["uri"]: one for one in predicate["buildDefinition"]["resolvedDependencies"]}
    commit = subprocess.check_output(["git", "-C", str(shell.root / "site"), "rev-parse", "HEAD"], text=True).strip()
    files = [(".dockerignore", "secret.txt\n.git\n"), ("Dockerfile", "FROM scratch\nCOPY . /\n"),
             ("pages/index.html", "hello\n")]  # fmt: skip
    listing = "".join(f"{hashlib.sha256(said.encode()).hexdigest()}  {name}\n" for name, said in files)

    assert rows["urn:dev.wherry:context:more"]["digest"] == {"dirHash1": hashlib.sha256(listing.encode()).hexdigest()}
    git = rows[f"git+https://git.example/team/site.git@{commit}"]
    assert git["digest"] == {"gitCommit": commit}
    assert git["annotations"] == {"context": "more"}
    (oci,) = (row for uri, row in rows.items() if uri.startswith("pkg:oci/base"))
    assert oci["digest"] == {"sha256": named.rpartition("sha256:")[2]}
    assert rows["urn:dev.wherry:dockerfile"]["digest"] == {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    (here,) = (row for uri, row in rows.items() if uri.startswith("pkg:oci/here"))
    assert here["name"] == "here:1"
    assert here["digest"] == {"sha256": shell.store.resolve("here:1").digest.encoded}
    assert str(shell.root) not in json.dumps(predicate)
    assert "urn:dev.wherry:context" not in rows


def test_a_changed_checkout_is_named_as_one(shell):
    """Files that differ from the commit are said to."""
    shell.write("site/pages/more.html", "more\n")
    try:
        shell("build", "site", "--provenance", "-t", "dirty:1", "--attach", "index")
    finally:
        (shell.root / "site/pages/more.html").unlink()
    made = Index.parse(read_whole(shell.store, shell.store.resolve("dirty:1")), "it").manifests[1]
    (layer,) = Manifest.parse(read_whole(shell.store, made), "it").stack
    found = json.loads(read_whole(shell.store, layer))["predicate"]["buildDefinition"]["resolvedDependencies"]
    (git,) = (row for row in found if row["uri"].startswith("git+"))
    assert git["annotations"] == {"dirty": True}


def test_signed_where_it_was_pushed(shell, host):
    """An image of the local store that a registry has is signed in both places, and verified by either."""
    shell("keys", "new", "--no-password", "--force", "-o", "k")
    image, bare = f"{host}/signed:1", f"{host}/bare:1"
    shell.write("p.json", "{}")
    shell("build", "site", "-t", image, "--push")
    shell("sign", "--key", "k.key", image)
    shell("verify", "--key", "k.pub", f"docker://{image}")
    shell("verify", "--key", "k.pub", f"store:{image}")
    shell("attest", "--key", "k.key", "--type", "custom", "--predicate", "p.json", image)
    shell("verify-attestation", "--key", "k.pub", "--type", "custom", f"docker://{image}")

    shell("build", "site", "-t", (away := f"127.0.0.1:{free_port()}/away:1"))
    shell("sign", "--key", "k.key", away, code=69)
    assert f"store:{away}" in shell.err
    shell("sign", "--key", "k.key", f"store:{away}")
    shell("verify", "--key", "k.pub", away)

    shell("build", "site", "-t", bare)
    shell("sign", "--key", "k.key", bare)
    assert "in the local store only" in shell.err
    shell("push", bare)
    shell("verify", "--key", "k.pub", f"docker://{bare}", code=1)
    shell("verify", "--key", "k.pub", bare)
    shell("sign", "--key", "k.key", f"docker://{bare}")
    shell("rm", bare)
    shell("pull", bare)
    shell("verify", "--key", "k.pub", bare)


def test_a_dockerfile_that_copies_nothing_is_one(shell):
    """Its provenance says that a Dockerfile was built, though its history has neither RUN nor COPY."""
    shell.write("bare/Dockerfile", "FROM scratch\nLABEL a=b\n")
    shell("build", "bare", "--provenance", "-t", "bare:1", "--attach", "index")
    made = Index.parse(read_whole(shell.store, shell.store.resolve("bare:1")), "it").manifests[1]
    (layer,) = Manifest.parse(read_whole(shell.store, made), "it").stack
    definition = json.loads(read_whole(shell.store, layer))["predicate"]["buildDefinition"]

    assert definition["buildType"] == "urn:dev.wherry:build:dockerfile:v1"
    assert definition["internalParameters"]["incomplete"]
