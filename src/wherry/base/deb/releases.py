"""Debian's releases, the keys that sign them, and the sets of packages that bases are made of.

Sources: debian-archive-keyring 2025.1, for fingerprints; GoogleContainerTools/distroless (August 2026), for the sets;
Debian's and distroless' support policies, for ends of life.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry.errors import InvalidUsage
from wherry.platform import Platform

DEFAULT_RELEASE = "13"
WITH = "with"
"""The kind of base that names its packages."""
VARIANTS = ("", "nonroot", "debug", "debug-nonroot")
ARCHITECTURES: Mapping[str, str] = {
    "linux/amd64": "amd64",
    "linux/arm64": "arm64",
    "linux/arm/v7": "armhf",
    "linux/ppc64le": "ppc64el",
    "linux/riscv64": "riscv64",
    "linux/s390x": "s390x",
}
"""Debian's names of platforms."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One of a release's archives."""

    name: str
    """Its directory below `dists/`, which is its code name too."""
    keys: frozenset[str]
    """Primary keys that may sign it, by fingerprint in lower case."""
    security: bool = False
    """Whether it is in the security archive."""


@dataclass(frozen=True, slots=True)
class DebianRelease:
    """A release."""

    number: str
    suites: tuple[Suite, ...]
    sets: Mapping[str, tuple[str, ...]]
    """Packages by the base's name."""
    warning: str = ""
    """What to say of one that is no longer supported."""


_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,63}")
_MOST = 100
_STATIC = ("base-files", "ca-certificates", "media-types", "netbase", "tzdata")
_AUTOMATIC_12 = "b8b80b5b623eab6ad8775c45b7c5d7d6350947f8"
_AUTOMATIC_13 = "04b54c3cdca79751b16bc6b5225629df75b188bd"
_STABLE_12 = "4d64fec119c2029067d6e791f8d2585b8783d481"
_STABLE_13 = "41587f7db8c774bccf131416762f67a0b2c39de4"
_SECURITY_12 = "05ab90340c0c5e797f44a8c8254cf3b5aec0a8f0"
_SECURITY_13 = "5e04a1e3223a19a20706e20f9904613d4cce68c6"


def _suites(codename: str, automatic: str, stable: str, security: str) -> tuple[Suite, ...]:
    return (
        Suite(codename, frozenset({automatic, stable})),
        Suite(f"{codename}-updates", frozenset({automatic})),
        Suite(f"{codename}-security", frozenset({security}), security=True),
    )


def _sets(static: tuple[str, ...], tls: tuple[str, ...], compiler: str) -> Mapping[str, tuple[str, ...]]:
    nossl = (*static, "libc6")
    base = (*nossl, *tls)
    return {
        "static": static,
        "base-nossl": nossl,
        "base": base,
        "cc": (*base, compiler, "libgcc-s1", "libgomp1", "libstdc++6"),
    }


RELEASES: Mapping[str, DebianRelease] = {
    "13": DebianRelease(
        "13",
        _suites("trixie", _AUTOMATIC_13, _STABLE_13, _SECURITY_13),
        _sets((*_STATIC, "tzdata-legacy"), ("libssl3t64", "libzstd1", "zlib1g"), "gcc-14-base"),
    ),
    "12": DebianRelease(
        "12",
        _suites("bookworm", _AUTOMATIC_12, _STABLE_12, _SECURITY_12),
        _sets(_STATIC, ("libssl3",), "gcc-12-base"),
        "Debian 12 gets security updates from its LTS team only, since June 2026; use --debian 13",
    ),
}


@dataclass(frozen=True, slots=True)
class DebName:
    """A base's name, taken apart."""

    release: DebianRelease
    set: str
    debug: bool
    named: tuple[str, ...] = ()
    """Of `deb:with:…`: the packages it is made of, with all that these need."""
    without: tuple[str, ...] = ()
    """Packages that are left out of those."""

    @classmethod
    def parse(cls, name: str) -> "DebName":
        """Read `deb:static`, `deb:base:debug`, `deb12:cc:nonroot`, `deb:with:libsqlite3-0,tzdata,-libgcc-s1`.

        Raises:
            InvalidUsage: there is no such release, set or variant.
        """
        scheme, _, rest = name.partition(":")
        kind, _, variant = rest.partition(":")
        release = RELEASES.get(scheme.removeprefix("deb") or DEFAULT_RELEASE)
        if release is None:
            raise InvalidUsage(f"base {name}: no such Debian", hint=f"use --debian {' or '.join(RELEASES)}")
        named: tuple[str, ...] = ()
        without: tuple[str, ...] = ()
        if kind == WITH:
            words, _, variant = variant.partition(":")
            named, without = _packages(words, name)
        if kind not in {*release.sets, WITH} or variant not in VARIANTS:
            names = ", ".join(f"deb:{one}" for one in release.sets)
            raise InvalidUsage(
                f"base {name}: no such base of packages",
                hint=f"use {names} or deb:with:PACKAGE,…, with :debug, :nonroot or :debug-nonroot if you like",
            )
        return cls(release, kind, debug=variant.startswith("debug"), named=named, without=without)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages it is made of; of `deb:with:…`, those that are named."""
        own = self.named if self.set == WITH else self.release.sets[self.set]
        return (*own, *(("busybox-static",) if self.debug else ()))

    @property
    def closed(self) -> bool:
        """Whether what the packages need belongs to the base too."""
        return self.set == WITH


def name_with(debian: str, packages: Iterable[str], without: Iterable[str] = ()) -> str:
    """Name the base of some packages, in one form: `deb13:with:libsqlite3-0,tzdata,-libgcc-s1`.

    Raises:
        InvalidUsage: there is no such Debian, or one is no name of a package.
    """
    words = [*sorted(set(packages)), *(f"-{one}" for one in sorted(set(without)))]
    name = f"deb{debian}:{WITH}:{','.join(words)}"
    DebName.parse(name)
    return name


def _packages(text: str, base: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = [word.strip() for word in text.split(",")]
    wrong = [word for word in words if not _PACKAGE.fullmatch(word.removeprefix("-"))]
    named = tuple(word for word in words if not word.startswith("-"))
    if wrong or not named or len(words) > _MOST:
        problem = f"{wrong[0]!r} is not a package name" if wrong else f"from 1 to {_MOST} packages are named"
        raise InvalidUsage(f"base {base}: {problem}", hint="write it as deb:with:libsqlite3-0,ca-certificates")
    return named, tuple(word[1:] for word in words if word.startswith("-"))


def is_deb_name(name: str) -> bool:
    """Report whether a base's name is one of ours: `deb:…` or `deb12:…`, and no image of a registry."""
    scheme, colon, rest = name.partition(":")
    return bool(colon) and re.fullmatch("deb[0-9]*", scheme) is not None and "/" not in rest


def debian_architecture(platform: Platform) -> str:
    """Name a platform as Debian does.

    Raises:
        InvalidUsage: Debian has no such architecture.
    """
    text = str(platform)
    found = ARCHITECTURES.get(text) or ARCHITECTURES.get(text.replace("/v8", ""))
    if found is None:
        raise InvalidUsage(
            f"{platform}: Debian has no packages for it", hint=f"it has {', '.join(ARCHITECTURES)}; use --base static"
        )
    return found
