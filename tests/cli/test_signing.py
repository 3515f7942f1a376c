"""sign, verify, attest and verify-attestation, as a user calls them, on a real registry, the store and a layout."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_shell import Shell
from hostile_registry import hostile
from registries import CNCF, distribution, free_port
from small_images import put_image, put_index
from wherry.digest import Digest
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import Reference
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.registry.referrers import RegistryAttachments, fallback_tag
from wherry.store.contract import read_whole
from wherry.store.images import images_of

pytestmark = pytest.mark.slow
SECRET = "planted-password-8f1c"  # noqa: S105 - what a test plants


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry without the referrers API."""
    with distribution(tmp_path_factory.mktemp("registry"), program=CNCF) as running:
        yield running.host


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A user with two keys (unencrypted: scrypt is tested elsewhere), an image and an index."""
    made = Shell(tmp_path_factory.mktemp("signing") / "home")
    for name in ("ann", "bob"):
        made("keys", "new", "--no-password", "-o", name)
    made.store.tag("web:1", put_index(made.store, "web"))
    made.store.tag("api:1", put_image(made.store, "api"))
    made.write("sbom.json", '{"spdxVersion": "SPDX-2.3"}')
    return made


@pytest.fixture
def image(shell: Shell, host: str, request: pytest.FixtureRequest) -> str:
    """An image of one platform in a repository of the test's own."""
    name = f"{host}/{request.node.name.split('[')[0].replace('_', '-')}:1"
    shell("push", "-q", "api:1", name)
    return name


def there(host: str, name: str) -> RegistryAttachments:
    """Open a repository."""
    return RegistryAttachments(Registries(Network(), NoKeyring()).repository(Reference.parse(name)))


def answer(shell: Shell, image: str, *words: str, key: str = "ann.pub") -> str:
    """Verify; give the word, which has to agree with the exit code."""
    codes = {"signed": 0, "not-signed": 1, "signed-by-another": 4, "could-not-ask": 69}
    code = shell.ended("verify", "--key", key, "--json", image, *words)
    said = json.loads(shell.out)["images"][0]["answer"]
    assert codes[said] == code, shell.out
    return said


@pytest.mark.parametrize("form", ["old", "new", "both"])
def test_signed_verified_and_by_another(shell, host, form):
    """Each format; the digest is printed; the other key is another; signing again adds nothing."""
    image = f"{host}/round-{form}:1"
    shell("push", "-q", "api:1", image)
    digest = shell.store.resolve("api:1").digest

    assert answer(shell, image) == "not-signed"
    assert shell("sign", "--key", "ann.key", "--format", form, image) == [f"{image}@{digest}"]
    before = there(host, image).tagged(fallback_tag(digest)), there(host, image).tagged(f"{fallback_tag(digest)}.sig")
    shell("sign", "--key", "ann.key", "--format", form, image)

    assert [bool(one) for one in before] == [form != "old", form != "new"]
    assert before == (
        there(host, image).tagged(fallback_tag(digest)),
        there(host, image).tagged(f"{fallback_tag(digest)}.sig"),
    )
    assert shell("verify", "--key", "ann.pub", image) == [f"{image}@{digest}"]
    assert answer(shell, image) == "signed"
    assert answer(shell, image, key="bob.pub") == "signed-by-another"
    shell("verify", "--key", "bob.pub", image, code=4)
    shell("verify", "--key", "bob.pub", "--key", "ann.pub", image)
    shell("verify", image, code=64)


def test_annotations(shell, image):
    """What the signature has to say is asked for in both formats."""
    shell("sign", "--key", "ann.key", "-a", "env=prod", image)

    assert answer(shell, image, "-a", "env=prod") == "signed"
    assert answer(shell, image, "-a", "env=dev") == "signed-by-another"
    assert answer(shell, image, "-a", "other=1") == "signed-by-another"


def test_annotations_forge_no_line(shell, image):
    """Who holds one key cannot write a second signer into the output, nor send what a terminal obeys."""
    shell("sign", "--key", "ann.key", "-a", "z=1\nsigned  by boss.pub  new", "-a", "a=\x1b[31m", image)

    shell("verify", "--key", "ann.pub", image)
    assert not any(line.startswith("signed  by boss.pub") for line in shell.err.splitlines())
    assert "\x1b" not in shell.err


