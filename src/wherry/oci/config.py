"""Image configs: runtime settings, diff ids, chain ids, history.

Source: OCI image-spec v1.1.1, config.md; Docker's additions (Healthcheck, OnBuild, Shell) from its image spec v1.2.
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import msgspec

from wherry.digest import Digest
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode, encode
from wherry.platform import Platform

Variable = Annotated[str, msgspec.Meta(pattern="=")]
"""`NAME=value`."""


class HealthcheckConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Docker's HEALTHCHECK; times in nanoseconds."""

    test: tuple[str, ...] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The `config` object: how a container of the image starts. null and absent are the same."""

    user: str = ""
    exposed_ports: dict[str, dict[str, str]] | None = None
    env: tuple[Variable, ...] | None = None
    """In order; of a name given twice the last counts."""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: dict[str, dict[str, str]] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: HealthcheckConfig | None = None
    on_build: tuple[str, ...] | None = None
    shell: tuple[str, ...] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment by name; of a name given twice the last counts."""
        return {name: value for name, _, value in (entry.partition("=") for entry in self.env or ())}


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    """The layers by the hash of their uncompressed bytes, base first."""

    type: Literal["layers"] = "layers"
    diff_ids: tuple[Digest, ...] | None


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step that made the image; `empty_layer` where it made no layer."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The config document of one image of one platform."""

    architecture: str
    os: str
    variant: str = ""
    os_version: str = msgspec.field(name="os.version", default="")
    os_features: tuple[str, ...] = msgspec.field(name="os.features", default=())
    created: Annotated[str, msgspec.Meta(description="RFC 3339")] | None = None
    author: str = ""
    config: RuntimeConfig | None = None
    rootfs: RootFS
    history: tuple[History, ...] | None = ()

    @classmethod
    def parse(cls, document: bytes, name: str) -> Self:
        """Read a config.

        Raises:
            InvalidDocument: it is invalid; the message has the path of the wrong key.
        """
        return decode(document, cls, name)

    @property
    def platform(self) -> Platform:
        """The platform in normal form."""
        return Platform.of(self.os, self.architecture, self.variant)

    @property
    def runtime(self) -> RuntimeConfig:
        """How a container starts; all defaults where the document has no `config`."""
        return self.config or RuntimeConfig()

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The layers' diff ids, base first."""
        return self.rootfs.diff_ids or ()

    def encoded(self) -> bytes:
        """Write it down; the same value gives the same bytes."""
        return encode(self)


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer under both its names: the stored blob, and the tar inside it."""

    blob: Descriptor
    diff_id: Digest
    """Hash of the tar before compression."""
    size: int
    """Bytes of the tar before compression."""


def chain_ids(diff_ids: Iterable[Digest]) -> tuple[Digest, ...]:
    """Name each stack of layers from the base up: what an unpacked tree is kept under.

    Source: OCI image-spec v1.1.1, config.md "Layer ChainID".
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        if chain:
            joined = hashlib.sha256(f"{chain[-1]} {diff_id}".encode())
            chain.append(Digest.from_hash(joined))
        else:
            chain.append(diff_id)
    return tuple(chain)
