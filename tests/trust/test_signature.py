"""The judge of signatures: who signed what, and everything that does not count."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.digest import Digest
from wherry.errors import InvalidDocument, InvalidUsage
from wherry.trust.bundle import SignatureBundle
from wherry.trust.dsse import INTOTO, DsseSignature, Envelope, pae
from wherry.trust.keys import KeyKind, PrivateKey
from wherry.trust.layer_certificate import LOGGED, CertifiedLayer
from wherry.trust.signature import (
    Reason,
    SignatureAnswer,
    WantedSigner,
    answer_of,
    judge_bundle,
    judge_envelope,
    judge_layer,
)
from wherry.trust.simple_signing import CERTIFICATE, SIGNATURE, SimpleSigning
from wherry.trust.statement import SIGNED, Statement, predicate_types

IMAGE, OTHER = Digest.of(b"image"), Digest.of(b"other")
ANN, BOB = PrivateKey.new(KeyKind.ECDSA), PrivateKey.new(KeyKind.ED25519)
BY_ANN = WantedSigner(keys=(ANN.public,))
SPDX = "https://spdx.dev/Document"


def bundle(key=ANN, image=IMAGE, kind=SIGNED, **annotations) -> bytes:
    """Sign a statement."""
    payload = Statement.about(image, kind, annotations=annotations).encoded()
    return SignatureBundle.by_key(Envelope.of(payload, key.sign(pae(INTOTO, payload))), key.public).encoded()


def layer(key=ANN, image=IMAGE, **annotations) -> tuple[bytes, dict[str, str]]:
    """Sign in the old format; give payload and annotations."""
    payload = SimpleSigning.of(image, "example.com/api", annotations).encoded()
    return payload, {SIGNATURE: base64.b64encode(key.sign(payload)).decode()}


def judged(document: bytes, wanted=BY_ANN, **more) -> Reason:
    """Judge a bundle."""
    return judge_bundle(document, wanted, image=IMAGE, manifest="sha256:0", **more).reason


@pytest.mark.parametrize("key", [ANN, BOB])
def test_good_ones(key):
    """Both kinds of keys, both formats."""
    wanted = WantedSigner(keys=(key.public,))

    assert judged(bundle(key), wanted) is Reason.GOOD
    assert judge_layer(*layer(key), wanted, image=IMAGE, layer="l").reason is Reason.GOOD


def test_what_does_not_count():
    """Another key, a signature of another image that was moved here, an attestation, a missing annotation."""
    assert judged(bundle(BOB)) is Reason.ANOTHER_SIGNER
    assert judged(bundle(image=OTHER)) is Reason.ANOTHER_IMAGE
    assert judged(bundle(kind=SPDX)) is Reason.ATTESTATION
    assert judged(bundle(), predicate_types=(SPDX,)) is Reason.ATTESTATION
    asked = WantedSigner(keys=(ANN.public,), annotations={"env": "prod"})
    assert judged(bundle(), asked) is Reason.ANNOTATIONS
    assert judged(bundle(env="dev"), asked) is Reason.ANNOTATIONS
    assert judged(bundle(env="prod"), asked) is Reason.GOOD
    assert judge_layer(*layer(BOB), BY_ANN, image=IMAGE, layer="l").reason is Reason.ANOTHER_SIGNER
    assert judge_layer(*layer(image=OTHER), BY_ANN, image=IMAGE, layer="l").reason is Reason.ANOTHER_IMAGE
    assert judge_layer(*layer(), asked, image=IMAGE, layer="l").reason is Reason.ANNOTATIONS
    assert judge_layer(layer()[0], {SIGNATURE: "!"}, BY_ANN, image=IMAGE, layer="l").reason is Reason.MALFORMED
    assert judge_layer(layer()[0], {}, BY_ANN, image=IMAGE, layer="l").reason is Reason.ANOTHER_SIGNER


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["dsseEnvelope"]["signatures"].append(it["dsseEnvelope"]["signatures"][0]),
        lambda it: it["dsseEnvelope"].update(signatures=[]),
        lambda it: it["dsseEnvelope"].update(payloadType="application/json"),
        lambda it: it["dsseEnvelope"].update(payload="e30="),
        lambda it: it["dsseEnvelope"].update(payload="!"),
        lambda it: it.update(mediaType="application/json"),
        lambda it: it.pop("verificationMaterial"),
        lambda it: it.pop("dsseEnvelope"),
    ],
)
def test_malformed_bundles(change):
    """Two signatures, none, another payload type, parts that are missing."""
    document = json.loads(bundle())
    change(document)

    assert judged(json.dumps(document).encode()) is Reason.MALFORMED


def test_a_bundle_with_a_certificate():
    """It is read; by a key it is another's, and by an identity it is for the judge of identities."""
    document = json.loads(bundle())
    document["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}

    class Anybody:
        """Accepts all."""

        def check(self, bundle: bytes, name: str) -> str:
            """Give a name."""
            assert json.loads(bundle) == document
            return "ann@example.com"

    assert judged(json.dumps(document).encode()) is Reason.ANOTHER_SIGNER
    assert judged(json.dumps(document).encode(), WantedSigner(identity=Anybody())) is Reason.GOOD
    assert judged(bundle(), WantedSigner(identity=Anybody())) is Reason.ANOTHER_SIGNER


def test_swapped_payload_types():
    """A signature over the same bytes as another type is not one over a statement."""
    payload = Statement.about(IMAGE, SIGNED).encoded()
    forged = Envelope(payload, INTOTO, (DsseSignature(ANN.sign(pae("application/json", payload))),))
    plain = Envelope(payload, INTOTO, (DsseSignature(ANN.sign(payload)),))

    for envelope in (forged, plain):
        assert judged(SignatureBundle.by_key(envelope, ANN.public).encoded()) is Reason.ANOTHER_SIGNER


@given(st.integers(0, 2000), st.integers(1, 255))
def test_no_changed_byte_counts(place, change):
    """A bundle with a byte that is another is good only if what it says is the same."""
    document = bytearray(bundle())
    document[place % len(document)] ^= change
    result = judge_bundle(bytes(document), BY_ANN, image=IMAGE, manifest="m")

    if result.reason is Reason.GOOD:
        good = SignatureBundle.parse(bundle(), "m").dsse_envelope
        assert SignatureBundle.parse(bytes(document), "m").dsse_envelope == good


@given(st.binary(max_size=200))
def test_any_bytes(document):
    """Nothing but an answer comes of any bytes."""
    assert judged(document) is Reason.MALFORMED
    assert judge_layer(document, {SIGNATURE: ""}, BY_ANN, image=IMAGE, layer="l").reason is Reason.MALFORMED
    old = judge_envelope(document, BY_ANN, image=IMAGE, layer="l", predicate_types=(SPDX,))
    assert old.reason is Reason.MALFORMED


def test_answers():
    """One good signature is enough; an unasked place is not "not signed"; attestations are not signatures."""
    good, bad, other = (
        judge_bundle(one, BY_ANN, image=IMAGE, manifest="m") for one in (bundle(), bundle(BOB), bundle(kind=SPDX))
    )
    failure = OSError("no route")

    assert answer_of([bad, good], [failure]) is SignatureAnswer.SIGNED
    assert answer_of([bad], []) is SignatureAnswer.BY_ANOTHER
    assert answer_of([bad], [failure]) is SignatureAnswer.COULD_NOT_ASK
    assert answer_of([other], []) is SignatureAnswer.NOT_SIGNED
    assert answer_of([], []) is SignatureAnswer.NOT_SIGNED


def test_envelopes_have_no_key_id():
    """Cosign finds no signature in an envelope with one."""
    assert b"keyid" not in bundle()


def test_types():
    """Cosign's short names and URIs; nothing else."""
    assert predicate_types("spdxjson") == (SPDX,)
    assert predicate_types("https://example.com/x") == ("https://example.com/x",)
    with pytest.raises(InvalidUsage):
        predicate_types("sbom")
    with pytest.raises(InvalidDocument):
        Statement.parse(b'{"_type":"https://in-toto.io/Statement/v2","subject":[]}', "it")


def certified(**changes: object) -> dict[str, str]:
    """Give annotations as cosign 2 writes them for a signature with a certificate."""
    body = base64.b64encode(b'{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{}}').decode()
    logged = {"body": body, "integratedTime": 1_700_000_000, "logIndex": 7, "logID": "c0d2"} | changes
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    entry = json.dumps({"SignedEntryTimestamp": "AAAA", "Payload": logged})
    return {CERTIFICATE: pem, LOGGED: entry, SIGNATURE: "AAAA"}


class Recorder:
    """Accepts all, and keeps what it was given."""

    given: CertifiedLayer

    def check(self, _bundle: bytes, name: str) -> str:
        """Accept no bundle."""
        raise InvalidDocument(name, "not asked for")

    def check_layer(self, layer: CertifiedLayer, _name: str) -> str:
        """Give a name."""
        self.given = layer
        return "ann@example.com"


def test_a_certificate_in_annotations():
    """The judge of identities gets it as a bundle; by a key it is another's; a good key needs no certificate."""
    payload, signed = layer()
    judge = Recorder()
    wanted = WantedSigner(identity=judge)

    assert judge_layer(payload, certified(), wanted, image=IMAGE, layer="l").reason is Reason.GOOD
    document = json.loads(judge.given.bundle)
    (entry,) = document["verificationMaterial"]["tlogEntries"]
    assert entry["logIndex"] == "7"
    assert entry["kindVersion"] == {"kind": "hashedrekord", "version": "0.0.1"}
    assert base64.b64decode(entry["logId"]["keyId"]) == b"\xc0\xd2"
    assert judge.given.content == payload
    assert judge_layer(payload, certified(), BY_ANN, image=IMAGE, layer="l").reason is Reason.ANOTHER_SIGNER
    assert judge_layer(payload, {**certified(), **signed}, BY_ANN, image=IMAGE, layer="l").reason is Reason.GOOD
    assert judge_layer(payload, signed, wanted, image=IMAGE, layer="l").reason is Reason.ANOTHER_SIGNER
    moved = layer(image=OTHER)[0]
    assert judge_layer(moved, certified(), wanted, image=IMAGE, layer="l").reason is Reason.ANOTHER_IMAGE


@pytest.mark.parametrize("said", [
    {**certified(), LOGGED: ""}, {**certified(), LOGGED: "{}"}, {**certified(), LOGGED: "[" * 100_000},
    {**certified(), LOGGED: " " * (1 << 17)}, certified(logID="x"), certified(body="e30="), certified(body="!"),
    certified(integratedTime=0), certified(integratedTime=-1), certified(logIndex=-1), certified(logIndex="7"),
    {**certified(), CERTIFICATE: ""}, {**certified(), CERTIFICATE: certified()[CERTIFICATE] * 2},
    {**certified(), CERTIFICATE: "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----"},
    {**certified(), CERTIFICATE: "-----BEGIN CERTIFICATE-----" + "A" * (1 << 17)},
])  # fmt: skip
def test_certificates_that_are_none(said):
    """What is missing, malformed, twice there or huge is a reason, and no certificate is looked at."""
    judge = Recorder()
    found = judge_layer(layer()[0], said, WantedSigner(identity=judge), image=IMAGE, layer="l")

    assert found.reason is Reason.ANOTHER_SIGNER
    assert found.problem
    assert not hasattr(judge, "given")


def test_attestations_of_the_old_form():
    """Two signatures, another payload type and a statement about another image are no attestation."""
    payload = Statement.about(IMAGE, SPDX).encoded()
    signature = ANN.sign(pae(INTOTO, payload))

    def answer(envelope: Envelope) -> Reason:
        document = envelope.encoded()
        return judge_envelope(document, BY_ANN, image=IMAGE, layer="l", predicate_types=(SPDX,)).reason

    assert answer(Envelope.of(payload, signature)) is Reason.GOOD
    twice = (DsseSignature(BOB.sign(pae(INTOTO, payload))), DsseSignature(signature))
    assert answer(Envelope(payload, INTOTO, twice)) is Reason.MALFORMED
    assert answer(Envelope(payload, "application/json", (DsseSignature(signature),))) is Reason.MALFORMED
    other = Statement.about(OTHER, SPDX).encoded()
    assert answer(Envelope.of(other, ANN.sign(pae(INTOTO, other)))) is Reason.ANOTHER_IMAGE
    assert answer(Envelope.of(other, signature)) is Reason.ANOTHER_IMAGE
