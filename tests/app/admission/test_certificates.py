"""Certificates that are made here: replicas agree by a Secret, and no API server meets one that it does not trust."""

import base64
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kube_server import KubeFake, kube_server
from wherry.app.admission.certificates import OwnCertificate, SharedCertificate
from wherry.app.admission.configuration import TlsSettings
from wherry.app.admission.tls import KeyPair, context, new_authority, new_server, read_pair, show
from wherry.app.clusters import cluster
from wherry.app.session import Session
from wherry.cluster.kube_errors import KubeRefused
from wherry.errors import InvalidSettings, NotFound

DAY = 86400.0
TLS = TlsSettings(
    names=("hooks.wherry.svc", "127.0.0.1"),
    secret="wherry/tls",  # noqa: S106 - its name
    webhooks=("images",),
    providers=("gate",),
)
KINDS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")


@dataclass
class Clock:
    """Time that a test moves."""

    now: float = 1_800_000_000.0
    seen: list[bytes] = field(default_factory=list)

    def __call__(self) -> float:
        """Give it."""
        return self.now


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[KubeFake]:
    """An API server with the configurations of hooks."""
    with kube_server(tmp_path) as fake:
        fake.objects.put("providers.externaldata.gatekeeper.sh", {"metadata": {"name": "gate"}, "spec": {"url": "u"}})
        for kind in KINDS:
            hooks = [{"name": name, "clientConfig": {}} for name in ("a", "b")]
            document = {"metadata": {"name": "images"}, "webhooks": hooks}
            fake.objects.put(f"{kind}.admissionregistration.k8s.io", document)
        yield fake


def replica(kube: KubeFake, tmp_path: Path, clock: Clock, tls: TlsSettings = TLS) -> SharedCertificate:
    """Give a replica."""
    session = Session.of({"KUBECONFIG": str(kube.config), "HOME": str(tmp_path)}, cwd=tmp_path)
    return SharedCertificate(cluster(session).server, tls, clock)


def trusted(kube: KubeFake) -> bytes:
    """Give what every hook trusts."""
    bundles = {
        hook["clientConfig"].get("caBundle", "")
        for kind in KINDS
        for hook in (kube.objects.get(f"{kind}.admissionregistration.k8s.io", "", "images") or {})["webhooks"]
    }
    gate = kube.objects.get("providers.externaldata.gatekeeper.sh", "", "gate") or {}
    bundles.add(gate["spec"].get("caBundle", ""))
    (one,) = bundles
    return base64.b64decode(one)


def accepted(pair: KeyPair, bundle: bytes, name: str = "hooks.wherry.svc") -> bool:
    """Report whether a client that trusts a bundle accepts a server, by a handshake in memory."""
    client = ssl.create_default_context(cadata=bundle.decode())
    client.verify_flags |= 0x200000  # X509_V_FLAG_NO_CHECK_TIME: the tests' clock is not the machine's
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(theirs, ours, server_hostname=name),
        context(pair).wrap_bio(ours, theirs, server_side=True),
    )
    done = set()
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return len(done) == 2


def test_replicas_agree(kube: KubeFake, tmp_path: Path) -> None:
    """Whoever is first makes it, the other takes it; the hooks trust it; nothing is written again."""
    clock = Clock()
    first, second = replica(kube, tmp_path, clock), replica(kube, tmp_path, clock)
    pair = first.current()

    assert second.current() == pair == first.current()
    assert accepted(pair, trusted(kube))
    assert accepted(pair, trusted(kube), "127.0.0.1")
    assert not accepted(pair, trusted(kube), "another.svc")
    assert not accepted(pair, new_authority(clock.now).certificate)
    assert sum(method == "POST" for method, _ in kube.requests) == 1
    assert sum(method == "PATCH" for method, _ in kube.requests) == 3


def test_the_second_writer_loses(kube: KubeFake, tmp_path: Path) -> None:
    """Both found no Secret, or both renew at once: the API server takes one, and both show that."""
    clock = Clock()
    first, second = replica(kube, tmp_path, clock), replica(kube, tmp_path, clock)
    nothing = second._read()
    pair = first.current()
    assert nothing is None
    with pytest.raises(KubeRefused):
        second._write(second._renewed(None))
    old = second._read()
    assert old is not None
    clock.now += 70 * DAY
    renewed = first.current()
    with pytest.raises(KubeRefused):
        second._write(second._renewed(old))

    assert renewed != pair
    assert second.current() == renewed
    assert accepted(renewed, trusted(kube))


def test_an_authority_is_trusted_before_it_signs(kube: KubeFake, tmp_path: Path) -> None:
    """In two and a half years each certificate is accepted by what the hooks trusted before it was shown."""
    clock = Clock()
    replicas = [replica(kube, tmp_path, clock), replica(kube, tmp_path, clock)]
    replicas[0].current()
    authorities, certificates = set(), set()
    for look in range(15):
        before = trusted(kube)
        pair = replicas[look % 2].current()
        assert accepted(pair, before)
        assert pair.expires > clock.now
        authorities |= set(before.split(b"-----END CERTIFICATE-----"))
        certificates.add(pair.certificate)
        clock.now += 60 * DAY

    assert len(authorities) >= 3, "two, and what follows the last"
    assert len(certificates) == 15


def test_what_another_wrote(kube: KubeFake, tmp_path: Path) -> None:
    """An empty Secret is filled; other names make another certificate by the same authority."""
    clock = Clock()
    kube.objects.put("secrets", {"metadata": {"name": "tls", "namespace": "wherry"}, "data": {"signing.crt": "!"}})
    pair = replica(kube, tmp_path, clock).current()
    bundle = trusted(kube)
    other = replica(kube, tmp_path, clock, TlsSettings(names=("x.svc",), secret="wherry/tls", webhooks=("none",)))  # noqa: S106 - its name

    assert accepted(pair, bundle)
    assert accepted(other.current(), bundle, "x.svc")


def test_without_rights(kube: KubeFake, tmp_path: Path) -> None:
    """The message names the right that is missing."""
    kube.forbidden.add(("get", "secrets"))
    with pytest.raises(KubeRefused) as caught:
        replica(kube, tmp_path, Clock()).current()

    assert "secrets" in caught.value.hint


def test_in_memory(tmp_path: Path) -> None:
    """It is renewed in its last third, and the authority is published when there is another."""
    clock, published = Clock(), list[bytes]()
    own = OwnCertificate(TlsSettings(), clock, published.append)
    first = own.current()

    assert own.current() == first
    clock.now += 61 * DAY
    assert own.current() != first
    assert len(published) == 1
    clock.now += 1000 * DAY
    assert accepted(own.current(), published[-1], "localhost")
    assert len(published) == 2


def test_wrong_files(tmp_path: Path) -> None:
    """A key of another certificate, no PEM, no file: what is shown stays."""
    authority = new_authority(0)
    one, two = (new_server(authority, ("a.svc",), 0) for _ in range(2))
    shown = context(one)
    for pair in (KeyPair(one.certificate, two.key), KeyPair(b"x", b"y")):
        with pytest.raises(InvalidSettings):
            show(shown, pair)
    with pytest.raises(NotFound):
        read_pair(tmp_path / "none", tmp_path / "none")
    with pytest.raises(InvalidSettings):
        new_server(authority, ("ä.svc",), 0)
