"""COPY and ADD: what they take, as jobs for the forkserver.

Source: Dockerfile reference, "COPY" and "ADD".
"""

import posixpath
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wherry.build.archives import is_archive, open_archive
from wherry.build.context import ContextSelection, LocalContext
from wherry.plan.ops import CopyFrom, CopyOp, CopySource
from wherry.sandbox.client import SandboxClient
from wherry.sandbox.spec import ChangeFiles, CopySpec, Extract, FileOwner, Ids, MakeFolder, Measure
from wherry.sandbox.spec import SourceTree as OriginDocument


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was had from elsewhere."""

    folder: Path
    """What it is in."""
    name: str
    """Its name there; empty: the folder itself."""
    digest: str
    """Of what decides its bytes."""


class UrlFetcher(Protocol):
    """Fetches the URLs of ADD."""

    def http(self, url: str, checksum: str) -> Fetched:
        """Fetch the file of a URL.

        Raises:
            WherryError: it cannot be fetched, or its checksum differs.
        """

    def git(self, url: str, checksum: str, *, keep_git_dir: bool) -> Fetched:
        """Have a commit's files.

        Raises:
            WherryError: it cannot be fetched, or its checksum differs.
        """


@dataclass
class SourceCollector:
    """One COPY or ADD."""

    action: CopyOp
    folders: Callable[[], Sequence[str]]
    """Of the rootfs it goes into, base first."""
    others: Callable[[], Sequence[str]]
    """Of the stage it takes from."""
    contexts: Callable[[str], LocalContext]
    outside: UrlFetcher
    account: Callable[[Sequence[str], str], tuple[int, int]]
    ids: Ids | None
    stage: str
    named: tuple[str, ...] = ()
    """What all steps take of the build's own context, wildcards among the paths."""

    def parts(self) -> Iterator[ContextSelection | Measure | str]:
        """Say of each source what it is now: checked here, to be measured by the forkserver, or known by a hash."""
        for taking in self.action.takings:
            match taking.origin.kind:
                case "context":
                    context = self.contexts(taking.origin.name)
                    yield context.take([self._copy(taking, context.origin)], self._sent(taking.origin.name))
                case "stack":
                    copy = self._copy(taking, _stack(self.others()))
                    yield Measure(task="measure", ids=self.ids, stage=self.stage, copies=[copy])
                case "content":
                    yield "in the Dockerfile"
                case _:
                    yield self._fetched(taking.origin).digest

    def gather(self, client: SandboxClient, writable: Path, *, overlay: bool) -> None:
        """Put the files where they belong.

        Raises:
            CannotCopy: a source is missing, or the target cannot be written.
        """
        layers = self.folders()
        owner = self._owner(layers)
        with ExitStack() as stack:
            actions: list[CopySpec | MakeFolder | Extract] = []
            archives = []
            for number, taking in enumerate(self.action.takings):
                for one in self._actions(taking, owner, writable / f"content-{number}"):
                    if isinstance(one, Path):
                        actions.append(Extract(action="extract", destination=self.action.destination, owner=owner))
                        archives.append(stack.enter_context(open_archive(one)))
                    else:
                        actions.append(one)
            job = ChangeFiles(
                task="change",
                ids=self.ids,
                stage=self.stage,
                layers=list(layers),
                writable=str(writable),
                overlay=overlay,
                actions=actions,
            )
            client.change(job, archives)

    def _sent(self, context: str) -> tuple[str, ...]:
        """Give what BuildKit has sent of a context: of a named one only what this instruction takes of it."""
        return names_in(self.action, context) if context else self.named

    def _actions(self, taking: CopySource, owner: FileOwner | None, scratch: Path) -> Iterator[CopySpec | Path]:
        match taking.origin.kind:
            case "context":
                context = self.contexts(taking.origin.name)
                whole = self._copy(taking, context.origin, owner)
                if not taking.unpack:
                    yield whole
                    return
                for path, status in context.matching(whole):
                    if stat.S_ISREG(status.st_mode) and is_archive(context.folder / path):
                        yield context.folder / path
                    else:
                        yield {**whole, "path": path, "wildcards": False}
            case "stack":
                yield self._copy(taking, _stack(self.others()), owner)
            case "content":
                scratch.mkdir()
                scratch.chmod(0o755)
                file = scratch / taking.path
                file.write_text(taking.origin.content, errors="surrogateescape")
                file.chmod(0o644)
                yield self._copy(taking, _folder(scratch), owner)
            case _:
                fetched = self._fetched(taking.origin)
                file = fetched.folder / fetched.name
                if taking.unpack and fetched.name and is_archive(file):
                    yield file
                else:
                    yield {**self._copy(taking, _folder(fetched.folder), owner), "path": fetched.name}

    def _fetched(self, origin: CopyFrom) -> Fetched:
        if origin.kind == "http":
            return self.outside.http(origin.name, origin.checksum)
        return self.outside.git(origin.name, origin.checksum, keep_git_dir=origin.keep_git_dir)

    def _copy(self, taking: CopySource, origin: OriginDocument, owner: FileOwner | None = None) -> CopySpec:
        return CopySpec(
            action="copy",
            origin=origin,
            path=taking.path.lstrip("/"),
            destination=self.action.destination,
            contents=taking.contents,
            follow=taking.follow,
            wildcards=taking.wildcards,
            only=list(taking.only),
            but=list(self.action.but),
            required=[path.lstrip("/") for path in taking.required],
            mode=self.action.mode,
            owner=owner,
            mtime=self.action.mtime,
        )

    def _owner(self, layers: Sequence[str]) -> FileOwner | None:
        if not self.action.owner:
            return None
        uid, gid = self.account(layers, self.action.owner)
        return FileOwner(uid=uid, gid=gid)


def names_in(action: CopyOp, context: str) -> tuple[str, ...]:
    """Give the paths, wildcards among them, that an instruction takes of a context."""
    mine = (one for one in action.takings if one.origin.kind == "context" and one.origin.name == context)
    return tuple(posixpath.join(one.path, *one.only) for one in mine)


def _stack(folders: Sequence[str]) -> OriginDocument:
    return OriginDocument(kind="stack", folder="", layers=list(folders), left_out=[])


def _folder(folder: Path) -> OriginDocument:
    return OriginDocument(kind="folder", folder=str(folder), layers=[], left_out=[])


def name_in(url: str) -> str:
    """Say what the file of a URL is called."""
    from urllib.parse import urlsplit

    base = posixpath.basename(urlsplit(url).path)
    return base if base not in ("", ".", "..") else "__unnamed__"