def test_names_of_keys(shell):
    """An ending that the name has already is not doubled; a name with control characters is refused, and escaped."""
    made = [str(shell.root / f"release.{ending}") for ending in ("key", "pub")]
    for name in ("release", "release.key", "release.pub"):
        assert shell("keys", "new", "--no-password", "--force", "-o", name) == made
    shell("keys", "new", "--no-password", "-o", "\x1b[31mred", code=64)
    shell("keys", "import", "release.key", "--no-password", "-o", "a\nb", code=64)
    shell("keys", "trusted-root", "-o", "\x1b[31mred", code=64)
    assert "\x1b" not in shell.out + shell.err
    assert not list(shell.root.glob("*red*"))


def test_a_trusted_root_that_is_none(shell, image):
    """It is an error about the file, whatever the image has; what it would trust is nobody."""
    shell("sign", "--key", "ann.key", image)
    shell.write("not.json", '{"mediaType": "application/json"}')
    shell("keys", "trusted-root", "-o", "nobody.json", "--force")

    def verified(root: str, code: int, *words: str) -> str:
        by = ("--identity", "a@example.com", "--issuer", "https://a.example", "--trusted-root", root)
        shell("verify", *by, *words, image, code=code)
        return shell.err

    assert "nosuch.json: no such trusted root file" in verified("nosuch.json", 66)
    assert "nosuch.json: no such trusted root file" in verified("nosuch.json", 66, "--key", "ann.pub")
    assert "not.json: not a trusted root" in verified("not.json", 64)
    assert "ann.pub: not a trusted root" in verified("ann.pub", 64)
    assert "nobody.json" in verified("nobody.json", 64)
    assert "layout" in verified(".", 64) or "not a regular file" in shell.err


def test_a_pair_of_keys_is_replaced_whole_or_not_at_all(shell):
    """Where the public key cannot be written, the private one that is there stays."""
    shell.write("old.key", "old")
    (shell.root / "old.pub").mkdir()

    shell("keys", "new", "--no-password", "-o", "old", "--force", code=73)
    assert (shell.root / "old.key").read_text() == "old"


def test_recursive(shell, host):
    """An index is signed alone, or with each manifest below it."""
    image = f"{host}/recursive:1"
    shell("push", "-q", "web:1", image)
    shell("sign", "--key", "ann.key", "--format", "new", image)

    assert len(shell("verify", "--key", "ann.pub", image)) == 1
    shell("verify", "--key", "ann.pub", "--recursive", image, code=1)
    assert len(shell("sign", "--key", "ann.key", "--format", "new", "--recursive", image)) == 3
    assert len(shell("verify", "--key", "ann.pub", "-r", image)) == 3


def test_an_attestation_is_no_signature(shell, image):
    """An image that has only an SBOM by the key is not signed: cosign 3.1 says that it is."""
    attest = ("attest", "--key", "ann.key", "--type", "spdxjson", "--predicate", "sbom.json", image)
    shell(*attest)

    assert answer(shell, image) == "not-signed"
    shell("verify-attestation", "--key", "ann.pub", "--type", "spdxjson", "--json", image)
    found = json.loads(shell.out)["images"][0]["signatures"]
    assert {one["format"] for one in found if one["reason"] == "good"} == {"old", "new"}
    assert all(one["statement"]["predicate"] == {"spdxVersion": "SPDX-2.3"} for one in found)
    shell("verify-attestation", "--key", "ann.pub", "--type", "cyclonedx", image, code=1)
    assert "wherry attest" in shell.err
    assert "only statements of other types: https://spdx.dev/Document" in shell.err
    shell("sign", "--key", "ann.key", image)
    shell("verify-attestation", "--key", "bob.pub", "--type", "spdxjson", image, code=4)
    assert "cosign/sign" not in shell.err
    shell("verify-attestation", "--key", "bob.pub", "--type", "spdxjson", image, code=4)


def test_a_bundle_by_another_hides_nothing(shell, image):
    """Signed the old way by Ann, then a bundle by Bob: for cosign 3.1 that hides Ann's."""
    shell("sign", "--key", "ann.key", "--format", "old", image)
    shell("sign", "--key", "bob.key", "--format", "new", image)

    assert answer(shell, image) == "signed"
    assert answer(shell, image, key="bob.pub") == "signed"


