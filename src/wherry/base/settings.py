"""What a base of wherry's own has in place of its defaults; all of it decides bytes, so all of it is in keys."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wherry.base.certificates import Certificate, bundle_of, own_certificates, read_certificates
from wherry.errors import InvalidDocument, InvalidUsage

KEEPABLE = ("docs", "locales")
"""Groups of files of Debian packages that may stay (`base/deb/assemble.py`)."""
_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_HIGHEST = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Account:
    """A user of a base, with a group of its own."""

    name: str
    uid: int
    gid: int
    home: str = "/nonexistent"

    @classmethod
    def parse(cls, text: str) -> "Account":
        """Read `NAME:UID[:GID[:HOME]]`.

        Raises:
            InvalidUsage: it is none.
        """
        name, uid, gid, home, *rest = (*text.split(":"), "", "", "")
        numbers = uid, gid or uid
        fine = _NAME.fullmatch(name) and all(one.isdecimal() and int(one) <= _HIGHEST for one in numbers)
        if (
            not fine
            or any(rest)
            or (home and not home.startswith("/"))
            or any(ord(letter) < ord(" ") for letter in text)
        ):
            raise InvalidUsage(f"{text!r}: not a user", hint="write it as NAME:UID, NAME:UID:GID or NAME:UID:GID:/HOME")
        return cls(name, int(numbers[0]), int(numbers[1]), home or "/nonexistent")

    def __str__(self) -> str:
        return f"{self.name}:{self.uid}:{self.gid}:{self.home}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSettings:
    """What differs from a base's defaults; empty: nothing."""

    roots: tuple[str, ...] | None = None
    """Fingerprints of the base's own certificates that stay; None: all."""
    added: tuple[Certificate, ...] = ()
    """Certificates that are added."""
    keep: tuple[str, ...] = ()
    """Groups of `KEEPABLE`."""
    users: tuple[Account, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def certificates(self) -> bool:
        """Whether the certificates are other than the base's."""
        return self.roots is not None or bool(self.added)

    def content(self) -> dict[str, str]:
        """Write all that is set as texts, which say what decides a base's bytes; `of` reads them."""
        return {
            **({"roots": " ".join(self.roots)} if self.roots is not None else {}),
            **({"added": bundle_of(self.added).decode()} if self.added else {}),
            **({"keep": " ".join(self.keep)} if self.keep else {}),
            **({"users": "\n".join(map(str, self.users))} if self.users else {}),
            **(
                {"env": "\n".join(f"{name}={text}" for name, text in self.environment.items())}
                if self.environment
                else {}
            ),
        }

    @classmethod
    def of(cls, content: Mapping[str, str]) -> "BaseSettings":
        """Read what `content` wrote; other texts are left out."""
        lines = (line.partition("=") for line in content.get("env", "").split("\n") if line)
        return cls(
            roots=tuple(content["roots"].split()) if "roots" in content else None,
            added=read_certificates(content["added"].encode(), "certificates") if "added" in content else (),
            keep=tuple(content.get("keep", "").split()),
            users=tuple(Account.parse(line) for line in content.get("users", "").splitlines()),
            environment={name: text for name, _, text in lines},
        )

    def recipe(self) -> dict[str, str]:
        """Write what a rebuild needs to know; added certificates are named, and are in the image itself."""
        return {
            **({"base.roots": " ".join(self.roots) or "none"} if self.roots is not None else {}),
            **({"base.ca": " ".join(sorted(one.fingerprint for one in self.added))} if self.added else {}),
            **({"base.keep": " ".join(self.keep)} if self.keep else {}),
        }

    def bundle(self, own: Iterable[Certificate]) -> bytes:
        """Make the file of certificates.

        Args:
            own: those that the base has; all of them stay where no root is named.

        Raises:
            InvalidDocument: a root that is named is none of Mozilla's that this wherry knows.
        """
        if self.roots is None:
            kept = {one.fingerprint: one for one in own}
        else:
            public = {one.fingerprint: one for one in own_certificates()}
            absent = [name for name in self.roots if name not in public]
            if absent:
                raise InvalidDocument(
                    f"root sha256:{absent[0]}",
                    "not among the certificates of this wherry",
                    hint="name another one, or give it with --ca FILE",
                )
            kept = {name: public[name] for name in self.roots}
        return bundle_of({**kept, **{one.fingerprint: one for one in self.added}}.values())


DEFAULTS = BaseSettings()
"""A base as it is."""
