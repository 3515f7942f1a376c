"""What goes wrong between us and a daemon."""

from wherry.errors import HostUnable


class NoDaemon(HostUnable):
    """There is none, or it does not answer."""


class NotLoaded(HostUnable):
    """A daemon would not take an image."""
