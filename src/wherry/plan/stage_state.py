"""A stage while it is compiled: its options, and what its instructions have given so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from wherry.dockerfile import instructions as of
from wherry.oci.image import Image
from wherry.plan.graph import Action
from wherry.plan.image_config import ImageConfigBuilder
from wherry.platform import Platform

_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """Options for the steps of a Dockerfile."""

    arguments: Mapping[str, str] = field(default_factory=dict)
    """`--build-arg`."""
    network: str = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, int, int], ...] = ()
    shm: int = 0
    host_network: bool = False
    """Whether steps may ask for the host network (`--allow network.host`)."""
    insecure: bool = False
    """Whether steps may ask for all privileges (`--allow security.insecure`)."""
    epoch: int | None = None
    """SOURCE_DATE_EPOCH."""

    @property
    def mtime(self) -> int:
        """Nanoseconds since the epoch of what is made; -1: now."""
        return -1 if self.epoch is None else self.epoch * 1_000_000_000

    @property
    def proxies(self) -> tuple[tuple[str, str], ...]:
        """What steps see of proxies, in no key and no history: both spellings of each."""
        given = {name.lower(): value for name, value in sorted(self.arguments.items()) if name.lower() in _PROXIES}
        return tuple((spelt, value) for name, value in given.items() for spelt in (name.upper(), name))


@dataclass
class StageState:
    """A stage after some of its instructions."""

    platform: Platform
    draft: ImageConfigBuilder
    base: Image | None = None
    """The image that is below all."""
    stack: tuple[str, ...] = ()
    """The steps that make its rootfs, base first."""
    own: tuple[str, ...] = ()
    """Those that made layers above the base."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables that words and RUN see: of the config, and build arguments."""
    arguments: list[of.Argument] = field(default_factory=list)
    """Build arguments that were declared, for history."""
    cmd_set: bool = False
    published: list[tuple[str, str, str]] = field(default_factory=list)
    """Instruction, name and value of what everyone who can pull the image can read."""

    def child(self) -> "StageState":
        """Begin a stage on this one."""
        return replace(
            self,
            draft=self.draft.copied(),
            env=dict(self.env),
            arguments=list(self.arguments),
            cmd_set=False,
            published=list(self.published),
        )


@dataclass(frozen=True, slots=True)
class StageOrContext:
    """Where COPY --from or a mount's `from` leads: to a stage's rootfs, or to a context."""

    stack: tuple[str, ...] = ()
    context: str | None = None


AddStep = Callable[[Action, tuple[str, ...], of.Instruction], str]
"""Puts a step into the plan; gives its name."""
