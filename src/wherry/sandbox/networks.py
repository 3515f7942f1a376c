"""Which network containers of this machine get: the caller's side."""

from dataclasses import dataclass, replace

from wherry.errors import HostUnable
from wherry.host.usernet import NoUserNetwork, UserNetwork
from wherry.sandbox.spec import Uplink


@dataclass(frozen=True, slots=True)
class Networks:
    """What this machine has for containers whose network is the default."""

    uplink: Uplink | None = None
    reason: str = "no program for another was looked for"
    """Why there is none."""
    remedy: str = ""

    @classmethod
    def of(cls, found: UserNetwork | NoUserNetwork) -> "Networks":
        """Take what was found on this machine."""
        if isinstance(found, NoUserNetwork):
            return cls(None, found.reason, found.remedy)
        return cls(
            Uplink(
                kind=found.kind, program=found.program, forward=found.forward, resolv_conf=found.resolv_conf, ports=[],
                required=False,
            ),
            "",
        )  # fmt: skip

    def mode(self, asked: str) -> str:
        """Give a container's network: `default` is a namespace of its own where there is a program for it."""
        if asked in ("host", "none"):
            return asked
        return "own" if self.uplink else "shared"

    def publishing(self, ports: tuple[str, ...]) -> "Networks":
        """Give the same with ports of the host that lead into the container; it then has to have its own namespace.

        Raises:
            HostUnable: there is no program that does it.
        """
        if not ports:
            return self
        if self.uplink is None or self.uplink["kind"] != "pasta":
            reason = self.reason or "slirp4netns cannot publish ports, and pasta is not installed"
            raise HostUnable(
                f"cannot publish ports: {reason}",
                hint="install passt (pasta), or use --network host, which needs no -p",
            )
        return replace(self, uplink={**self.uplink, "ports": list(ports), "required": True})
