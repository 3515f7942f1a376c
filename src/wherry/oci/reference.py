"""References: registry/repository:tag@digest, read and written as people type them.

Sources: distribution/reference v0.6.0, reference.go (grammar) and normalize.go (familiar names, Docker Hub's
defaults); OCI distribution-spec v1.1.1, "Pulling manifests" (repository and tag grammar).
"""

import re
from dataclasses import dataclass
from typing import Self

from wherry.digest import Digest, InvalidDigest
from wherry.errors import InvalidUsage

DEFAULT_REGISTRY = "docker.io"
"""The registry of a name that gives none (normalize.go, `defaultDomain`)."""
_LEGACY_REGISTRY = "index.docker.io"
"""Its older name, read as the new one (normalize.go, `legacyDefaultDomain`)."""
SCHEME = "docker://"
"""What stands before a name that is meant to be a registry's, and nothing else (containers/image, docker transport)."""
API_HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io"}
"""Registries whose API is at another host than their name says (moby, registry/config.go, `DefaultV2Registry`)."""
_OFFICIAL = "library/"
"""Where its one-word repositories live (normalize.go, `officialRepoPrefix`)."""

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_ATTACHMENT = re.compile(r"(?:\A|:)sha256-[a-f0-9]{64}(?:\.[a-z]+)?\Z")
_LONGEST_REPOSITORY = 255
_LONGEST_TEXT = 1024
_ALGORITHMS = frozenset({"sha256", "sha512"})


class InvalidReference(InvalidUsage):
    """A text names no image."""

    def __init__(self, text: str, problem: str, *, hint: str) -> None:
        super().__init__(f"{text[:200]!r}: {problem}", hint=hint)
        self.text = text
        self.problem = problem


def is_attachment(name: str) -> bool:
    """Report whether a name is what attachments of an image are kept under: `api:sha256-HEX`, or that with `.sig`.

    Sources: OCI distribution-spec v1.1.1, "Referrers Tag Schema"; cosign, specs/SIGNATURE_SPEC.md.
    """
    return _ATTACHMENT.search(name) is not None


def is_tag(text: str) -> bool:
    """Report whether a word may be a tag (distribution-spec v1.1.1, "Pulling manifests")."""
    return _TAG.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is known, and as what; `parse` makes one, with all defaults filled in."""

    registry: str
    """Host and, where given, port: `localhost:5000`."""
    repository: str
    tag: str = ""
    """Empty where only a digest was given."""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str, *, default_tag: str = "latest") -> Self:
        """Read a reference as `docker pull` does.

        Args:
            text: such as `api:dev`, `localhost:5000/api@sha256:…`.
            default_tag: the tag where the text has neither tag nor digest; empty for none.

        Raises:
            InvalidReference: it does not fit the grammar; the hint says what would.
        """
        if len(text) > _LONGEST_TEXT:
            raise InvalidReference(
                text, f"{len(text)} characters are not a reference", hint="write NAME[:TAG][@DIGEST]"
            )
        named, at, encoded = text.partition("@")
        digest = _digest(text, encoded) if at else None
        path, colon, tag = named.rpartition(":")
        if not colon or "/" in tag:
            path, colon, tag = named, "", ""
        if colon and not _TAG.fullmatch(tag):
            raise InvalidReference(
                text,
                f"{tag[:140]!r} is not a tag",
                hint="a tag has up to 128 letters, digits and any of . _ -, and starts with neither . nor -",
            )
        registry, repository = _place(text, path)
        return cls(registry, repository, tag or ("" if digest else default_tag), digest)

    @property
    def canonical(self) -> str:
        """Registry, whole repository, tag and digest, with nothing left to a default."""
        return f"{self.registry}/{self.repository}{self._suffix}"

    @property
    def name(self) -> str:
        """Registry and repository as a person writes them: `api`, `localhost:5000/api`."""
        if self.registry != DEFAULT_REGISTRY:
            return f"{self.registry}/{self.repository}"
        short = self.repository.removeprefix(_OFFICIAL)
        if "/" in short:
            short = self.repository
        if _IDENTIFIER.fullmatch(short) or ("/" in short and _is_registry(short.partition("/")[0])):
            return f"{self.registry}/{self.repository}"
        return short

    def __str__(self) -> str:
        """Give the familiar form, which `parse` reads back to the same value."""
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _digest(text: str, encoded: str) -> Digest:
    try:
        digest = Digest.parse(encoded)
    except InvalidDigest as error:
        raise InvalidReference(text, error.message, hint=error.hint) from error
    if digest.algorithm not in _ALGORITHMS:
        raise InvalidReference(
            text, f"{digest.algorithm} digests are not supported", hint="write it as sha256:<64 hex digits>"
        )
    return digest


def names_registry(text: str) -> bool:
    """Report whether a text names its registry itself, so that no default is needed."""
    first, slash, _ = text.partition("/")
    return bool(slash) and first not in {"", ".", ".."} and _is_registry(first)


def _is_registry(first: str) -> bool:
    """Report whether the first of several words is a host: it has a dot, a port or capitals, or is `localhost`."""
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _place(text: str, path: str) -> tuple[str, str]:
    first, slash, rest = path.partition("/")
    registry, repository = (first, rest) if slash and _is_registry(first) else (DEFAULT_REGISTRY, path)
    if registry == _LEGACY_REGISTRY:
        registry = DEFAULT_REGISTRY
    if not _REGISTRY.fullmatch(registry):
        raise InvalidReference(text, f"{registry!r} is not a host", hint="write it as HOST[:PORT]/NAME")
    if repository == path and _IDENTIFIER.fullmatch(repository):
        raise InvalidReference(text, "64 hex digits are a digest, not a name", hint=f"write it as sha256:{path}")
    if registry == DEFAULT_REGISTRY and repository and "/" not in repository:
        repository = _OFFICIAL + repository
    if not _REPOSITORY.fullmatch(repository):
        raise InvalidReference(text, _what_is_wrong(repository), hint="write it as NAME[:TAG], such as api:dev")
    if len(repository) > _LONGEST_REPOSITORY:
        raise InvalidReference(
            text,
            f"{len(repository)} characters in the repository; the limit is {_LONGEST_REPOSITORY}",
            hint="give a shorter name",
        )
    return registry, repository


def _what_is_wrong(repository: str) -> str:
    if not repository:
        return "the name is missing"
    if repository != repository.lower():
        return "a repository name must be lower case"
    short = repository.removeprefix(_OFFICIAL)[:140]
    return f"{short!r} is not a repository: words of a-z and 0-9, joined by one of . _ __ - and /"


def familiar(name: str) -> str:
    """Write an image's name as people do, without `:latest`: what a named context is found under."""
    try:
        return str(Reference.parse(name)).removesuffix(":latest")
    except InvalidReference:
        return name
