"""wherry: a Go module, or a Dockerfile, to the smallest image that works, and the proof of it.

`import wherry` offers the verbs of docs/reference/api.md, each loaded when it is first used:

    import wherry

    result = wherry.build(wherry.GoBuild(packages=("./cmd/api",), tags=("api:dev",)))
    print(result.images[0].reference)
"""

import sys
from types import ModuleType

__version__ = "0.1.0"

_PLACES = {
    "wherry.app.api.calls": ("Cancel", "Logins"),
    "wherry.app.api.clusters": ("build_on_kubernetes",),
    "wherry.app.api.images": ("build", "copy", "load", "pull", "push", "save", "tags"),
    "wherry.app.api.judges": ("analyze", "check", "deps", "diff", "leaks", "open_image", "scan", "size", "tree"),
    "wherry.app.api.origins": ("sbom", "verify_modules"),
    "wherry.app.api.signatures": ("sign", "verify"),
    "wherry.app.build.options": ("DockerfileBuild", "GoBuild"),
    "wherry.app.build.result": ("BuildResult", "BuiltImage"),
    "wherry.app.on_kubernetes.build": ("DetachedRun",),
    "wherry.app.on_kubernetes.options": ("ClusterOptions",),
    "wherry.app.images": ("OpenImage",),
    "wherry.app.progress": ("Event", "EventKind", "TransferCounts"),
    "wherry.app.session": ("Session",),
    "wherry.app.archives": ("Loaded",),
    "wherry.app.transfer": ("NamedImage",),
    "wherry.app.traces": ("TraceOptions",),
    "wherry.app.tree": ("TreeNode",),
    "wherry.errors": ("Cancelled", "InvalidUsage", "NotFound", "WherryError"),
    "wherry.finding": ("Finding", "Severity"),
    "wherry.layer.compress": ("Encoding",),
    "wherry.platform": ("Platform",),
    "wherry.report.page": ("report",),
    "wherry.trust.key_files": ("read_key",),
    "wherry.trust.keys": ("PublicKey",),
    "wherry.trust.signature": ("SignatureAnswer", "WantedSigner"),
}  # fmt: skip
_PLACE = {name: place for place, names in _PLACES.items() for name in names}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.app.api.calls import Cancel, Logins
    from wherry.app.api.clusters import build_on_kubernetes
    from wherry.app.api.images import build, copy, load, pull, push, save, tags
    from wherry.app.api.judges import analyze, check, deps, diff, leaks, open_image, scan, size, tree
    from wherry.app.api.origins import sbom, verify_modules
    from wherry.app.api.signatures import sign, verify
    from wherry.app.archives import Loaded
    from wherry.app.build.options import DockerfileBuild, GoBuild
    from wherry.app.build.result import BuildResult, BuiltImage
    from wherry.app.images import OpenImage
    from wherry.app.on_kubernetes.build import DetachedRun
    from wherry.app.on_kubernetes.options import ClusterOptions
    from wherry.app.progress import Event, EventKind, TransferCounts
    from wherry.app.session import Session
    from wherry.app.traces import TraceOptions
    from wherry.app.transfer import NamedImage
    from wherry.app.tree import TreeNode
    from wherry.errors import Cancelled, InvalidUsage, NotFound, WherryError
    from wherry.finding import Finding, Severity
    from wherry.layer.compress import Encoding
    from wherry.platform import Platform
    from wherry.report.page import report
    from wherry.trust.key_files import read_key
    from wherry.trust.keys import PublicKey
    from wherry.trust.signature import SignatureAnswer, WantedSigner

__all__ = [
    "BuildResult",
    "BuiltImage",
    "Cancel",
    "Cancelled",
    "ClusterOptions",
    "DetachedRun",
    "DockerfileBuild",
    "Encoding",
    "Event",
    "EventKind",
    "Finding",
    "GoBuild",
    "InvalidUsage",
    "Loaded",
    "Logins",
    "NamedImage",
    "NotFound",
    "OpenImage",
    "Platform",
    "PublicKey",
    "Session",
    "Severity",
    "SignatureAnswer",
    "TraceOptions",
    "TransferCounts",
    "TreeNode",
    "WantedSigner",
    "WherryError",
    "__version__",
    "analyze",
    "build",
    "build_on_kubernetes",
    "check",
    "copy",
    "deps",
    "diff",
    "leaks",
    "load",
    "open_image",
    "pull",
    "push",
    "read_key",
    "report",
    "save",
    "sbom",
    "scan",
    "sign",
    "size",
    "tags",
    "tree",
    "verify",
    "verify_modules",
]


def __getattr__(name: str) -> object:
    """Load a name of the API when it is first used."""
    if name not in _PLACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACE[name]), name)


def __dir__() -> list[str]:
    """List the API."""
    return __all__


class _Api(ModuleType):
    """This module: two of its verbs have the names of rooms, which importing a room would set in their place."""

    @property
    def build(self) -> object:
        """The verb, and not the room."""
        return __getattr__("build")

    @build.setter
    def build(self, room: ModuleType) -> None:
        """Take no room; the import system finds it in `sys.modules`."""

    @property
    def report(self) -> object:
        """The verb, and not the room."""
        return __getattr__("report")

    @report.setter
    def report(self, room: ModuleType) -> None:
        """See above."""


sys.modules[__name__].__class__ = _Api
