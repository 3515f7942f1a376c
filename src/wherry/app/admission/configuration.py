"""What an admission server is told: which policy is for which images, what follows, and what is exempt. TOML.

    pin = true

    [[rule]]
    namespaces = ["shop-*"]
    images = ["registry.example/shop/**"]
    policy = "release.toml"
    mode = "enforce"

    [[exempt]]
    namespaces = ["kube-system"]
    reason = "starts before this webhook"

The first rule that fits decides; where none fits, an image is refused.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from wherry.errors import InvalidSettings
from wherry.settings.lines import lines_of
from wherry.settings.readers import FilePosition, UnsuitableValue, read_text, read_texts
from wherry.settings.trust import SignatureRule
from wherry.settings.wherry_toml import parse_toml

_TOP = ("pin", "pull-secrets", "databases", "offline", "rule", "exempt", "tls")
_RULE = ("namespaces", "images", "policy", "mode")
_EXEMPT = ("namespaces", "images", "reason")
_TLS = ("certificate", "key", "names", "secret", "webhooks", "providers", "authority")
_MOST = 1000


class AdmissionMode(StrEnum):
    """What follows where an image is not accepted."""

    ENFORCE = "enforce"
    WARN = "warn"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class ImageSelector:
    """Some images: by the namespace they are used in, and by their registry and repository."""

    namespaces: tuple[str, ...] = ("*",)
    """Patterns: `*` is any text."""
    images: tuple[str, ...] = ("**",)
    """Patterns of `REGISTRY/REPOSITORY`: `*` is any text without a slash, `**` any text."""

    def fits(self, namespace: str, image: str) -> bool:
        """Report whether an image of a namespace is among them."""
        return any(fnmatchcase(namespace, one) for one in self.namespaces) and any(
            SignatureRule(images=one).fits(image) for one in self.images
        )

    def __str__(self) -> str:
        """Name them."""
        return f"namespaces {', '.join(self.namespaces)}, images {', '.join(self.images)}"


@dataclass(frozen=True, slots=True)
class AdmissionRule:
    """A policy, and what it is for."""

    selector: ImageSelector
    policy: str
    """Its file, relative to the configuration."""
    mode: AdmissionMode = AdmissionMode.ENFORCE


@dataclass(frozen=True, slots=True)
class AdmissionExemption:
    """Images that are not judged, and why."""

    selector: ImageSelector
    reason: str


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Where the server's certificate comes from: files, or made here."""

    certificate: str = ""
    key: str = ""
    """PEM files, such as those of a Secret of cert-manager; both empty: the certificate is made here."""
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    """Names of the server in a certificate that is made here."""
    secret: str = ""
    """`NAMESPACE/NAME` of the Secret that keeps such a certificate and its authority; empty: in memory only."""
    webhooks: tuple[str, ...] = ()
    """Names of webhook configurations that have to trust the authority."""
    providers: tuple[str, ...] = ()
    """Names of Gatekeeper's providers that have to trust the authority."""
    authority: str = ""
    """A file that the authority's certificate is written to."""


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """All of it."""

    rules: tuple[AdmissionRule, ...]
    exemptions: tuple[AdmissionExemption, ...] = ()
    pin: bool = True
    """Whether tags in pods become digests, and pods with tags are refused."""
    pull_secrets: bool = False
    """Whether the pull secrets of pods are read."""
    databases: tuple[str, ...] = ()
    offline: bool = False
    tls: TlsSettings = TlsSettings()

    def exemption_for(self, namespace: str, image: str) -> AdmissionExemption | None:
        """Give the first exemption that an image has."""
        return next((one for one in self.exemptions if one.selector.fits(namespace, image)), None)

    def rule_for(self, namespace: str, image: str) -> AdmissionRule | None:
        """Give the first rule for an image; None: there is none, and it is refused."""
        return next((one for one in self.rules if one.selector.fits(namespace, image)), None)


