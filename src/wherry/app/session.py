"""What a use case is given: places, settings, programs, registries, a clock, and where to report progress."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from wherry.app.progress import Progress, Silent
from wherry.errors import Cancelled

if TYPE_CHECKING:
    from wherry.host.process import Runner
    from wherry.oci.descriptor import Descriptor
    from wherry.registry.keyring import Keyring
    from wherry.registry.open import Registries
    from wherry.store.contract import BlobSource
    from wherry.store.disk import DiskStore

PATIENCE = 120.0
"""Seconds that a registry may make one request wait, unless `--timeout` says otherwise."""
UNPACK_LIMIT = 64 << 30
"""Bytes of files that one command unpacks, unless more are allowed."""
MIN_FREE = 256 << 20
"""Bytes that a step of a build must leave free on the disk of the cache."""


class Session:
    """Everything outside that a use case may touch. Nothing is read from the process; safe to share between threads."""

    may_fork: ClassVar[bool] = False
    """Whether this process may be forked: it is the caller's, unless a command line is."""

    def __init__(  # noqa: PLR0913 - all that is outside, each by its name
        self,
        *,
        store: Path,
        cache: Path,
        cwd: Path,
        environment: Mapping[str, str],
        home: Path | None = None,
        keyring: "Keyring | None" = None,
        insecure: frozenset[str] = frozenset(),
        progress: Progress | None = None,
        clock: Callable[[], float] = time.time,
        cancelled: Callable[[], bool] | None = None,
        unpack_limit: int = UNPACK_LIMIT,
        min_free: int = MIN_FREE,
        patience: float = PATIENCE,
    ) -> None:
        """Take the values; nothing is opened yet.

        Args:
            store: folder of the local store, an OCI layout; it is created by the first write.
            cache: folder of the cache; it can be deleted at any time.
            cwd: where relative paths start.
            environment: what programs (go, git) are started with, and where settings of proxies are read from.
            home: where the files of Docker's and podman's users are; None: none are read.
            keyring: credentials for registries; None: those of the files below `home`.
            insecure: registries that may speak plain HTTP, or show certificates that are not trusted.
            progress: where steps are reported; None: nowhere.
            clock: seconds since the epoch, UTC.
            cancelled: whether to stop; asked while programs run and data is read. None: nothing stops a use case.
            unpack_limit: most bytes of files that one command unpacks into the cache.
            min_free: bytes that a step of a build must leave free on the disk of the cache.
            patience: most seconds that one request waits because a registry asks to come back later.
        """
        self.store_folder = store
        self.cache_folder = cache
        self.cwd = cwd
        self.environment = environment
        self.home = home
        self.keyring = keyring
        self.insecure = set(insecure)
        self.progress: Progress = progress or Silent()
        self.clock = clock
        self.cancelled = cancelled
        self.unpack_limit = unpack_limit
        self.min_free = min_free
        self.patience = patience

    @classmethod
    def of(cls, environment: Mapping[str, str], *, cwd: Path) -> Self:
        """Make the session that the command line would have in an environment.

        Args:
            environment: WHERRY_STORE, WHERRY_CACHE, XDG_DATA_HOME, XDG_CACHE_HOME and HOME name the places; the rest
                is for programs.
            cwd: where relative paths start.
        """
        home = Path(environment.get("HOME") or home_of_user())
        store = environment.get("WHERRY_STORE")
        cache = environment.get("WHERRY_CACHE")
        return cls(
            store=(cwd / store).absolute() if store else _data(environment, home) / "wherry" / "store",
            cache=(cwd / cache).absolute() if cache else _cache(environment, home) / "wherry",
            cwd=cwd,
            environment=environment,
            home=home,
        )

    @classmethod
    def of_user(cls) -> Self:
        """Make a session in the home folder of this process's user, whatever the environment says.

        The store is ~/.local/share/wherry/store, the cache ~/.cache/wherry; programs are looked for in the system's
        folders, /usr/local/go/bin, and ~/go/bin.
        """
        home = home_of_user()
        path = f"{os.defpath}:/usr/local/bin:/usr/local/go/bin:{home}/go/bin"
        return cls.of({"HOME": str(home), "PATH": path}, cwd=Path.cwd())

    def derived(self, *, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None) -> Self:
        """Give a session of the same places and registries that reports elsewhere, or can be cancelled."""
        from copy import copy  # looks for Jython when it is loaded, at a price

        made = copy(self)
        if progress is not None:
            made.progress = progress
        if cancelled is not None:
            made.cancelled = cancelled
            made.__dict__.pop("runner", None)
        return made

    @cached_property
    def store(self) -> "DiskStore":
        """The local store."""
        from wherry.store.disk import DiskStore

        return DiskStore(self.store_folder, fetch=self._fetched)

    @cached_property
    def registries(self) -> "Registries":
        """Registries as the environment and the user's files say they are reached."""
        from wherry.app.network import registries_of

        return registries_of(self, frozenset(self.insecure))

    @cached_property
    def runner(self) -> "Runner":
        """What starts programs."""
        from wherry.host.process import SystemRunner

        return SystemRunner(self.cancelled)

    def keep_cache_private(self) -> None:
        """Have a cache that no other user of the machine can enter: it holds what a build fetched with credentials.

        A folder that was there before is only closed at the usual place: elsewhere it may be shared on purpose.
        """
        usual = _cache(self.environment, self.home) / "wherry" if self.home else None
        with suppress(OSError):  # the first write into it reports what is wrong
            self.cache_folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.cache_folder.mkdir(mode=0o700)
            except FileExistsError:
                if self.cache_folder == usual and self.cache_folder.stat().st_mode & 0o077:
                    self.cache_folder.chmod(0o700)

    def checkpoint(self) -> None:
        """Stop if the caller cancelled; long use cases call it between their parts.

        Raises:
            Cancelled: the caller did.
        """
        if self.cancelled is not None and self.cancelled():
            raise Cancelled

    def cancellable(self, source: "BlobSource") -> "BlobSource":
        """Give a source that stops between chunks once the caller cancels; the same one if that cannot be."""
        if self.cancelled is None:
            return source
        from wherry.app.cancel import CancellableSource

        return CancellableSource(source, self.checkpoint)

    def note(self, line: str) -> None:
        """Report a line that belongs to no step."""
        self.progress.line(line)

    def warn(self, line: str) -> None:
        """Report what the user should act on."""
        self.progress.warn(line)

    def waits(self, line: str) -> None:
        """Report that a request waits for a registry; called from any thread."""
        self.progress.line(line)

    def _fetched(self, blob: "Descriptor", places: tuple[str, ...]) -> "Iterator[bytes]":
        from wherry.oci.reference import Reference

        return self.registries.source(Reference.parse(places[0], default_tag="")).read(blob)


def home_of_user() -> Path:
    """Give the home folder that the system's accounts name, whatever the environment says."""
    import pwd

    return Path(pwd.getpwuid(os.getuid()).pw_dir)


def _data(environment: Mapping[str, str], home: Path) -> Path:
    """Give the folder of the user's data (XDG Base Directory Specification 0.8)."""
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")


def _cache(environment: Mapping[str, str], home: Path) -> Path:
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
