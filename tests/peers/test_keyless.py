"""Signatures by an identity, with certificates and logs of the test's own, verified by sigstore-python, offline."""

import base64
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli_shell import Shell
from keyless_authority import Authority
from small_images import put_image
from wherry.app.attachments import LocalAttachments
from wherry.app.signing import DSSE_LAYER, put_referrer
from wherry.digest import Digest
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.registry.referrers import fallback_tag
from wherry.trust.bundle import BUNDLE, SignatureBundle
from wherry.trust.keyless import KeylessJudge
from wherry.trust.signature import Reason, WantedSigner, judge_bundle, judge_layer
from wherry.trust.simple_signing import SIMPLE_SIGNING, SimpleSigning
from wherry.trust.statement import SIGNED, Statement

pytest.importorskip("sigstore", reason="sigstore is not installed (`make peers` installs it)")
pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ISSUER, ANN = "https://accounts.example", "ann@example.com"


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A certificate authority and logs."""
    return Authority()


@pytest.fixture
def shell(tmp_path: Path, authority: Authority) -> Iterator[Shell]:
    """A user with an image and the authority's trusted root, and without a network."""
    made = Shell(tmp_path / "home")
    made.write("root.json", authority.trusted_root())
    made.write("other.json", Authority().trusted_root())
    made.store.tag("api:1", put_image(made.store, "api"))
    before = socket.socket.connect

    def refused(self: socket.socket, address: object) -> None:
        raise AssertionError(f"asked {address}")

    socket.socket.connect = refused  # type: ignore[method-assign]  # whoever asks a network fails the test
    try:
        yield made
    finally:
        socket.socket.connect = before  # type: ignore[method-assign]


def attach(shell: Shell, bundle: dict[str, object]) -> None:
    """Attach a bundle to the image."""
    root = shell.store.resolve("api:1")
    place = LocalAttachments(shell.store, "api")
    with shell.store.writing():
        layer = place.add_blob(BUNDLE, json.dumps(bundle).encode())
        put_referrer(place, Descriptor(media_type=root.media_type, digest=root.digest, size=root.size), layer)


def signed(shell: Shell, authority: Authority, kind: str = SIGNED) -> dict[str, object]:
    """Sign the image as Ann."""
    payload = Statement.about(shell.store.resolve("api:1").digest, kind).encoded()
    return authority.bundle(payload, identity=ANN, issuer=ISSUER)


def verify(shell: Shell, *words: str, identity: str = ANN, issuer: str = ISSUER, root: str = "root.json") -> int:
    """Verify by identity."""
    return shell.ended("verify", "--identity", identity, "--issuer", issuer, "--trusted-root", root, *words, "api:1")


def test_an_identity(shell, authority):
    """The right identity and issuer by the right root; an expression; nothing else."""
    attach(shell, signed(shell, authority))

    assert verify(shell) == 0, shell.err
    assert ANN in shell.err
    by_pattern = ("verify", "--identity-regexp", r".*@example\.com", "--issuer", ISSUER, "--trusted-root", "root.json")
    shell(*by_pattern, "api:1")
    assert verify(shell, identity="bob@example.com") == 4
    assert verify(shell, issuer="https://else.example") == 4
    assert verify(shell, root="other.json") == 4
    shell("verify", "--identity", ANN, "--issuer", ISSUER, "api:1", code=64)
    shell("verify", "--identity", ANN, "--trusted-root", "root.json", "api:1", code=64)
    shell("keys", "trusted-root", "-o", "empty.json")
    assert verify(shell, root="empty.json") == 64
    assert verify(shell, root="nosuch.json") == 66


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["verificationMaterial"]["tlogEntries"].clear(),
        lambda it: it["verificationMaterial"]["tlogEntries"][0]["inclusionProof"].update(rootHash="AAAA"),
        lambda it: it["verificationMaterial"]["tlogEntries"][0]["inclusionProof"].pop("checkpoint"),
        lambda it: it["verificationMaterial"]["tlogEntries"][0].update(integratedTime="1"),
        lambda it: it["verificationMaterial"]["tlogEntries"][0].update(canonicalizedBody="e30="),
        lambda it: it["verificationMaterial"]["certificate"].update(rawBytes="AAAA"),
        lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
        lambda it: it["verificationMaterial"].pop("certificate"),
    ],
)
def test_forged(shell, authority, change):
    """A bundle without its proofs, or with others, does not count and is no traceback."""
    bundle = signed(shell, authority)
    change(bundle)
    attach(shell, bundle)

    assert verify(shell) == 4, shell.err


