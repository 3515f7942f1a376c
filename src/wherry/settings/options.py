"""Build options from a file or from the command line; None means not set."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from wherry.platform import Platform
from wherry.settings.values import Added

Pairs = tuple[tuple[str, str], ...]
"""Names and values in the order they were given, each name once."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Settings of an image, for a Go module and for a Dockerfile; an empty list says "none", None says nothing."""

    tags: tuple[str, ...] | None = None
    """Names of the image, in the local store."""
    platforms: tuple[Platform, ...] | None = None
    labels: Pairs | None = None
    annotations: Pairs | None = None
    """Of the manifest and the index."""
    env: Pairs | None = None
    user: str | None = None
    workdir: str | None = None
    expose: tuple[str, ...] | None = None
    """As `8080/tcp`."""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    add: tuple[Added, ...] | None = None
    """Files that go into the image; relative paths start at the session's folder, or at that of wherry.toml."""
    compression: str | None = None
    """`gzip`, `zstd` or `none`."""
    compression_level: int | None = None
    release: bool | None = None
    """Use the smallest compression that all targets read; excludes the two above."""


@dataclass(frozen=True, kw_only=True)
class GoSettings:
    """Settings of a Go program and its base; None says nothing."""

    base: str | None = None
    debian: str | None = None
    """The Debian that `deb:` bases are made of, such as `12`."""
    ca: tuple[str, ...] | None = None
    """Files of certificates (PEM) that go into the base; relative paths as for `add`."""
    ca_for: tuple[str, ...] | None = None
    """Which public roots stay in the base: HOST:PORT, asked now, or a root by name or fingerprint; None: all."""
    ca_only: bool | None = None
    """Whether no public root stays: those of `ca` alone."""
    keep: tuple[str, ...] | None = None
    """Files of Debian packages that stay in a `deb:` base: `docs`, `locales`."""
    ldflags: str | None = None
    gcflags: str | None = None
    asmflags: str | None = None
    go_tags: tuple[str, ...] | None = None
    go_env: Pairs | None = None
    go_version: str | None = None
    trimpath: bool | None = None
    strip: bool | None = None
    strip_buildid: bool | None = None
    debug_info: str | None = None
    """File for the program with its symbols."""
    profile: tuple[str, ...] | None = None
    """Words of `settings/profile.py`: what is chosen for a kind of machine."""
    device_memory: int | None = None
    """Bytes of memory of the device that the profile `edge` is for."""
    pie: bool | None = None
    """Whether it is a static PIE."""
    cgo: str | None = None
    """`off`, or `musl`: C is compiled by zig and linked statically with musl."""
    no_inline: tuple[str, ...] | None = None
    """Patterns of packages that are compiled without inlining: smaller, and slower where they are called often."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions(GoSettings, ImageSettings):
    """Every setting of an image that wherry.toml can have."""

    package: str | None = None
    """Folder of the main package."""
    front_door: str | None = None
    """`go` or `dockerfile`."""
    mod: str | None = None
    """Go's -mod: `readonly`, `vendor` or `mod`; only a .ko.yaml says it."""

    def under(self, above: Self) -> Self:
        """Put options above these: what they say counts; pairs are joined, name by name, all else is replaced.

        A release above takes the place of a compression below, and the other way round.
        """
        said: dict[str, Any] = {}
        if above.release:
            said |= {"compression": None, "compression_level": None}
        elif above.compression is not None or above.compression_level is not None:
            said["release"] = False
        for field in fields(above):
            value = getattr(above, field.name)
            if value is not None:
                said[field.name] = self._joined(field.name, value) if field.name in _PAIRS else value
        return replace(self, **said)

    def _joined(self, name: str, above: Pairs) -> Pairs:
        return tuple({**dict(getattr(self, name) or ()), **dict(above)}.items())


_PAIRS = frozenset({"labels", "annotations", "env", "go_env"})