def parse_configuration(text: str, name: str) -> AdmissionSettings:
    """Read the text of a configuration.

    Raises:
        InvalidSettings: it is not TOML, or a key is wrong; line and key are named.
    """
    document = parse_toml(text, name)
    place = FilePosition(name, lines_of(text), ())
    _known(place, document, _TOP)
    try:
        return AdmissionSettings(
            rules=tuple(_rule(at, row) for at, row in _rows(place.below("rule"), document.get("rule"))),
            exemptions=tuple(
                _exemption(at, row) for at, row in _rows(place.below("exempt"), document.get("exempt", ()))
            ),
            pin=_flag(place, document, "pin", default=True),
            pull_secrets=_flag(place, document, "pull-secrets", default=False),
            databases=_texts(place, document, "databases", ()),
            offline=_flag(place, document, "offline", default=False),
            tls=_tls(place.below("tls"), document.get("tls", {})),
        )
    except UnsuitableValue as error:
        raise error.place.wrong(str(error), "`wherry help admission` shows a configuration") from error


def _rows(place: FilePosition, value: object) -> Iterator[tuple[FilePosition, Mapping[str, object]]]:
    key = str(place.path[-1])
    if value == ():
        return
    if not isinstance(value, list) or not value or len(value) > _MOST:
        raise place.wrong("must be one table or more", f"write [[{key}]]")
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise place.below(number).wrong("must be a table", f"write [[{key}]]")
        yield place.below(number), row


def _rule(place: FilePosition, row: Mapping[str, object]) -> AdmissionRule:
    _known(place, row, _RULE)
    if "policy" not in row:
        raise place.wrong("names no policy", 'write policy = "release.toml"')
    mode = row.get("mode", AdmissionMode.ENFORCE.value)
    if mode not in set(AdmissionMode):
        raise place.below("mode").wrong("is not a mode", f"use {', '.join(AdmissionMode)}")
    policy = read_text(place.below("policy"), row["policy"])
    return AdmissionRule(_selector(place, row), policy, AdmissionMode(str(mode)))


def _exemption(place: FilePosition, row: Mapping[str, object]) -> AdmissionExemption:
    _known(place, row, _EXEMPT)
    if "reason" not in row:
        raise place.wrong("has no reason", 'write reason = "starts before this webhook"')
    if "namespaces" not in row and "images" not in row:
        raise place.wrong("exempts everything", "name namespaces, images, or both")
    return AdmissionExemption(_selector(place, row), read_text(place.below("reason"), row["reason"]))


def _selector(place: FilePosition, row: Mapping[str, object]) -> ImageSelector:
    found = {
        key: _texts(place, row, key, ("*",) if key == "namespaces" else ("**",)) for key in ("namespaces", "images")
    }
    for key, patterns in found.items():
        if not patterns:
            raise place.below(key).wrong("is an empty list", "name one pattern or more, or leave it out for all")
    return ImageSelector(**found)


def _tls(place: FilePosition, value: object) -> TlsSettings:
    if not isinstance(value, dict):
        raise place.wrong("must be a table", "write [tls]")
    _known(place, value, _TLS)
    said = {
        key: read_text(place.below(key), value[key])
        for key in ("certificate", "key", "secret", "authority")
        if key in value
    }
    tls = TlsSettings(
        **said,
        names=_texts(place, value, "names", TlsSettings().names),
        webhooks=_texts(place, value, "webhooks", ()),
        providers=_texts(place, value, "providers", ()),
    )
    if bool(tls.certificate) != bool(tls.key):
        raise place.wrong("names a certificate or a key, but not both", "give the paths of both files")
    if tls.certificate and (tls.secret or tls.webhooks or tls.providers or "names" in value):
        raise place.wrong(
            "names files and asks for a certificate that is made", "remove certificate and key, or the rest"
        )
    if tls.secret and tls.secret.count("/") != 1:
        raise place.below("secret").wrong("is not NAMESPACE/NAME", 'write secret = "wherry-system/admission-tls"')
    return tls


def _texts(place: FilePosition, table: Mapping[str, object], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    return read_texts(place.below(key), table[key]) if key in table else default


def _flag(place: FilePosition, table: Mapping[str, object], key: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise UnsuitableValue(place.below(key), "true or false", value)
    return value


def _known(place: FilePosition, table: Mapping[str, object], keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            raise place.below(key).wrong("is unknown", f"did you mean {near[0]}?" if near else f"use {', '.join(keys)}")


def exempt_namespace(namespace: str) -> AdmissionExemption:
    """Exempt a namespace that an option names."""
    if not namespace:
        raise InvalidSettings("--exempt: an empty namespace", hint="write --exempt kube-system")
    return AdmissionExemption(ImageSelector(namespaces=(namespace,)), "by option --exempt")