def test_moved_signatures(shell, host, image):
    """Signatures of one image, put under the tags and the list of another, do not count."""
    shell("sign", "--key", "ann.key", image)
    place = there(host, image)
    signed = shell.store.resolve("api:1").digest
    other = put_image(shell.store, "another")
    shell.store.tag("other:1", other)
    moved = f"{image.removesuffix(':1')}:2"
    shell("push", "-q", "other:1", moved)
    for ending in ("", ".sig"):
        root, document = place.tagged(fallback_tag(signed) + ending) or pytest.fail("not there")
        place.tag(fallback_tag(other.digest) + ending, root, document)

    assert answer(shell, moved) == "not-signed"
    reasons = {one["reason"] for one in json.loads(shell.out)["images"][0]["signatures"]}
    assert reasons == {"another-image"}


def test_tampering(shell, host, image):
    """A payload, a signature, an annotation and a manifest that are others are refused."""
    shell("sign", "--key", "ann.key", "--format", "old", image)
    place = there(host, image)
    digest = shell.store.resolve("api:1").digest
    tag = f"{fallback_tag(digest)}.sig"
    _, document = place.tagged(tag) or pytest.fail("not there")
    manifest = Manifest.parse(document, tag)
    (layer,) = manifest.stack
    payload = read_whole(place, layer).replace(b'"optional":null', b'"optional":{"env":"prod"}')

    def under_tag(changed: Descriptor) -> None:
        new = Manifest.of(manifest.config, (changed,)).encoded()
        place.tag(tag, Descriptor.of(media.OCI_MANIFEST, new), new)

    blob = place.add_blob(layer.media_type, payload)
    under_tag(Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, annotations=layer.annotations))
    assert answer(shell, image) == "signed-by-another"
    forged = {"dev.cosignproject.cosign/signature": "AAAA"}
    under_tag(Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size, annotations=forged))
    assert answer(shell, image) == "signed-by-another"
    shell("push", "-q", "web:1", image)  # the tag is another image now
    assert answer(shell, image) == "not-signed"


def test_could_not_ask(shell, host, image):
    """A registry that is away is not "not signed"; what is under the list's tag and is no list is not replaced."""
    digest = shell.store.resolve("api:1").digest
    place = there(host, image)
    config, layer = Descriptor.of(media.OCI_EMPTY, b"{}"), place.add_blob("text/plain", b"x")
    place.add_blob(config.media_type, b"{}")
    odd = Manifest.of(config, (layer,)).encoded()

    assert answer(shell, f"127.0.0.1:{free_port()}/api:1") == "could-not-ask"
    place.tag(f"{fallback_tag(digest)}", Descriptor.of(media.OCI_MANIFEST, odd), odd)
    assert answer(shell, image) == "not-signed"
    shell("sign", "--key", "ann.key", "--format", "new", image, code=65)
    assert (place.tagged(fallback_tag(digest)) or (None, b""))[1] == odd
    shell("verify", "--key", "ann.pub", f"{host}/nothing:1", code=66)


def test_local_store_layout_and_copy(shell, host, image):
    """Signatures are stored next to an image in the store and in a layout, and go along with `copy`."""
    shell.store.tag("local:1", shell.store.resolve("api:1"))
    shell("sign", "--key", "ann.key", "local:1")
    shell("attest", "--key", "ann.key", "--type", "spdxjson", "--predicate", "sbom.json", "local:1")
    listed = json.loads("\n".join(shell("images", "--json")))

    assert answer(shell, "local:1") == "signed"
    assert answer(shell, "api:1") == "not-signed"
    assert not any("sha256-" in row["name"] for row in listed)
    shell("copy", "--with-referrers", "local:1", image)
    assert answer(shell, image) == "signed"
    shell("sign", "--key", "bob.key", image)
    shell("copy", "--with-referrers", image, "oci:layout:1")
    shell("copy", "--with-referrers", image, "oci:layout:1")
    for key in ("ann.pub", "bob.pub"):
        assert answer(shell, "oci:layout", key=key) == "signed"
        shell("verify-attestation", "--key", "ann.pub", "--type", "spdxjson", "oci:layout")
    assert sum("attachment" in line for line in shell("tree", "./layout")) == 3
    shell("copy", "--with-referrers", image, "oci-archive:x.tar", code=64)
    shell("save", "api:1", "-o", "a.tar")
    shell("sign", "--key", "ann.key", "a.tar", code=64)


