"""Certificates: read from PEM as hostile as it comes, named, and put into one file."""

from contextlib import suppress

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from wherry.base.certificates import (
    bundle_of,
    own_certificates,
    public_roots,
    read_certificates,
    root_facts,
)
from wherry.base.settings import Account, BaseSettings
from wherry.base.static import minimal_base, scratch_base, static_base
from wherry.errors import InvalidDocument, InvalidUsage, WherryError
from wherry.layer.changes import flatten, layers_of
from wherry.platform import Platform
from wherry.store.memory import MemoryStore

AMD64 = Platform.parse("linux/amd64")
BUNDLE = "etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority of the test's own."""
    return trustme.CA()


def files_of(image, store: MemoryStore) -> dict[str, bytes]:
    """Give the files of an image."""
    return {entry.path: body.read(1 << 20) for entry, body in flatten(layers_of(store, image))}


def test_what_is_written_is_read():
    """All of Mozilla's, in one order; each once, with text around them."""
    own = own_certificates()
    again = read_certificates(b"text\n" + bundle_of(own) + bundle_of(own[:3]), "f")

    assert {one.fingerprint for one in again} == {one.fingerprint for one in own}
    assert bundle_of(again) == bundle_of(reversed(own))
    assert len(public_roots()) == len(own)
    assert {"ISRG Root X1", "ISRG Root X2"} <= {one.name for one in public_roots()}


@given(st.binary(max_size=400), st.integers(0, 3))
def test_hostile_bytes(noise, kind):
    """Whatever comes in is refused with our own error, or is a certificate that is named."""
    pem = own_certificates()[0].pem
    content = [noise, b"-----BEGIN CERTIFICATE-----\n" + noise + b"\n-----END CERTIFICATE-----\n", pem + noise, pem][
        kind
    ]
    found = ()
    with suppress(InvalidDocument):
        found = read_certificates(content, "f")
        root_facts(found, "f")
    assert found or kind < 2


def test_a_server_is_no_root(authority):
    """What a server shows is no authority's; the message says what to give."""
    server = authority.issue_cert("localhost").cert_chain_pems[0].bytes()
    with pytest.raises(InvalidDocument, match="does not belong to an authority"):
        root_facts(read_certificates(server, "s.pem"), "s.pem")


def test_bases_with_other_certificates(authority):
    """Kept, added, only those; of bases that have none, only what is named; without any, the image as it was."""
    store = MemoryStore()
    (own,) = read_certificates(authority.cert_pem.bytes(), "ca")
    kept = own_certificates()[5]
    both = BaseSettings(roots=(kept.fingerprint,), added=(own,))
    added = BaseSettings(added=(own,))

    static = files_of(static_base(store, AMD64, zones=False, settings=both), store)
    assert {one.fingerprint for one in read_certificates(static[BUNDLE], "b")} == {kept.fingerprint, own.fingerprint}
    every = files_of(static_base(store, AMD64, zones=False, settings=added), store)
    assert len(read_certificates(every[BUNDLE], "b")) == len(own_certificates()) + 1
    for make in (scratch_base, minimal_base):
        assert read_certificates(files_of(make(store, AMD64, added), store)[BUNDLE], "b") == (own,)
        assert BUNDLE not in files_of(make(store, AMD64), store)
    assert static_base(store, AMD64, settings=BaseSettings()) == static_base(store, AMD64)


def test_the_smallest_root():
    """Mount points that a runtime needs where it can't write, accounts, and nothing else; no device nodes."""
    store = MemoryStore()
    image = minimal_base(store, AMD64)
    entries = {entry.path: entry.kind.name for entry, _ in flatten(layers_of(store, image))}

    assert entries == {
        "dev": "FOLDER", "etc": "FOLDER", "etc/group": "FILE", "etc/nsswitch.conf": "FILE", "etc/passwd": "FILE",
        "proc": "FOLDER", "sys": "FOLDER",
    }  # fmt: skip
    assert sum(layer.size for layer in image.manifest.stack) < 1000


def test_a_root_that_is_not_there():
    """The fingerprint is named."""
    with pytest.raises(WherryError, match="sha256:" + "0" * 64):
        BaseSettings(roots=("0" * 64,)).bundle(())


@pytest.mark.parametrize(
    "text", ["app", "App:1", "app:x", "app:1:2:srv", "app:-1", "app:1:2:/a:b", "app:1:1:/a\nb", "app:99999999999"]
)
def test_users_that_are_none(text):
    """Each is refused, since it would be a line of /etc/passwd."""
    with pytest.raises(InvalidUsage):
        Account.parse(text)
