"""Signatures by an identity, with certificates and logs of the test's own, verified by sigstore-python, offline."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_shell import Shell
from keyless_authority import Authority
from small_images import put_image
from wherry.app.attachments import LocalAttachments
from wherry.app.signing import put_referrer
from wherry.oci.descriptor import Descriptor
from wherry.trust.bundle import BUNDLE
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