def test_attached_where_others_look(shell, host):
    """As a referrer of the document's own type on index and manifests; in the index as BuildKit's manifests."""
    image = f"{host}/attached:1"
    shell("push", "-q", "web:1", image)
    old = shell.store.resolve("web:1").digest
    (named,) = shell("attest", "--attach", "both", "--type", "spdxjson", "--predicate", "sbom.json", image)
    place = there(host, image)
    new = Digest.parse(named.rpartition("@")[2])
    index = Index.parse(read_whole(place.repository, place.repository.resolve("1")), "it")

    assert new == place.repository.resolve("1").digest != old
    images, proofs = index.manifests[:2], index.manifests[2:]
    assert [one.annotations["vnd.docker.reference.digest"] for one in proofs] == [one.digest for one in images]
    assert {str(one.platform.platform) for one in proofs if one.platform} == {"unknown/unknown"}
    statement = Manifest.parse(read_whole(place, proofs[0]), "it").stack[0]
    assert statement.annotations == {"in-toto.io/predicate-type": "https://spdx.dev/Document"}
    assert json.loads(read_whole(place, statement))["subject"][0]["digest"]["sha256"] == images[0].digest.encoded
    for subject in (new, *(one.digest for one in images)):
        kinds = [one.artifact_type for one in place.referrers(subject)]
        assert "application/spdx+json" in kinds
    shell("attest", "--attach", "index", "--type", "spdxjson", "--predicate", "sbom.json", f"{image}@{new}", code=64)
    shell("attest", "--type", "spdxjson", "--predicate", "sbom.json", image, code=64)
    shell("attest", "--attach", "index", "--type", "cyclonedx", "--predicate", "sbom.json", image)
    again = Index.parse(read_whole(place.repository, place.repository.resolve("1")), "it")
    assert len(again.manifests) == 4
    assert len(Manifest.parse(read_whole(place, again.manifests[2]), "it").stack) == 2


def plug_in(shell: Shell) -> Path:
    """Put a plug-in on PATH that signs with a key of the user's; give the file that it writes its arguments to."""
    shell("keys", "new", "--no-password", "-o", "spied")
    program = shell.root / "sigstore-kms-spy"
    program.write_text(f"""#!{sys.executable}
import base64, json, sys
open("arguments", "a").write(repr(sys.argv))
from wherry.trust.key_files import read_key
from pathlib import Path
key = read_key(Path("spied.key").read_bytes(), "it", bytes)
if "publicKey" in json.loads(sys.argv[2]):
    print(json.dumps({{"publicKey": {{"publicKeyPEM": base64.b64encode(key.public.pem.encode()).decode()}}}}))
else:
    print(json.dumps({{"signMessage": {{"signature": base64.b64encode(key.sign(sys.stdin.buffer.read())).decode()}}}}))
""")
    program.chmod(0o755)
    shell.environment["PATH"] = f"{shell.root}:{shell.environment['PATH']}"
    shell.store.tag("api:1", put_image(shell.store, "api"))
    return shell.root / "arguments"