def test_an_attestation_by_an_identity(shell, authority):
    """It is no signature, and found as what it is."""
    attach(shell, signed(shell, authority, "https://spdx.dev/Document"))

    assert verify(shell) == 1
    by = ("--identity", ANN, "--issuer", ISSUER, "--trusted-root", "root.json")
    shell("verify-attestation", "--type", "spdxjson", *by, "api:1")


def attach_old(shell: Shell, ending: str, layer: Descriptor, content: bytes) -> None:
    """Store a layer under a tag of the old format."""
    place, digest = LocalAttachments(shell.store, "api"), shell.store.resolve("api:1").digest
    with shell.store.writing():
        blob = place.add_blob(layer.media_type, content)
        config = place.add_blob(media.OCI_CONFIG, b"{}")
        document = Manifest.of(config, (msgspec.structs.replace(blob, annotations=layer.annotations),)).encoded()
        place.tag(f"{fallback_tag(digest)}{ending}", Descriptor.of(media.OCI_MANIFEST, document), document)


def signed_old(shell: Shell, authority: Authority, **changes: str) -> None:
    """Sign as Ann in the old format, as cosign 2 does; some annotations are others."""
    payload = SimpleSigning.of(shell.store.resolve("api:1").digest, "api", {}).encoded()
    said = authority.annotations(payload, identity=ANN, issuer=ISSUER)
    said |= {f"dev.sigstore.cosign/{name}": text for name, text in changes.items()}
    attach_old(
        shell, ".sig", Descriptor(media_type=SIMPLE_SIGNING, digest=Digest.of(b""), size=0, annotations=said), payload
    )


def test_the_old_format(shell, authority):
    """A signature and an attestation with a certificate and a log's promise, and no bundle."""
    signed_old(shell, authority)
    statement = Statement.about(shell.store.resolve("api:1").digest, "https://spdx.dev/Document").encoded()
    content, said = authority.envelope(statement, identity=ANN, issuer=ISSUER)
    attach_old(
        shell, ".att", Descriptor(media_type=DSSE_LAYER, digest=Digest.of(b""), size=0, annotations=said), content
    )

    assert verify(shell) == 0, shell.err
    assert f"by {ANN}" in shell.err
    assert verify(shell, identity="bob@example.com") == 4
    assert verify(shell, issuer="https://else.example") == 4
    assert verify(shell, root="other.json") == 4
    by = ("--identity", ANN, "--issuer", ISSUER, "--trusted-root", "root.json")
    shell("verify-attestation", "--type", "spdxjson", *by, "api:1")
    shell("verify-attestation", "--type", "spdxjson", *by[:1], "bob@example.com", *by[2:], "api:1", code=4)
    shell("keys", "new", "--no-password", "-o", "k")
    shell("verify", "--key", "k.pub", "api:1", code=4)
    shell("verify", "--key", "k.pub", *by, "api:1")


def forged_entry(authority: Authority, payload: bytes, change: "Callable[[dict[str, Any]], object]") -> str:
    """Change the log's entry of a signature."""
    entry = json.loads(authority.annotations(payload, identity=ANN, issuer=ISSUER)["dev.sigstore.cosign/bundle"])
    change(entry)
    return json.dumps(entry)


@pytest.mark.parametrize("change", [
    lambda it: it.clear(), lambda it: it.update(SignedEntryTimestamp="AAAA"), lambda it: it.pop("SignedEntryTimestamp"),
    lambda it: it["Payload"].update(integratedTime=1), lambda it: it["Payload"].update(integratedTime="1"),
    lambda it: it["Payload"].update(logID="00"), lambda it: it["Payload"].update(body="e30="), lambda it: None,
])  # fmt: skip
def test_forged_entries(shell, authority, change):
    """Without the log's promise, with that of another signature or of another log, a certificate proves nothing."""
    payload = SimpleSigning.of(shell.store.resolve("api:1").digest, "api", {}).encoded()
    signed_old(shell, authority, bundle=forged_entry(authority, payload, change))

    assert verify(shell) == 4, shell.err


def test_certificates_of_others(shell, authority):
    """A certificate of an authority that the root does not name, none, and an expired one by the log's own time."""
    other = Authority()
    payload = SimpleSigning.of(shell.store.resolve("api:1").digest, "api", {}).encoded()
    theirs = other.annotations(payload, identity=ANN, issuer=ISSUER)
    for name in (
        "",
        theirs["dev.sigstore.cosign/certificate"],
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ):
        signed_old(shell, authority, certificate=name)
        assert verify(shell) == 4, shell.err
    signed_old(shell, authority, bundle="")
    assert verify(shell) == 4
    assert "nothing shows that a transparency log has it" in shell.err


