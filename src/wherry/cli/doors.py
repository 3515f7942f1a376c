"""Which front door a call of `wherry build` means: a Go module, or a Dockerfile."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.cli.world import World

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")
_SAYS = ("target", "build_args", "build_contexts", "secrets", "agents", "no_cache_filter", "check", "debug_shell")


def wants_dockerfile(world: World, paths: Sequence[str], options: Mapping[str, object]) -> bool:
    """Tell whether a Dockerfile is meant: it is named, or is there where no main package is."""
    if options["dockerfile"]:
        return True
    if options["go_door"] or len(paths) > 1:
        return False
    path = paths[0] if paths else "."
    return path == "-" or path.startswith(_REMOTE) or _there(world.cwd / path, options)


def _there(folder: Path, options: Mapping[str, object]) -> bool:
    if not any((folder / name).is_file() for name in ("Dockerfile", "dockerfile")):
        return False
    return any(options[name] for name in _SAYS) or _asked(folder) or not any(folder.glob("*.go"))


def _asked(folder: Path) -> bool:
    """Tell whether a wherry.toml beside it says front-door = "dockerfile"."""
    file = folder / "wherry.toml"
    if not file.is_file():
        return False
    from wherry.settings.wherry_toml import Settings

    return Settings.parse(file.read_text(errors="replace"), str(file)).build.front_door == "dockerfile"
