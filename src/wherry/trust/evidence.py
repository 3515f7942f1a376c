"""What is known of an image when a policy judges it: plain values, gathered by others, and written as JSON."""

import msgspec


class SignatureEvidence(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer to one question: is it signed, or attested, by one of these keys, or by this identity?"""

    keys: tuple[str, ...] = ()
    """As the policy names them."""
    identity: str = ""
    identity_regexp: str = ""
    issuer: str = ""
    trusted_root: str = ""
    type: str = ""
    """The kind of statement; empty: a signature of the image itself."""
    answer: str
    """`signed`, `not-signed`, `signed-by-another` or `could-not-ask`."""
    signer: str = ""
    detail: str = ""
    cause: str = ""
    """Of `could-not-ask`: `throttled`, `denied` or `unreachable`."""


class PlatformEvidence(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What one platform's image says and has."""

    platform: str
    digest: str = ""
    """Of its manifest."""
    user: str = ""
    """As its config says; empty is root."""
    uid: int | None = None
    """None: it is a name that the image's /etc/passwd does not have."""
    shells: tuple[str, ...] | None = None
    """Shells that a container sees; None: its files were not listed."""
    pulled: int | None = None
    """Bytes of the compressed layers and the config."""
    unpacked: int | None = None
    """Bytes of the files in all layers."""
    created: float | None = None
    """Seconds since the epoch."""
    base: str = ""
    """The name of its base, by its annotations or wherry's recipe."""
    base_digest: str = ""
    source: str = ""
    """The repository, by the label org.opencontainers.image.source."""
    revision: str = ""


class HoleEvidence(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A known hole."""

    id: str
    level: str
    severity: str = "unknown"
    reviewed: bool | None = None
    subject: str = ""


class ImageEvidence(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """All that is known of an image; what is None or absent was not asked."""

    version: int = 1
    image: str = ""
    """Its name."""
    digest: str = ""
    """Of the manifest or the index: all else is about that."""
    now: float = 0
    """When it was gathered, in seconds since the epoch."""
    platforms: tuple[PlatformEvidence, ...] = ()
    signatures: tuple[SignatureEvidence, ...] = ()
    holes: tuple[HoleEvidence, ...] | None = None
    unscanned: tuple[str, ...] = ()
    """Programs that cannot be scanned."""
    reproduced: bool | None = None
    reproduced_detail: str = ""
    unknown: dict[str, str] = {}
    """Why something is not known, by the kind of condition."""
