"""What a caller says of a build in a cluster; what is not said is read from `[kubernetes]` of wherry.toml."""

from dataclasses import dataclass, replace

from wherry.app.places import TOML, toml_folder
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.settings.kubernetes import KubernetesSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """How a build runs in a cluster."""

    context: str = ""
    """Of kubectl's configuration."""
    namespace: str = ""
    builder: str = ""
    """The image of the pods."""
    queue: str = ""
    """Of Kueue."""
    parallelism: int = 0
    """Pods at a time; 0: as the file says."""
    suspend: bool = False
    """Whether the Job is created suspended, for something else to start."""
    verify: bool = False
    """Whether each platform is built twice, in different places, and compared."""
    detach: bool = False
    """Whether the call ends once the Job is there; `attach` picks it up."""
    cache_from: tuple[str, ...] = ()
    """Caches in registries for Go modules, `NAME` or `type=registry,ref=NAME`; a Dockerfile's options have its own."""
    cache_to: tuple[str, ...] = ()


def kubernetes_settings(session: Session, paths: tuple[str, ...], options: ClusterOptions) -> KubernetesSettings:
    """Read `[kubernetes]` of the wherry.toml that counts, and put what the caller says above it.

    Raises:
        InvalidSettings: the file says what it may not; line and key are named.
    """
    from wherry.settings.wherry_toml import Settings

    # With several directories, what holds for all of them is said where the command is called.
    folder = toml_folder(session.cwd, ()) or toml_folder(session.cwd, paths)
    said = KubernetesSettings()
    if folder is not None:
        file = folder / TOML
        said = Settings.parse(file.read_text(errors="replace"), str(file), "any").kubernetes
    return replace(
        said,
        context=options.context or said.context,
        namespace=options.namespace or said.namespace,
        builder=options.builder or said.builder,
        queue=options.queue or said.queue,
        parallelism=options.parallelism or said.parallelism,
    )


def require_builder(settings: KubernetesSettings) -> str:
    """Give the image of the pods.

    Raises:
        InvalidUsage: none is named.
    """
    if not settings.builder:
        raise InvalidUsage(
            "no image for the pods: they need one with wherry, Go and git",
            hint='push what `make image` makes, and name it: --builder IMAGE, or builder = "IMAGE" below [kubernetes]',
        )
    return settings.builder
