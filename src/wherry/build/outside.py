"""What ADD and contexts name by a URL: files by HTTP, commits by git; kept in the cache, and asked for again.

Source: Dockerfile reference, "ADD"; RFC 9110 (ETag, If-None-Match, Last-Modified).
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from urllib.parse import parse_qs, urlsplit

import msgspec

from wherry.build.gather import Fetched, name_in
from wherry.digest import Digest
from wherry.errors import DigestMismatch, NotFound, WherryError
from wherry.host.process import Command, Runner
from wherry.store.files import replacing

_CHUNK = 1 << 20
_UNCHANGED, _FINE = 304, 200
_TIMEOUT = 60


class CannotFetch(WherryError):
    """A URL gives nothing."""

    exit_code = 69  # EX_UNAVAILABLE


class Kept(msgspec.Struct, frozen=True):
    """What is known of a URL's file."""

    digest: str
    etag: str
    modified: str
    mtime: int


@dataclass
class Fetcher:
    """Fetches; see `gather.Outside`."""

    folder: Path
    runner: Runner
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        self._turn = Lock()
        self._http: dict[tuple[str, str], Fetched] = {}
        self._git: dict[tuple[str, str, bool], Fetched] = {}

    def http(self, url: str, checksum: str) -> Fetched:
        """See `Outside.http`."""
        with self._turn:
            if (url, checksum) not in self._http:
                self._http[url, checksum] = self._file(url, checksum)
            return self._http[url, checksum]

    def git(self, url: str, checksum: str, *, keep_git_dir: bool) -> Fetched:
        """See `Outside.git`."""
        with self._turn:
            key = (url, checksum, keep_git_dir)
            if key not in self._git:
                self._git[key] = self._commit(url, checksum, keep_git_dir=keep_git_dir)
            return self._git[key]

    def _file(self, url: str, checksum: str) -> Fetched:
        if checksum:
            Digest.parse(checksum)
        name = name_in(url)
        place = self.folder / "http" / hashlib.sha256(f"{url} {checksum}".encode()).hexdigest()
        record = place / "record.json"
        kept = None
        if record.is_file() and (place / "files" / name).is_file():
            kept = msgspec.json.decode(record.read_bytes(), type=Kept)
        if kept is None or not checksum or kept.digest != checksum:
            kept = self._ask(url, place, name, kept)
        if checksum and kept.digest != checksum:
            raise DigestMismatch(url, expected=checksum, actual=kept.digest)
        return Fetched(place / "files", name, f"{kept.digest} {kept.mtime} {name}")

    def _ask(self, url: str, place: Path, name: str, kept: Kept | None) -> Kept:
        import urllib3

        headers = {}
        if kept and kept.etag:
            headers["If-None-Match"] = kept.etag
        elif kept and kept.modified:
            headers["If-Modified-Since"] = kept.modified
        pool = urllib3.PoolManager(retries=urllib3.Retry(3, redirect=10), timeout=_TIMEOUT)
        try:
            answer = pool.request("GET", url, headers=headers, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise CannotFetch(f"{url}: {error}", hint="check the address and the network, and build again") from error
        try:
            if answer.status == _UNCHANGED and kept is not None:
                return kept
            if answer.status != _FINE:
                raise CannotFetch(
                    f"{url}: the server answers {answer.status} {answer.reason or ''}".rstrip(),
                    hint="check the address; ADD takes what is there without logging in",
                )
            return self._keep(answer, place, name)
        finally:
            answer.release_conn()

    def _keep(self, answer: "object", place: Path, name: str) -> Kept:
        files = place / "files"
        files.mkdir(parents=True, exist_ok=True)
        state = hashlib.sha256()
        with replacing(files / name) as file:
            for chunk in answer.stream(_CHUNK):  # type: ignore[attr-defined] # urllib3's answer
                state.update(chunk)
                file.write(chunk)
        headers = answer.headers  # type: ignore[attr-defined] # as above
        modified = headers.get("Last-Modified", "")
        mtime = _seconds(modified)
        (files / name).chmod(0o600)
        os.utime(files / name, (mtime, mtime))
        kept = Kept(str(Digest.from_hash(state)), headers.get("ETag", ""), modified, mtime)
        with replacing(place / "record.json") as record:
            record.write(msgspec.json.encode(kept))
        return kept

    def _commit(self, url: str, checksum: str, *, keep_git_dir: bool) -> Fetched:
        remote, ref, inner, wanted = git_parts(url)
        checksum = checksum or wanted
        commit = self._resolve(remote, ref, checksum)
        if checksum and not commit.startswith(checksum):
            raise DigestMismatch(url, expected=checksum, actual=commit)
        place = self.folder / "git" / hashlib.sha256(f"{remote} {commit} {keep_git_dir}".encode()).hexdigest()
        if not place.is_dir():
            self._check_out(remote, ref, commit, place, keep_git_dir=keep_git_dir)
        folder = place / inner if inner else place
        if not folder.resolve().is_relative_to(place.resolve()) or not folder.is_dir():
            raise NotFound(f"{url}: {inner} is no folder of it", hint="name one that is there behind the colon")
        return Fetched(folder, "", f"git {commit} {inner} {keep_git_dir}")

    def _resolve(self, remote: str, ref: str, checksum: str) -> str:
        if len(ref) == 40 and all(letter in "0123456789abcdef" for letter in ref):  # noqa: PLR2004 - digits of a commit
            return ref
        wanted = ref or "HEAD"
        lines = self._ask_git("ls-remote", "--", remote, wanted, f"{wanted}^{{}}").splitlines()
        found = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
        for name in (f"refs/tags/{wanted}^{{}}", f"refs/heads/{wanted}", f"refs/tags/{wanted}", wanted, "HEAD"):
            if name in found:
                return found[name]
        if checksum:
            return checksum
        raise NotFound(f"{remote}: it has no {wanted}", hint="name a branch, a tag or a commit behind #")

    def _check_out(self, remote: str, ref: str, commit: str, place: Path, *, keep_git_dir: bool) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        making = Path(mkdtemp(dir=place.parent))
        try:
            self._ask_git("init", "-q", str(making))
            inside = ("-C", str(making))
            self._ask_git(*inside, "remote", "add", "origin", remote)
            try:
                self._ask_git(*inside, "fetch", "-q", "--depth=1", "origin", commit)
            except CannotFetch:
                self._ask_git(*inside, "fetch", "-q", "origin", ref or "HEAD")
            self._ask_git(*inside, "checkout", "-q", commit)
            self._ask_git(*inside, "submodule", "update", "-q", "--init", "--recursive", "--depth=1")
            if not keep_git_dir:
                shutil.rmtree(making / ".git")
            making.chmod(0o755)
            making.rename(place)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise

    def _ask_git(self, *words: str) -> str:
        environment = {name: value for name, value in self.environment.items() if not name.startswith("GIT_")}
        environment["GIT_TERMINAL_PROMPT"] = "0"
        done = self.runner.run(Command(("git", *words), Path("/"), environment))
        if done.returncode:
            raise CannotFetch(f"git {words[0]}: {done.words}", hint="check the address, and that git may read it")
        return done.stdout.decode(errors="replace")


def git_parts(url: str) -> tuple[str, str, str, str]:
    """Cut a git URL: the remote, the ref, the folder in it, the commit it has to be.

    Source: docker buildx, "Git repositories": `URL#REF:FOLDER` and `URL?branch=…&tag=…&ref=…&subdir=…&checksum=…`.
    """
    address, _, fragment = url.partition("#")
    ref, _, inner = fragment.partition(":")
    checksum = ""
    if "?" in address and "://" in address:
        query = parse_qs(urlsplit(address).query)
        address = address.partition("?")[0]
        chosen = {name: values[-1] for name, values in query.items()}
        ref = chosen.get("ref") or chosen.get("tag") or chosen.get("branch") or ref
        inner = chosen.get("subdir", inner)
        checksum = chosen.get("checksum", chosen.get("commit", ""))
    return address, ref, inner.strip("/"), checksum


def _seconds(modified: str) -> int:
    try:
        return int(parsedate_to_datetime(modified).timestamp())
    except (ValueError, TypeError):
        return 0
