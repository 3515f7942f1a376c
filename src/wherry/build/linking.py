"""What linking takes beyond Go's own linker: C by zig with musl, and a PIE that starts without a dynamic linker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from wherry.elf.reader import Elf
from wherry.elf.static_pie import static_pie
from wherry.errors import InvalidDocument, WherryError
from wherry.host.process import Runner
from wherry.host.zig import Zig, find_zig
from wherry.platform import Platform

_LINKER = "-ldflags="
_STATIC = "-linkmode=external '-extldflags=-static -Wl,--strip-all'"


class NoStaticPie(WherryError):
    """A PIE cannot be made to start without a dynamic linker."""

    exit_code = 65  # EX_DATAERR


def make_static(program: Path) -> None:
    """Make a PIE start without a dynamic linker, in place.

    Raises:
        NoStaticPie: it is not one that Go links without C.
    """
    content = program.read_bytes()
    try:
        patches = static_pie(Elf.parse(content, program.name))
    except InvalidDocument as error:
        raise NoStaticPie(
            f"{program.name}: cannot be made a static PIE: {error.problem}",
            hint="build it without --pie, or report this with the versions of Go and wherry",
        ) from error
    with program.open("r+b") as file:
        for patch in patches:
            file.seek(patch.offset)
            file.write(patch.content)


@dataclass(slots=True)
class MuslCompiler:
    """Finds zig once, and says how cgo uses it."""

    runner: Runner
    user: Mapping[str, str]
    """The user's environment."""
    cache: Path
    """Where zig keeps what it compiles of musl."""
    _zig: Zig | None = None
    _lock: Lock = field(default_factory=Lock)

    @property
    def version(self) -> str:
        """Zig's."""
        return self._found().version

    def environment(self, platform: Platform) -> dict[str, str]:
        """Give the variables that make cgo compile for a platform.

        Raises:
            HostUnable: there is no zig.
        """
        place = str(self.cache)
        caches = {"ZIG_GLOBAL_CACHE_DIR": place, "ZIG_LOCAL_CACHE_DIR": place}
        return {**self._found().compiler(platform.architecture, platform.variant), **caches}

    def flags(self, flags: tuple[str, ...]) -> tuple[str, ...]:
        """Add what makes the C linker link all of it into one file."""
        own = next((flag.removeprefix(_LINKER) for flag in flags if flag.startswith(_LINKER)), "")
        others = tuple(flag for flag in flags if not flag.startswith(_LINKER))
        return (*others, f"{_LINKER}{' '.join(filter(None, (own, _STATIC)))}")

    def _found(self) -> Zig:
        with self._lock:
            if self._zig is None:
                self._zig = find_zig(self.runner, self.user)
            return self._zig
