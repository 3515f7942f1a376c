"""What goes wrong between us and a daemon."""

from pathlib import Path

from wherry.errors import HostUnable


class NoDaemon(HostUnable):
    """There is none, or it does not answer."""


class Forbidden(NoDaemon):
    """There is one, and it is not ours to speak to."""


class NotLoaded(HostUnable):
    """A daemon would not take an image."""


def forbidden(socket: str) -> Forbidden:
    """Make the error for a socket that is not ours to write to; its group is who may."""
    try:
        group = Path(socket).group()
    except (OSError, KeyError):
        group = "docker"
    join = f"join its group: sudo usermod -aG {group} $USER, and log in again"
    return Forbidden(
        f"{socket}: permission denied",
        hint="run it as root" if group == "root" else join,
    )
