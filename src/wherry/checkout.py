"""What git knows of the module, as labels, `created` and templates want it; asked at once, read when needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from wherry.host.process import Runner
from wherry.settings.template import expand, names
from wherry.source.module import Release
from wherry.source.vcs import Details, Vcs, VcsAbsent, VcsQuery, read_details, start_vcs, template_facts


@dataclass(frozen=True, slots=True)
class VcsFacts:
    """What the labels say of version control; all empty where there is none."""

    revision: str = ""
    """With `-dirty` where something differs from the commit."""
    committed: int = 0
    """Seconds since the epoch."""
    version: str = ""
    """The tag, where the commit has one and nothing differs from it."""
    source: str = ""
    """Address of the remote, without credentials."""


class Checkout:
    """The checkout a folder sits in."""

    def __init__(self, folder: Path, runner: Runner, environment: Mapping[str, str]) -> None:
        self._runner = runner
        self._environment = environment
        self._query: VcsQuery = start_vcs(folder, runner, environment)

    @cached_property
    def status(self) -> Vcs | VcsAbsent:
        """What `git status` said."""
        return self._query.result()

    @cached_property
    def details(self) -> Details | None:
        """What the commit and the remotes say."""
        if isinstance(self.status, VcsAbsent) or not self.status.revision:
            return None
        return read_details(self.status, self._runner, self._environment)

    def facts(self) -> VcsFacts:
        """Give what labels say."""
        status, details = self.status, self.details
        if isinstance(status, VcsAbsent) or details is None:
            return VcsFacts()
        exact = details.distance == 0 and not status.modified
        return VcsFacts(
            revision=status.revision + ("-dirty" if status.modified else ""),
            committed=int(details.committed.timestamp()) if details.committed else 0,
            version=details.tag if exact else "",
            source=details.remote,
        )

    def expanded(self, template: str, where: str) -> str:
        """Expand `{{.Version}}` and similar names; git runs only if a template needs it.

        Raises:
            InvalidUsage: a name is unknown, or has no value here.
        """
        asked = names(template, where)
        if not asked:
            return template
        reason = self.status.reason if isinstance(self.status, VcsAbsent) else "the commit has no such value"
        facts = {}
        if not isinstance(self.status, VcsAbsent) and self.details is not None:
            facts = template_facts(self.status, self.details)
        return expand(template, facts, self._environment, where=where, absent=reason)

    @property
    def notices(self) -> tuple[str, ...]:
        """Say why there are no facts, if the caller needed them."""
        if "status" in self.__dict__ and isinstance(self.status, VcsAbsent):
            return (f"no revision recorded: {self.status.reason}",)
        return ()

    def stop(self) -> None:
        """Leave no process behind."""
        if "status" not in self.__dict__:
            self._query.stop()


class Released:
    """What is known of a published module, in a checkout's place; without one, nothing."""

    notices: tuple[str, ...] = ()

    def __init__(self, release: Release | None, environment: Mapping[str, str]) -> None:
        self._release = release
        self._environment = environment

    @property
    def status(self) -> Vcs | VcsAbsent:
        """Say that there is no checkout."""
        return VcsAbsent("a published module has no checkout")

    def facts(self) -> VcsFacts:
        """Give what labels say."""
        if self._release is None:
            return VcsFacts()
        return VcsFacts(self._release.revision, self._release.committed, self._release.version, self._release.source)

    def expanded(self, template: str, where: str) -> str:
        """Expand `{{.Version}}` and similar names, as a checkout of the release's tag would.

        Raises:
            InvalidUsage: a name is unknown, or the module proxy does not report it.
        """
        if self._release is None or not names(template, where):
            return template
        release = self._release
        committed = datetime.fromtimestamp(release.committed, UTC) if release.committed else None
        facts = template_facts(
            Vcs(Path("/"), release.revision, modified=False, branch="", linked=False),
            Details(committed, release.version, 0, release.source),
        )
        facts["Version"] = release.version.removeprefix("v")
        return expand(template, facts, self._environment, where=where, absent="the module proxy does not report it")

    def stop(self) -> None:
        """Do nothing: no process was started."""


def rfc3339(seconds: int) -> str:
    """Write seconds since the epoch as config and annotations have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
