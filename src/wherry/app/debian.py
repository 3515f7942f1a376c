"""Debian's archive as this machine reaches it, and the packages that wherry.lock pins."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import msgspec

from wherry.app.session import Session
from wherry.base.deb.mirror import DebSource, Mirror, PinnedDeb
from wherry.debian.control import parse_paragraph
from wherry.errors import InvalidDocument, InvalidSettings, InvalidUsage, NotFound
from wherry.registry.errors import RegistryError
from wherry.store.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.base.deb.bases import DebBases, DebPins
    from wherry.registry.pools import RawAnswer
    from wherry.remote import Policy

ARCHIVE, SECURITY = "WHERRY_DEBIAN_MIRROR", "WHERRY_DEBIAN_SECURITY_MIRROR"
_APT = Path("/etc/apt")
_LARGEST = 1 << 20
_CHUNK = 1 << 18
_REDIRECTS = 5
_ATTEMPTS = 3
_FINE, _ABSENT = 200, frozenset({404, 410})
_KINDS = ("debian-security", "debian")


def deb_bases(
    session: Session,
    policy: "Policy",
    warn: "Callable[[str], None]" = lambda _: None,
    said: "Callable[[str], None]" = lambda _: None,
) -> "DebBases":
    """Give what makes bases of Debian packages.

    Args:
        session: its environment and apt's settings name the archive; its cache keeps packages.
        policy: whether the archive may be asked, and what wherry.lock pins.
        warn: called with what the user should know.
        said: called with what was left out.
    """
    from wherry.base.deb.bases import DebBases

    def mirror() -> Mirror:
        archive, security = debian_archives(session.environment)
        return Mirror(
            DebSource(
                archive=archive,
                security=security,
                fetch=_Fetcher(session).fetch,
                cache=session.cache_folder / "debian",
                clock=session.clock,
                offline=policy.offline,
            )
        )

    pins = {} if policy.pull else policy.debs
    return DebBases(mirror, pins, session.cache_folder / "link", warn, said)


def debian_archives(environment: Mapping[str, str], apt: Path = _APT) -> tuple[str, str]:
    """Name the URLs of Debian's archive and its security archive.

    The environment goes first (WHERRY_DEBIAN_MIRROR, WHERRY_DEBIAN_SECURITY_MIRROR), then apt's own sources.

    Raises:
        InvalidUsage: neither names one.
    """
    found = dict(_of_apt(apt))
    archive = environment.get(ARCHIVE) or found.get("debian", "")
    if not archive:
        raise InvalidUsage(
            "bases from Debian packages: no mirror is known, and this machine has no apt sources for Debian",
            hint=f"set {ARCHIVE} to a mirror's URL, one that ends in /debian",
        )
    named = environment.get(SECURITY) or ("" if environment.get(ARCHIVE) else found.get("debian-security", ""))
    return archive, named or f"{archive.rstrip('/')}-security"


def read_deb_pins(tables: object, name: str) -> "DebPins":
    """Read the packages of wherry.lock.

    Args:
        tables: the lock's `debian` table.
        name: what messages call the file.

    Raises:
        InvalidSettings: it is none.
    """
    try:
        read = msgspec.convert(tables, dict[str, dict[str, dict[str, dict[str, str | int | bool]]]])
        return {
            base: {
                architecture: tuple(
                    msgspec.convert({**fields, "name": package}, PinnedDeb) for package, fields in packages.items()
                )
                for architecture, packages in of.items()
            }
            for base, of in read.items()
        }
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"{name}: [debian]: {error}", hint="delete it, and run `wherry lock`") from error


def deb_pin_lines(pins: "DebPins") -> Iterator[str]:
    """Write packages as tables of wherry.lock, in the order of names."""
    for base in sorted(pins):
        for architecture in sorted(pins[base]):
            yield f'\n[debian."{base}".{architecture}]\n'
            for one in sorted(pins[base][architecture], key=lambda one: one.name):
                fields = f'version = "{one.version}", architecture = "{one.architecture}", path = "{one.path}", '
                security = ", security = true" if one.security else ""
                yield f'"{one.name}" = {{ {fields}sha256 = "{one.sha256}", size = {one.size}{security} }}\n'


def _of_apt(apt: Path) -> Iterator[tuple[str, str]]:
    """Yield kinds of archives and their URLs as apt's sources have them; the last one of a kind is asked."""
    for file in sorted(apt.glob("sources.list.d/*.sources")):
        for text in _text(file).split("\n\n"):
            try:
                fields = parse_paragraph(text.strip(), str(file))
            except InvalidDocument:
                continue
            for url in fields.get("URIs", "").split():
                yield from _kind(url)
    for file in (*sorted(apt.glob("sources.list.d/*.list")), apt / "sources.list"):
        for line in _text(file).splitlines():
            words = [word for word in line.split() if not word.startswith("[") and not word.endswith("]")]
            if words[:1] == ["deb"] and len(words) > 1:
                yield from _kind(words[1])


def _kind(url: str) -> Iterator[tuple[str, str]]:
    path = urlsplit(url).path.rstrip("/")
    for kind in _KINDS:
        if path.rpartition("/")[2] == kind and urlsplit(url).scheme in {"http", "https"}:
            yield kind, url
            return


def _text(file: Path) -> str:
    return (read_regular(file, _LARGEST) or b"").decode(errors="replace")


class _Fetcher:
    """Gets files by HTTP, with the proxies and certificates that registries are reached with."""

    def __init__(self, session: Session) -> None:
        from wherry.app.network import network_of
        from wherry.registry.network import Connections

        self._connections = Connections(network_of(session, frozenset(session.insecure)))
        self._session = session

    def fetch(self, url: str, most: int) -> Iterator[bytes]:
        """Give the bytes of a URL."""
        from wherry.registry.pools import translated

        for _ in range(_REDIRECTS + 1):
            answer = self._asked(url)
            location = answer.headers.get("Location") if answer.status // 100 == 3 else None  # noqa: PLR2004 - redirects
            if not location:
                break
            answer.finish(0)
            url = urljoin(url, location)
        try:
            if answer.status in _ABSENT:
                raise NotFound(f"{url}: not there", hint="use another mirror")
            if answer.status != _FINE:
                raise RegistryError(f"{url}: the server answered {answer.status}", hint="use another mirror")
            with _of_mirror(url), translated(urlsplit(url).netloc):
                while chunk := answer.read(_CHUNK):
                    most -= len(chunk)
                    if most < 0:
                        raise RegistryError(f"{url}: longer than it should be", hint="use another mirror")
                    yield chunk
        finally:
            answer.finish(0)

    def _asked(self, url: str) -> "RawAnswer":
        from wherry.registry.pools import CutOff

        for left in reversed(range(_ATTEMPTS)):
            try:
                with _of_mirror(url):
                    return self._connections.send("GET", url, headers={}, body=None)
            except CutOff:
                if not left:
                    raise
        raise AssertionError


@contextmanager
def _of_mirror(url: str) -> Iterator[None]:
    """Name the file that a broken connection was about."""
    from wherry.registry.pools import CutOff

    try:
        yield
    except CutOff as error:
        said = error.message.partition(": ")[2]
        raise CutOff(f"{url}: {said}", hint=f"run it again, or name another mirror by {ARCHIVE}") from error
