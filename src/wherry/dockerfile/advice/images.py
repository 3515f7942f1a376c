"""What the names of images tell: their tags and digests, what they build, and what they lack."""

import re
from dataclasses import dataclass

_BUILDERS = frozenset({
    "buildpack-deps", "composer", "dart", "erlang", "gcc", "golang", "gradle", "haskell", "maven", "rust", "sbt",
    "swift",
})  # fmt: skip
"""Repositories of images that are there to compile."""
_STATIC = re.compile(r"(?:distroless/static|chainguard/static|cgr\.dev/[^:@]*/static)(?:[-:@]|$)")
_DISTROLESS = re.compile(r"distroless/|(?:^|/)chainguard/static|cgr\.dev/[^:@]*/static")
_MUSL = re.compile(r"(?:^|/)alpine(?:[:@]|$)|:[^@]*alpine|busybox:[^@]*musl|wolfi-base-musl")
_GLIBC = re.compile(
    r"(?:^|/)(?:debian|ubuntu|fedora|centos|rockylinux|almalinux|amazonlinux|ubi\d*(?:-minimal|-micro)?|photon|wolfi-base)"
    r"(?:[:@]|$)|distroless/(?:base|cc)(?:[-:@]|$)"
)


@dataclass(frozen=True, slots=True)
class ImageName:
    """A reference cut into its parts."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "ImageName":
        """Cut a reference; nothing is checked."""
        name, _, digest = text.partition("@")
        head, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            head, tag = name, ""
        return cls(head, tag, digest)

    @property
    def short(self) -> str:
        """The last part of the repository, such as `golang`."""
        return self.repository.rpartition("/")[2]


def is_builder(image: str) -> bool:
    """Report whether an image is there to compile, such as golang, rust or an SDK."""
    name = ImageName.parse(image)
    official = "/" not in name.repository.removeprefix("docker.io/").removeprefix("library/")
    return (official and name.short in _BUILDERS) or "dotnet/sdk" in name.repository


def lacks_libc(image: str) -> bool:
    """Report whether an image has no C library: scratch and static ones."""
    return image == "scratch" or bool(_STATIC.search(image))


def lacks_shell(image: str) -> bool:
    """Report whether an image has no /bin/sh."""
    if image == "scratch":
        return True
    return bool(_DISTROLESS.search(image)) and "debug" not in ImageName.parse(image).tag and "-dev" not in image


def libc_of(image: str) -> str:
    """Name an image's C library, `musl` or `glibc`; empty: not known."""
    if _MUSL.search(image):
        return "musl"
    if _GLIBC.search(image):
        return "glibc"
    return "glibc" if is_builder(image) and ImageName.parse(image).short in ("golang", "rust", "gcc") else ""