def test_secrets_stay_secret(shell, host, image, tmp_path):
    """The password and the key are in no output, no argument, no traceback, and nothing that is stored."""
    home = Shell(tmp_path / "home")
    home.environment["COSIGN_PASSWORD"] = SECRET
    calls = [
        ("keys", "new", "-o", "k"),
        ("--debug", "sign", "--key", "k.key", image),
        ("--debug", "sign", "--key", "env://KEY", image),
        ("--debug", "sign", "--key", "k.key", f"127.0.0.1:{free_port()}/a:1"),
        ("--debug", "keys", "public", "broken.key"),
    ]
    home("keys", "new", "--no-password", "-o", "plain")
    plain = (home.root / "plain.key").read_text()
    planted = [SECRET, plain.splitlines()[1][:40]]
    home.write("broken.key", plain.replace(plain.splitlines()[1][:20], "!" * 20))
    said = ""
    for call in calls:
        if "env://KEY" in call:
            home.environment["KEY"] = plain
        done = subprocess.run(
            [sys.executable, "-m", "wherry", *call],
            cwd=home.root, env=home.environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        said += done.stdout + done.stderr
    arguments = plug_in(home)
    home("sign", "--key", "spy://slot", "api:1")
    assert "slot" in arguments.read_text()
    said += arguments.read_text()
    home.ended("verify", "--key", "plain.key", image)
    said += home.out + home.err
    stored = b"".join(
        file.read_bytes() for file in Path(home.root).rglob("*") if file.is_file() and file.suffix != ".key"
    )

    for secret in planted:
        assert secret not in said
        assert secret.encode() not in stored
    home("sign", "--key", plain, image, code=64)
    assert planted[1] not in home.err


def test_required_signatures(shell, host, tmp_path):
    """`[trust] require`: what is not signed is not pulled, run or built on; what is signed is."""
    home = Shell(tmp_path / "home")
    for name in ("ann.pub", "bob.pub"):
        home.write(name, (shell.root / name).read_text())
    home.module()
    signed, unsigned = f"{host}/required/signed:1", f"{host}/required/unsigned:1"
    for image in (signed, unsigned):
        shell("push", "-q", "api:1", image)
    store = shell.store
    store.tag("plain:1", put_image(store, "plain"))
    shell("push", "-q", "plain:1", unsigned)
    shell("sign", "--key", "ann.key", signed)
    home("pull", unsigned)
    home.write("wherry.toml", '[trust]\nrequire = "ann.pub"\n')

    home("pull", signed)
    home("pull", "-t", "x:1", unsigned, code=1)
    home("run", unsigned, code=1)
    home("build", "--base", unsigned, "-t", "on:unsigned", ".", code=1)
    home.write("Dockerfile", f"FROM {unsigned}\nCOPY go.mod /\n")
    home("build", "-f", "Dockerfile", "-t", "on:unsigned", ".", code=1)
    home.write("Dockerfile", f"FROM {signed}\nCOPY go.mod /\n")
    home("build", "-f", "Dockerfile", "-t", "on:signed", ".")
    assert not any("x:1" in line for line in home("images"))
    home.write("wherry.toml", '[trust]\nrequire = "bob.pub"\n')
    home("pull", signed, code=4)
    home.write("wherry.toml", f'[trust]\nrequire = [{{ images = "{host}/other/**", keys = ["bob.pub"] }}]\n')
    home("pull", unsigned)
    for wrong in (
        "require = 1",
        "require = []",
        'requires = "x"',
        'require = [{ keys = "x" }]',
        'require = [{ key = ["x"] }]',
    ):
        home.write("wherry.toml", f"[trust]\n{wrong}\n")
        home("pull", unsigned, code=78)


class MovingTag(dict[str, tuple[str, bytes]]):
    """Manifests of a registry in which a tag is another image from the second look on."""

    def __init__(self, manifests: dict[str, tuple[str, bytes]], tag: str, other: tuple[str, bytes]) -> None:
        super().__init__(manifests)
        self.tag, self.other, self.looks = tag, other, 0

    def __getitem__(self, reference: str) -> tuple[str, bytes]:
        """Give a manifest."""
        if reference != self.tag:
            return super().__getitem__(reference)
        self.looks += 1
        return super().__getitem__(reference) if self.looks == 1 else self.other


def test_a_tag_that_moves(shell, tmp_path):
    """What was verified is what is used, pulled, built on, judged and signed, wherever the tag points meanwhile."""
    home = Shell(tmp_path / "home")
    for name in ("ann.pub", "ann.key"):
        home.write(name, (shell.root / name).read_text())
    home.write("wherry.toml", '[trust]\nrequire = "ann.pub"\n')
    home.write("p.toml", "[[rule]]\nsigned-by = ['ann.pub']\n")
    signed, unsigned = shell.store.resolve("api:1"), put_image(shell.store, "evil")
    shell.store.tag("evil:1", unsigned)
    with hostile() as registry:
        image = f"{registry.host}/app:1"
        shell("push", "-q", "evil:1", image)
        evil = registry.manifests["1"]
        shell("push", "-q", "api:1", image)
        shell("sign", "--key", "ann.key", image)
        there = dict(registry.manifests)

        def moved() -> None:
            registry.manifests = MovingTag(there, "1", evil)

        for words in (("pull", "-t", "pulled:1", image), ("pull", "-t", "digest:1", f"{image}@{signed.digest}")):
            moved()
            assert home(*words)[0].endswith(str(signed.digest))
        moved()
        assert shell("verify", "--key", "ann.pub", image) == [f"{image}@{signed.digest}"]
        moved()
        assert home("sign", "--key", "ann.key", image) == [f"{image}@{signed.digest}"]
        moved()
        home("check", image, "--policy", "p.toml", "--json")
        assert json.loads(home.out)["digest"] == signed.digest
        home.write("app/Dockerfile", f"FROM {image}\nLABEL a=b\n")
        moved()
        home("build", "app", "-t", "on:1")
        (made,) = images_of(home.store, home.store.resolve("on:1"))
        (base,) = images_of(shell.store, signed)
        assert [one.digest for one in made.manifest.stack] == [one.digest for one in base.manifest.stack]
        registry.manifests = {**there, "1": evil}
        home("pull", image, code=1)
        home("build", "app", "-t", "on:1", "--pull", code=1)
