"""Where the server's certificate comes from, and how it stays fresh: files, memory, or a Secret that replicas share.

Replicas agree by the Secret: whoever writes it first wins (a version that changed is refused by the API server), and
all others read what is there. An authority is replaced in two steps, so that no API server ever meets a certificate
that it does not trust yet: first the new one stands next to the old one in the webhooks' caBundle, then it signs.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wherry.app.admission.configuration import TlsSettings
from wherry.app.admission.state import mark_of
from wherry.app.admission.tls import (
    AUTHORITY_DAYS,
    SERVER_DAYS,
    KeyPair,
    expiry_of,
    new_authority,
    new_server,
    read_pair,
)
from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_resources import SECRETS, KubeResource
from wherry.errors import InvalidSettings

if TYPE_CHECKING:
    from wherry.cluster.kube_api import KubeServer

_DAY = 86400.0
_GROUP = "admissionregistration.k8s.io"
VALIDATING = KubeResource("validatingwebhookconfigurations", _GROUP, namespaced=False)
MUTATING = KubeResource("mutatingwebhookconfigurations", _GROUP, namespaced=False)
PROVIDERS = KubeResource("providers", "externaldata.gatekeeper.sh", "v1beta1", namespaced=False)
_TURNS = 5
"""Times that the Secret is read again since another replica wrote it."""


class CertificateSource(Protocol):
    """Gives the certificate to show."""

    def current(self) -> KeyPair:
        """Give what to show from now on; it is asked again and again.

        Raises:
            WherryError: there is none now; what was shown before is shown on.
        """


class CertificateFiles:
    """Files that others write."""

    def __init__(self, folder: Path, tls: TlsSettings) -> None:
        self._files = folder / tls.certificate, folder / tls.key
        self._seen: object = None
        self._pair: KeyPair | None = None

    def current(self) -> KeyPair:
        """See `CertificateSource`."""
        marks = tuple(map(mark_of, self._files))
        if self._pair is None or marks != self._seen:
            self._pair = read_pair(*self._files)
            self._seen = marks
        return self._pair


class OwnCertificate:
    """Made here, and kept in memory: for one replica, or to try it."""

    def __init__(self, tls: TlsSettings, clock: Callable[[], float], publish: Callable[[bytes], None]) -> None:
        """Take what it is made of.

        Args:
            tls: names of the server.
            clock: seconds since the epoch.
            publish: is given the certificate of the authority, each time there is another.
        """
        self._tls = tls
        self._clock = clock
        self._publish = publish
        self._authority: KeyPair | None = None
        self._server: KeyPair | None = None

    def current(self) -> KeyPair:
        """See `CertificateSource`."""
        now = self._clock()
        if self._authority is None or due(self._authority.expires, AUTHORITY_DAYS, now):
            self._authority = new_authority(now)
            self._server = None
            self._publish(self._authority.certificate)
        if self._server is None or due(self._server.expires, SERVER_DAYS, now):
            self._server = new_server(self._authority, self._tls.names, now)
        return self._server


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the Secret holds."""

    signing: KeyPair
    """The authority that signs."""
    server: KeyPair
    coming: KeyPair | None = None
    """The authority that will sign once every API server trusts it."""
    version: str = ""
    """Of the object; empty: there is none yet."""
    written: bool = True
    """Whether the object holds it already."""

    @property
    def bundle(self) -> bytes:
        """What has to be trusted."""
        return self.signing.certificate + (self.coming.certificate if self.coming else b"")

    def data(self) -> dict[str, str]:
        coming = self.coming or KeyPair(b"", b"")
        parts = {
            "ca.crt": self.bundle, "signing.crt": self.signing.certificate, "signing.key": self.signing.key,
            "coming.crt": coming.certificate, "coming.key": coming.key,
            "tls.crt": self.server.certificate, "tls.key": self.server.key,
        }  # fmt: skip
        return {name: base64.b64encode(part).decode() for name, part in parts.items()}


