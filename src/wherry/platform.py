"""Platforms: os / architecture / variant, and Go's names for them.

Sources: OCI image-spec v1.1.1, image-index.md "Platform Variants"; containerd/platforms v1
(normalisation); Go 1.26, `go doc cmd/go` "Environment variables" (GOARM, GOARM64, GOAMD64…).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from wherry.errors import InvalidUsage

_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm",
    "i386": "386", "i486": "386", "i586": "386", "i686": "386", "loongarch64": "loong64",
}  # fmt: skip
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_ARM_VARIANTS = {"v5", "v6", "v7"}
_LEVELS = {
    "amd64": re.compile(r"v[1-4]"),
    "arm": re.compile(r"v[5-8]"),
    "arm64": re.compile(r"v(8|9)(\.[0-9])?"),
}
LEVELS = ("GOAMD64", "GOARM", "GOARM64")
_VARIABLES = {
    "GOAMD64": re.compile(r"v[1-4]"),
    "GOARM": re.compile(r"[5-7](,(soft|hard)float)?"),
    "GOARM64": re.compile(r"v(8\.[0-9]|9\.[0-5])(,(lse|crypto))*"),
}
"""Go's variables for levels of the platform's architecture, and their values."""
_LINUX = (
    "386",
    "amd64",
    "arm",
    "arm64",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mipsle",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390x",
)


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """What an image runs on, in normal form: `arm64/v8` is `arm64`, `arm` is `arm/v7`, `amd64/v1` is `amd64`."""

    os: str
    architecture: str
    variant: str = ""
    named: bool = field(default=False, compare=False, repr=False)
    """Whether the user wrote the variant, even one that the normal form leaves out."""
    every: bool = field(default=False, compare=False, repr=False)
    """Whether the user wrote `all`: then it is built where the base has it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/arch[/variant]`, or `arch[/variant]` (then the OS is linux).

        Raises:
            InvalidUsage: it is not a platform Go builds for; the hint has the nearest ones.
        """
        parts = text.strip().lower().split("/")
        if _ARCHITECTURES.get(parts[0], parts[0]) in _LINUX or len(parts) == 1:
            parts = ["linux", *parts]
        if len(parts) not in {2, 3} or not all(_WORD.fullmatch(part) for part in parts):
            raise _unknown(text)
        system, architecture, variant = (*parts, "")[:3]
        platform = cls.of(system, architecture, variant)
        if platform.os == "linux" and platform.architecture not in _LINUX:
            raise _unknown(text)
        level = _LEVELS.get(platform.architecture)
        if platform.variant and not (level and level.fullmatch(platform.variant)):
            raise _unknown(text)
        return replace(platform, named=bool(variant))

    @classmethod
    def of(cls, system: str, architecture: str, variant: str = "") -> Self:
        """Normalise the words of a manifest or a machine; nothing is refused."""
        if architecture in {"armhf", "armel"} and not variant:
            variant = "v7" if architecture == "armhf" else "v6"
        architecture = _ARCHITECTURES.get(architecture, architecture)
        if architecture == "arm":
            variant = variant or "v7"
            variant = variant if variant.startswith("v") else f"v{variant}"
        elif (architecture, variant) in {("arm64", "v8"), ("arm64", "8"), ("arm64", "v8.0"), ("amd64", "v1")}:
            variant = ""
        return cls(system, architecture, variant)

    def __str__(self) -> str:
        """Give `os/arch` or `os/arch/variant`; what a terminal would obey, which an image may say, becomes U+FFFD."""
        text = f"{self.os}/{self.architecture}" + (f"/{self.variant}" if self.variant else "")
        if text.isprintable():
            return text
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

    def go_environment(self) -> Mapping[str, str]:
        """Name the platform as `go build` knows it: GOOS, GOARCH and the level variable of the architecture."""
        named = {"GOOS": self.os, "GOARCH": self.architecture}
        match self.architecture:
            case "amd64":
                named["GOAMD64"] = self.variant or "v1"
            case "arm":
                named["GOARM"] = (self.variant if self.variant in _ARM_VARIANTS else "v7").removeprefix("v")
            case "arm64":
                level = self.variant or "v8.0"
                named["GOARM64"] = level if "." in level else f"{level}.0"
        return named

    def go_levels(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """Name the levels that GOAMD64, GOARM and GOARM64 of the user's environment set for this platform.

        A level of the environment counts where no variant was written; the image is of the same platform either way.

        Raises:
            InvalidUsage: it is no level, or a variant that was written says otherwise.
        """
        own = self.go_environment()
        levels: dict[str, str] = {}
        for name in _VARIABLES.keys() & own.keys():
            said = environment.get(name, "")
            level = said.partition(",")[0]
            if not said or level == own[name]:
                levels |= {name: said} if said else {}
                continue
            if not _VARIABLES[name].fullmatch(said):
                raise InvalidUsage(
                    f"{name}={said} in the environment: Go has no such level for {self.architecture}",
                    hint=f"unset {name}, or set it as `go help environment` says",
                )
            if self.named:
                raise InvalidUsage(
                    f"{name}={said} in the environment, but --platform asks for {self.written}",
                    hint=f"unset {name}, or leave the variant out of --platform",
                )
            levels[name] = said
        return levels

    @property
    def written(self) -> str:
        """The platform with the variant that the normal form leaves out."""
        usual = {"amd64": "v1", "arm64": "v8"}.get(self.architecture, "")
        return str(self) if self.variant or not usual else f"{self}/{usual}"


ALL: tuple[Platform, ...] = tuple(
    Platform.of("linux", architecture, variant)
    for architecture, variant in (
        ("amd64", ""), ("arm64", ""), ("arm", "v7"), ("386", ""), ("riscv64", ""),
        ("ppc64le", ""), ("s390x", ""), ("loong64", ""),
    )
)  # fmt: skip
"""What `--platform all` stands for, in the order an index lists them."""


def buildable(platform: Platform) -> bool:
    """Report whether wherry makes images for a platform."""
    return platform.os == "linux" and platform.architecture in _LINUX


def _unknown(text: str) -> InvalidUsage:
    names = [*map(str, ALL), *(f"linux/{name}" for name in _LINUX), "linux/arm/v6", "linux/amd64/v3"]
    import difflib

    near = difflib.get_close_matches(text.lower(), names, n=3, cutoff=0.4)
    nearest = ", ".join(dict.fromkeys(near)) or ", ".join(map(str, ALL[:3]))
    return InvalidUsage(f"{text!r} is not a supported platform", hint=f"did you mean {nearest}?")


def order(platforms: "list[Platform] | tuple[Platform, ...]") -> tuple[Platform, ...]:
    """Put platforms in the fixed order of an index, each once: those of `ALL` first, others by name."""
    rank = {platform: place for place, platform in enumerate(ALL)}
    return tuple(sorted(set(platforms), key=lambda platform: (rank.get(platform, len(rank)), platform)))
