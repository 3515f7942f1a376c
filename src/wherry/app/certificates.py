"""Which certificates an image needs: asked of the endpoints that it calls, or named."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from wherry.app.endpoints import ask_endpoint
from wherry.app.session import Session
from wherry.base.certificates import (
    LARGEST,
    Certificate,
    RootFacts,
    bundle_of,
    own_certificates,
    public_roots,
    read_certificates,
    root_facts,
)
from wherry.base.settings import BaseSettings
from wherry.errors import InvalidUsage, NotFound
from wherry.store.files import read_regular, replacing

_ENDPOINT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253}):(?P<port>[0-9]{1,5})")
_FINGERPRINT = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_MOST = 64
_HIGHEST_PORT = 65535
_SOON = 180 * 86400
"""Seconds before its end from which a root is warned of."""


class ChosenRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that goes into an image."""

    name: str
    fingerprint: str
    """SHA-256 in hexadecimal digits."""
    expires: str
    """A day, as in 2030-01-31."""
    reason: str
    """Endpoints that are verified by it, the words that named it, or the file it is from."""
    public: bool
    """Whether it is one of Mozilla's; else it is of `--ca`."""


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry certs --json` prints."""

    version: int = 1
    roots: tuple[ChosenRoot, ...]
    bytes: int
    """Of the file of certificates."""
    before: int
    """Of the file with all public roots."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChosenCertificates:
    """Certificates, for people and for a base."""

    document: Certificates
    settings: BaseSettings
    file: bytes


def choose_certificates(
    session: Session,
    *,
    files: Sequence[Path] = (),
    wanted: Sequence[str] = (),
    only: bool = False,
    offline: bool = False,
) -> ChosenCertificates:
    """Find the certificates that an image gets.

    Args:
        session: the proxies of its environment are used.
        files: certificates to add.
        wanted: which public roots stay: HOST:PORT, asked and verified now, a root's name, or its fingerprint.
        only: no public root stays.
        offline: ask no endpoint.

    Raises:
        InvalidUsage, NotFound, InvalidDocument: a word or file is not what it has to be.
        EndpointFailed: an endpoint does not answer, or is not verified by any root.
    """
    if only and (wanted or not files):
        problem = "--ca-only and --ca-for cannot be combined" if wanted else "--ca-only: no certificate is left"
        raise InvalidUsage(problem, hint="remove one of them" if wanted else "add --ca FILE")
    added = {one.certificate.fingerprint: (one, file) for file in files for one in _of_file(session, file)}
    reasons: dict[str, list[str]] = {}
    warnings: dict[str, None] = {}
    for word in wanted[:_MOST]:
        found = _rooted(session, word, [one for one, _ in added.values()], warnings, offline=offline)
        for root in found:
            reasons.setdefault(root.certificate.fingerprint, []).append(word)
    if len(wanted) > _MOST:
        raise InvalidUsage(f"--ca-for: {len(wanted)} words; at most {_MOST}", hint="name roots, not every endpoint")
    kept = tuple(name for name in reasons if name not in added) if wanted else () if only else None
    settings = BaseSettings(roots=kept, added=tuple(one.certificate for one, _ in added.values()))
    public = {one.certificate.fingerprint: one for one in public_roots()}
    every = tuple(public) if kept is None else kept
    chosen = [_chosen(public[name], ", ".join(reasons.get(name, ["all public roots"])), public=True) for name in every]
    chosen += [
        _chosen(one, ", ".join([file.name, *reasons.get(name, ())]), public=False)
        for name, (one, file) in added.items()
    ]
    roots = [*(public[name] for name in kept or ()), *(one for one, _ in added.values())]
    warnings |= dict.fromkeys(_expiring(session, roots))
    file = settings.bundle(own_certificates())
    return ChosenCertificates(
        Certificates(
            roots=tuple(chosen), bytes=len(file), before=len(bundle_of(own_certificates())), warnings=tuple(warnings)
        ),
        settings,
        file,
    )


def write_bundle(chosen: ChosenCertificates, file: Path) -> None:
    """Write the file of certificates, whole or not at all."""
    with replacing(file) as out:
        out.write(chosen.file)


def _of_file(session: Session, file: Path) -> tuple[RootFacts, ...]:
    content = read_regular(session.cwd / file, LARGEST)
    if content is None:
        raise NotFound(f"--ca {file}: no such file", hint="give a file of certificates in PEM")
    return root_facts(read_certificates(content, f"--ca {file}"), f"--ca {file}")


def _rooted(
    session: Session, word: str, added: list[RootFacts], warnings: dict[str, None], *, offline: bool
) -> tuple[RootFacts, ...]:
    """Find the roots that a word of `--ca-for` means."""
    if match := _ENDPOINT.fullmatch(word):
        if not 0 < int(match["port"]) <= _HIGHEST_PORT:
            raise InvalidUsage(f"{word}: not a port", hint=f"ports go from 1 to {_HIGHEST_PORT}")
        if offline:
            raise NotFound(
                f"{word}: --offline asks no endpoint",
                hint="name the root instead, such as sha256:… (`wherry certs …` prints it)",
            )
        return (_of_endpoint(session, word, match["host"].strip("[]"), int(match["port"]), added, warnings),)
    every = {one.certificate.fingerprint: one for one in (*public_roots(), *added)}
    if match := _FINGERPRINT.fullmatch(word.lower()):
        if match[1] not in every:
            raise NotFound(f"{word}: no root has this fingerprint", hint="give its certificate with --ca FILE")
        return (every[match[1]],)
    named = [one for one in every.values() if word.casefold() in {one.name.casefold(), one.organisation.casefold()}]
    if not named:
        names = sorted({name for one in every.values() for name in (one.name, one.organisation) if name})
        near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
        near = near or [name for name in names if word.casefold() in name.casefold()][:3]
        hint = f"did you mean {' or '.join(near)}?" if near else "write an endpoint as HOST:PORT"
        raise NotFound(f"{word}: no root has this name", hint=hint)
    return tuple(named)


def _of_endpoint(
    session: Session, word: str, host: str, port: int, added: list[RootFacts], warnings: dict[str, None]
) -> RootFacts:
    trusted = [*own_certificates(), *(one.certificate for one in added)]
    chain = ask_endpoint(session, host, port, trusted)
    every = {one.certificate.fingerprint: one for one in (*public_roots(), *added)}
    root = every[Certificate(chain.root).fingerprint]
    session.progress.line(f"{word}: verified by {root.name}; its certificate ends {_day(chain.expires)}")
    others = [
        one.name
        for one in public_roots()
        if one.organisation and one.organisation == root.organisation and one.name != root.name
    ]
    also = f"; the same authority has {', '.join(others[:4])}" if others else ""
    warnings[
        f"{word}: when its operator changes the authority, which each new certificate may (this one ends "
        f"{_day(chain.expires)}), TLS to it fails until the image is built again{also}"
    ] = None
    return root


def _expiring(session: Session, roots: Iterable[RootFacts]) -> Iterator[str]:
    now = session.clock()
    for root in roots:
        if root.expires < now:
            yield f"root {root.name}: expired on {_day(root.expires)}"
        elif root.expires < now + _SOON:
            yield f"root {root.name}: ends on {_day(root.expires)}"


def _chosen(root: RootFacts, reason: str, *, public: bool) -> ChosenRoot:
    return ChosenRoot(
        name=root.name,
        fingerprint=root.certificate.fingerprint,
        expires=_day(root.expires),
        reason=reason,
        public=public,
    )


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