@dataclass
class SharedCertificate:
    """Kept in a Secret that all replicas read; the webhooks' caBundle follows."""

    kube: "KubeServer"
    tls: TlsSettings
    clock: Callable[[], float]
    _trusted: bytes = field(default=b"", repr=False)
    """What the webhooks trust, as far as this replica knows."""

    def current(self) -> KeyPair:
        """See `CertificateSource`: read the Secret, or make it; renew what ends soon; have the webhooks trust it."""
        for _ in range(_TURNS):
            kept = self._read()
            wanted = self._renewed(kept)
            if kept is not None and wanted is kept and kept.written:
                break
            try:
                self._write(wanted)
            except KubeRefused as error:
                if not (error.conflict or error.missing):
                    raise
                continue  # another replica was first
            kept = wanted
            break
        else:
            raise InvalidSettings(f"Secret {self.tls.secret}: changed at each attempt", hint="check who else writes it")
        self._publish(kept.bundle)
        return kept.server

    def _renewed(self, kept: _Kept | None) -> _Kept:
        now = self.clock()
        if kept is None:
            authority = new_authority(now)
            return _Kept(authority, new_server(authority, self.tls.names, now))
        signing, coming = kept.signing, kept.coming
        server: KeyPair | None = kept.server
        if coming is not None and self._trusted == kept.bundle:
            signing, coming, server = coming, None, None
        elif signing.expires <= now:  # nobody renewed it while it was good
            signing, coming, server = new_authority(now), None, None
        elif coming is None and due(signing.expires, AUTHORITY_DAYS, now):
            coming = new_authority(now)
        if server is None or due(server.expires, SERVER_DAYS, now) or not names_fit(server, self.tls.names):
            server = new_server(signing, self.tls.names, now)
        if (signing, coming, server) == (kept.signing, kept.coming, kept.server):
            return kept
        return _Kept(signing, server, coming, kept.version)

    def _read(self) -> _Kept | None:
        namespace, name = self.tls.secret.split("/")
        found = self.kube.find(SECRETS, namespace, name)
        if found is None:
            return None
        data = found.get("data") or {}
        version = str((found.get("metadata") or {}).get("resourceVersion") or "")
        try:
            parts = {key: base64.b64decode(str(data.get(key) or "")) for key in _KEYS}
            pairs = [KeyPair(parts[f"{key}.crt"], parts[f"{key}.key"]) for key in ("signing", "tls", "coming")]
            for pair in pairs[:2]:
                expiry_of(pair.certificate)
        except ValueError:  # made empty, for us to fill, or by hand
            authority = new_authority(self.clock())
            return _Kept(authority, new_server(authority, self.tls.names, self.clock()), None, version, written=False)
        return _Kept(pairs[0], pairs[1], pairs[2] if pairs[2].certificate else None, version)

    def _write(self, kept: _Kept) -> None:
        namespace, name = self.tls.secret.split("/")
        if not kept.version:
            document = {
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name}, "data": kept.data(),
            }  # fmt: skip
            self.kube.create(SECRETS, namespace, document)
            return
        changed = {"metadata": {"resourceVersion": kept.version}, "data": kept.data()}
        self.kube.patch(SECRETS, namespace, name, changed)

    def _publish(self, bundle: bytes) -> None:
        encoded = base64.b64encode(bundle).decode()
        for name in self.tls.webhooks:
            for kind in (VALIDATING, MUTATING):
                document = self.kube.find(kind, "", name)
                changes = _changes(document, encoded) if document else []
                if changes:
                    self.kube.patch(kind, "", name, changes, kind="json")
        for name in self.tls.providers:
            provider = self.kube.find(PROVIDERS, "", name)
            if provider and (provider.get("spec") or {}).get("caBundle") != encoded:
                self.kube.patch(PROVIDERS, "", name, {"spec": {"caBundle": encoded}})
        self._trusted = bundle


_KEYS = ("signing.crt", "signing.key", "tls.crt", "tls.key", "coming.crt", "coming.key")


def _changes(document: Mapping[str, object], encoded: str) -> list[dict[str, object]]:
    """Give the operations that make each hook of a configuration trust a bundle (RFC 6902)."""
    hooks, changes = document.get("webhooks"), list[dict[str, object]]()
    for number, hook in enumerate(hooks if isinstance(hooks, list) else ()):
        if hook.get("clientConfig", {}).get("caBundle") != encoded:
            at = f"/webhooks/{number}"
            changes += [
                {"op": "test", "path": f"{at}/name", "value": hook.get("name")},
                {"op": "add", "path": f"{at}/clientConfig/caBundle", "value": encoded},
            ]
    return changes


def due(expires: float, days: int, now: float) -> bool:
    """Report whether a third or less of a certificate's time is left."""
    return expires - now <= days * _DAY / 3


def names_fit(pair: KeyPair, names: tuple[str, ...]) -> bool:
    """Report whether a certificate is for all of these names."""
    from cryptography import x509

    found = x509.load_pem_x509_certificate(pair.certificate)
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one.value) for one in alternatives} >= set(names)
