"""cosign 2 and 3 verify what wherry signs, and wherry what they sign; both refuse what was tampered with; buildx."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from cli_shell import Shell
from needs import need
from registries import CNCF, DEBIAN, distribution, with_referrers
from small_images import put_image
from wherry.app.signing import signature_config
from wherry.digest import Digest
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.oci.reference import Reference
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.registry.referrers import RegistryAttachments, fallback_tag
from wherry.store.contract import read_whole

pytestmark = [pytest.mark.peers, pytest.mark.slow]
LOCAL = ("--allow-http-registry", "--insecure-ignore-tlog=true")
NO_LOG = {"cosign2": ("--tlog-upload=false",), "cosign3": ("--tlog-upload=false", "--use-signing-config=false")}
GENERATIONS = pytest.mark.parametrize("cosign", ["cosign2", "cosign3"])
KINDS = pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])


@pytest.fixture(scope="module", params=[DEBIAN, CNCF, "with-referrers"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Each registry."""
    if request.param == "with-referrers":
        with with_referrers() as found:
            yield found
    else:
        with distribution(tmp_path_factory.mktemp("registry"), program=request.param) as running:
            yield running.host


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A user with encrypted keys of both kinds, a trusted root that trusts nobody, and an image."""
    made = Shell(tmp_path_factory.mktemp("cosign") / "home")
    made.environment.update(COSIGN_PASSWORD="secret", SIGSTORE_NO_CACHE="1")  # noqa: S106 - of these keys only
    for kind in ("ecdsa-p256", "ed25519"):
        made("keys", "new", "--type", kind, "-o", kind)
    made("keys", "trusted-root", "-o", "root.json")
    made.store.tag("api:1", put_image(made.store, "api"))
    made.write("sbom.json", '{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"}')
    return made


def called(shell: Shell, cosign: str, *words: str) -> int:
    """Run cosign; give its exit code."""
    done = subprocess.run(
        [need(cosign), *words],
        cwd=shell.root, env=shell.environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    shell.out, shell.err = done.stdout, done.stderr
    return done.returncode


def trusted(cosign: str, form: str = "both") -> tuple[str, ...]:
    """Give the flag that cosign 2.6 wants where there is a bundle, as the documentation says."""
    return ("--trusted-root", "root.json") if cosign == "cosign2" and form != "old" else ()


def pushed(shell: Shell, host: str, name: str) -> tuple[str, str]:
    """Push an image; give its name by tag and by digest."""
    image = f"{host}/{name}:1"
    (named,) = shell("push", "api:1", image)
    return image, f"{image.removesuffix(':1')}@{named.rpartition('@')[2]}"


def there(image: str) -> RegistryAttachments:
    """Open a repository."""
    return RegistryAttachments(Registries(Network(), NoKeyring()).repository(Reference.parse(image)))


@GENERATIONS
@KINDS
@pytest.mark.parametrize("form", ["old", "new", "both"])
def test_cosign_verifies_ours(shell, host, cosign, kind, form):
    """By the commands of docs/how-to/sign.md; another key is refused."""
    image, by_digest = pushed(shell, host, f"ours-{cosign}-{kind}-{form}")
    shell("sign", "--key", f"{kind}.key", "--format", form, "-a", "env=prod", image)
    newer = ("--new-bundle-format",) if (cosign, form) == ("cosign2", "new") else ()
    words = ("verify", *LOCAL, *trusted(cosign, form), *newer)
    other = "ed25519" if kind == "ecdsa-p256" else "ecdsa-p256"

    assert called(shell, cosign, *words, "--key", f"{kind}.pub", "-a", "env=prod", by_digest) == 0, shell.err
    assert called(shell, cosign, *words, "--key", f"{other}.pub", by_digest) != 0


@GENERATIONS
def test_cosign_verifies_our_attestations(shell, host, cosign):
    """Each of the common types, in both formats."""
    image, by_digest = pushed(shell, host, f"attested-{cosign}")
    for kind in ("spdxjson", "cyclonedx", "slsaprovenance1", "openvex"):
        shell("attest", "--key", "ecdsa-p256.key", "--type", kind, "--predicate", "sbom.json", image)
        words = ("verify-attestation", *LOCAL, *trusted(cosign), "--key", "ecdsa-p256.pub", "--type", kind)
        assert called(shell, cosign, *words, by_digest) == 0, shell.err
    shell("verify", "--key", "ecdsa-p256.pub", image, code=1)


@GENERATIONS
@KINDS
@pytest.mark.parametrize("bundle", [False, True])
def test_ours_verifies_cosign(shell, host, cosign, kind, bundle):
    """Signed by cosign with our key, in both formats, Ed25519ph as well; annotations are read.

    cosign 2.6 leaves annotations out of its bundles.
    """
    image, by_digest = pushed(shell, host, f"theirs-{cosign}-{kind}-{bundle}".lower())
    words = ("sign", "-y", "--allow-http-registry", *NO_LOG[cosign], f"--new-bundle-format={str(bundle).lower()}")

    assert called(shell, cosign, *words, "--key", f"{kind}.key", "-a", "env=prod", by_digest) == 0, shell.err
    shell("verify", "--key", f"{kind}.pub", image)
    left_out = (cosign, bundle) == ("cosign2", True)
    shell("verify", "--key", f"{kind}.pub", "-a", "env=prod", image, code=4 if left_out else 0)
    shell("verify", "--key", f"{kind}.pub", "-a", "env=dev", image, code=4)


@GENERATIONS
def test_ours_verifies_their_attestations(shell, host, cosign):
    """In the format that the generation writes by default."""
    image, by_digest = pushed(shell, host, f"their-attestation-{cosign}")
    words = ("attest", "-y", "--allow-http-registry", *NO_LOG[cosign], "--type", "spdxjson", "--predicate", "sbom.json")

    assert called(shell, cosign, *words, "--key", "ecdsa-p256.key", by_digest) == 0, shell.err
    shell("verify-attestation", "--key", "ecdsa-p256.pub", "--type", "spdxjson", image)
    shell("verify", "--key", "ecdsa-p256.pub", image, code=1)


@GENERATIONS
def test_keys_go_both_ways(shell, cosign, tmp_path):
    """Cosign reads our key files and we read its, of both kinds it makes or imports."""
    assert called(shell, cosign, "public-key", "--key", "ecdsa-p256.key") == 0, shell.err
    assert shell.out.strip() == (shell.root / "ecdsa-p256.pub").read_text().strip()
    prefix = f"made-by-{cosign}"
    assert called(shell, cosign, "generate-key-pair", "--output-key-prefix", prefix) == 0, shell.err
    assert shell("keys", "public", f"{prefix}.key") == (shell.root / f"{prefix}.pub").read_text().strip().splitlines()


@GENERATIONS
def test_tampering(shell, host, cosign):
    """A signature moved to another image, a changed payload, another digest: refused by both."""
    image, _ = pushed(shell, host, f"tampered-{cosign}")
    shell("sign", "--key", "ecdsa-p256.key", "--format", "old", image)
    place, signed = there(image), shell.store.resolve("api:1").digest
    root, document = place.tagged(f"{fallback_tag(signed)}.sig") or pytest.fail("not there")
    other = put_image(shell.store, "another")
    shell.store.tag("other:1", other)
    moved = f"{image.removesuffix(':1')}:2"
    shell("push", "-q", "other:1", moved)
    place.tag(f"{fallback_tag(other.digest)}.sig", root, document)
    words = ("verify", *LOCAL, "--key", "ecdsa-p256.pub")

    shell("verify", "--key", "ecdsa-p256.pub", moved, code=1)
    assert called(shell, cosign, *words, f"{image.removesuffix(':1')}@{other.digest}") != 0
    manifest = Manifest.parse(document, "it")
    (layer,) = manifest.stack
    payload = read_whole(place, layer).replace(str(signed).encode(), str(Digest.of(b"x")).encode())
    blob = place.add_blob(layer.media_type, payload)
    changed = Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, annotations=layer.annotations)
    new = Manifest.of(manifest.config, (changed,)).encoded()
    place.tag(f"{fallback_tag(signed)}.sig", Descriptor.of(media.OCI_MANIFEST, new), new)
    shell("verify", "--key", "ecdsa-p256.pub", image, code=1)
    assert called(shell, cosign, *words, image) != 0


def test_faults_of_cosign_3(shell, host):
    """What docs/how-to/sign.md says of cosign 3.1: if these fail, it was mended, and the page is to be changed."""
    image, by_digest = pushed(shell, host, "faults")
    shell("attest", "--key", "ecdsa-p256.key", "--type", "spdxjson", "--predicate", "sbom.json", image)
    verify = ("verify", *LOCAL, "--key", "ecdsa-p256.pub", by_digest)

    assert called(shell, "cosign3", *verify) == 0
    assert "spdx" in json.dumps(json.loads(shell.out))
    hidden, by_digest = pushed(shell, host, "hidden")
    shell("sign", "--key", "ecdsa-p256.key", "--format", "old", hidden)
    shell("sign", "--key", "ed25519.key", "--format", "new", hidden)
    assert called(shell, "cosign3", *verify[:-1], by_digest) != 0
    shell("verify", "--key", "ecdsa-p256.pub", hidden)


def test_buildx_reads_attestations_in_the_index(shell, host):
    """`docker buildx imagetools inspect` finds SBOM and provenance that `attest --attach index` put there."""
    image, _ = pushed(shell, host, "buildx")
    for kind in ("spdxjson", "slsaprovenance1"):
        shell("attest", "--attach", "index", "--type", kind, "--predicate", "sbom.json", image)

    def shown(part: str) -> object:
        assert called(shell, "buildx", "imagetools", "inspect", image, "--format", f"{{{{json .{part}}}}}") == 0, (
            shell.err
        )
        return json.loads(shell.out)

    assert shown("SBOM") == {"SPDX": {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"}}
    assert shown("Provenance") == {"SLSA": {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"}}


def test_buildx_reads_what_a_build_attaches(shell, host):
    """SBOM and provenance of each platform, as `build --push --attach index` puts them there."""
    shell.write("site/Dockerfile", "FROM scratch\nCOPY . /\n")
    image = f"{host}/built:1"
    words = ("--sbom", "spdx", "--provenance", "--attach", "index", "--platform", "linux/amd64,linux/arm64")
    shell("build", "site", *words, "-t", image, "--push")

    for part, kind in (("SBOM", "SPDX"), ("Provenance", "SLSA")):
        form = f"{{{{json .{part}}}}}"
        assert called(shell, "buildx", "imagetools", "inspect", image, "--format", form) == 0, shell.err
        found = json.loads(shell.out)
        assert set(found) == {"linux/amd64", "linux/arm64"}
        assert all(kind in one for one in found.values())
    assert found["linux/amd64"]["SLSA"]["buildDefinition"]["buildType"] == "urn:dev.wherry:build:dockerfile:v1"


@GENERATIONS
def test_a_bundle_by_another_hides_nothing(shell, host, cosign):
    """Signed by cosign with our key in the old format, then a bundle by another key: both are found."""
    image, by_digest = pushed(shell, host, f"hidden-{cosign}")
    words = ("sign", "-y", "--allow-http-registry", *NO_LOG[cosign])
    assert called(shell, cosign, *words, "--new-bundle-format=false", "--key", "ecdsa-p256.key", by_digest) == 0
    assert called(shell, cosign, *words, "--new-bundle-format=true", "--key", "ed25519.key", by_digest) == 0, shell.err

    for kind in ("ecdsa-p256", "ed25519"):
        shell("verify", "--key", f"{kind}.pub", image)


def test_cosign_takes_the_old_keyless_signatures_that_we_take(shell, host):
    """The tests' own authority writes what cosign 2 verifies with its trusted root, so what we verify is the format."""
    from keyless_authority import Authority
    from wherry.trust.simple_signing import SIMPLE_SIGNING, SimpleSigning

    image, by_digest = pushed(shell, host, "old-keyless")
    place, digest, authority = there(image), shell.store.resolve("api:1").digest, Authority()
    shell.write("authority.json", authority.trusted_root())
    payload = SimpleSigning.of(digest, image.removesuffix(":1"), {}).encoded()
    said = authority.annotations(payload, identity="ann@example.com", issuer="https://accounts.example")
    blob = place.add_blob(SIMPLE_SIGNING, payload)
    layer = Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, annotations=said)
    config = place.add_blob(media.OCI_CONFIG, signature_config((layer,)))
    document = Manifest.of(config, (layer,)).encoded()
    place.tag(f"{fallback_tag(digest)}.sig", Descriptor.of(media.OCI_MANIFEST, document), document)
    by = ("--certificate-identity", "ann@example.com", "--certificate-oidc-issuer", "https://accounts.example")
    words = ("verify", "--allow-http-registry", "--offline", "--trusted-root", "authority.json", by_digest)

    assert called(shell, "cosign2", *words, *by) == 0, shell.err
    assert called(shell, "cosign2", *words, "--certificate-identity", "bob@example.com", *by[2:]) != 0