def test_two_readers_of_one_document(shell, authority):
    """A key that stands twice cannot have one envelope verified and another one believed."""
    image, other = shell.store.resolve("api:1").digest, Digest.of(b"other")
    good = json.dumps(authority.bundle(Statement.about(other, SIGNED).encoded(), identity=ANN, issuer=ISSUER))
    forged = json.loads(good)["dsseEnvelope"]
    forged["payload"] = base64.b64encode(Statement.about(image, SIGNED).encoded()).decode()
    words = json.dumps(forged)
    place = LocalAttachments(shell.store, "api")
    root = shell.store.resolve("api:1")
    for text in (
        good[:-1] + f', "dsseEnvelope": {words}}}',
        f'{{"dsseEnvelope": {words}, ' + good[1:],
        good[:-1] + f', "dsse_envelope": {words}}}',
        good.replace('"dsseEnvelope"', '"dsse_envelope"')[:-1] + f', "dsseEnvelope": {words}}}',
    ):
        with shell.store.writing():
            layer = place.add_blob(BUNDLE, text.encode())
            put_referrer(place, Descriptor(media_type=root.media_type, digest=root.digest, size=root.size), layer)

    assert verify(shell) in {1, 4}, shell.err


@pytest.fixture(scope="module")
def by_ann(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> WantedSigner:
    """What verifies Ann's signatures, without a command line around it."""
    root = tmp_path_factory.mktemp("root") / "root.json"
    root.write_text(authority.trusted_root())
    return WantedSigner(identity=KeylessJudge(root, ISSUER, ANN))


IMAGE = Digest.of(b"image")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_changed_byte_counts(authority, by_ann, data):
    """A bundle, a certificate or a log's entry with another byte is an answer, and good only if it says the same."""
    document = json.dumps(authority.bundle(Statement.about(IMAGE, SIGNED).encoded(), identity=ANN, issuer=ISSUER))
    payload = SimpleSigning.of(IMAGE, "api", {}).encoded()
    said = authority.annotations(payload, identity=ANN, issuer=ISSUER)
    assert judge_bundle(document.encode(), by_ann, image=IMAGE, manifest="m").reason is Reason.GOOD
    assert judge_layer(payload, said, by_ann, image=IMAGE, layer="l").reason is Reason.GOOD

    def changed(text: bytes) -> bytes:
        place, other, cut = (data.draw(st.integers(low, 9999)) for low in (0, 1, 0))
        if data.draw(st.booleans()):
            return text[: cut % len(text)]
        place %= len(text)
        return text[:place] + bytes([text[place] ^ (other % 255 + 1)]) + text[place + 1 :]

    new = changed(document.encode())
    if judge_bundle(new, by_ann, image=IMAGE, manifest="m").reason is Reason.GOOD:
        assert SignatureBundle.parse(new, "m").dsse_envelope.payload == Statement.about(IMAGE, SIGNED).encoded()
    name = data.draw(st.sampled_from(sorted(said)))
    other = {**said, name: changed(said[name].encode()).decode(errors="replace")}
    judge_layer(payload, other, by_ann, image=IMAGE, layer="l")
    new = changed(payload)
    assert judge_layer(new, said, by_ann, image=IMAGE, layer="l").reason is not Reason.GOOD or new == payload


def test_a_policy_by_identity(shell, authority):
    """`signed-by` and `attested` take an identity; a trusted root that is not there is an error about the file."""
    signed_old(shell, authority)
    attach(shell, signed(shell, authority, "https://spdx.dev/Document"))
    ann = f'issuer = "{ISSUER}", trusted-root = "../root.json"'
    shell.write("policies/p.toml", f"""[[rule]]
name = "signed"
signed-by = {{ identity = "{ANN}", {ann} }}

[[rule]]
name = "attested"
attested = {{ type = "spdxjson", identity-regexp = ".*@example[.]com", {ann} }}

[[rule]]
name = "bob"
signed-by = {{ identity = "bob@example.com", {ann} }}
""")  # fmt: skip
    shell("check", "api:1", "--policy", "policies/p.toml", "--json", code=1)
    found = json.loads(shell.out)

    assert {one["name"]: one["holds"] for one in found["rules"]} == {"signed": True, "attested": True, "bob": False}
    assert found["rules"][0]["reason"] == f"signed by {ANN}"
    shell.write(
        "case.toml",
        f"""[[case]]
expect = "fail"
fails = ["attested", "bob"]
[case.evidence]
signatures = [{{ identity = "{ANN}", issuer = "{ISSUER}", trustedRoot = "../root.json", answer = "signed" }}]
""",
    )
    shell("policy", "test", "policies/p.toml", "case.toml")
    (shell.root / "root.json").unlink()
    shell("check", "api:1", "--policy", "policies/p.toml", code=66)
    assert "../root.json: no such trusted root file" in shell.err
