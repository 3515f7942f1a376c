"""What ADD and contexts name by a URL: files by HTTP, commits by git; kept in the cache, and asked for again.

Source: Dockerfile reference, "ADD"; RFC 9110 (ETag, If-None-Match, Last-Modified).
"""

import hashlib
import os
import shutil
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import msgspec

from wherry.build.copy_sources import Fetched, name_in
from wherry.build.git import CannotFetch, Credentials, Git, LogIn, log_in_for
from wherry.build.submodules import check_out_submodules
from wherry.digest import Digest
from wherry.errors import DigestMismatch, NotFound
from wherry.host.process import Runner
from wherry.source.git_address import GitAddress, is_commit, without_credentials
from wherry.store.files import replacing
from wherry.typed import from_json

if TYPE_CHECKING:
    import urllib3

_CHUNK = 1 << 20
_UNCHANGED, _FINE = 304, 200
_TIMEOUT = 60
_REDIRECTS = 10
_PORTS = {"http": 80, "https": 443}


class UrlRecord(msgspec.Struct, frozen=True):
    """What is known of a URL's file."""

    digest: str
    etag: str
    modified: str
    mtime: int


@dataclass
class CachingFetcher:
    """Fetches; see `gather.Outside`."""

    folder: Path
    runner: Runner
    environment: Mapping[str, str]
    credentials: Credentials = field(default_factory=Credentials)
    """What may log in to hosts of git repositories."""
    proxy_for: Callable[[str, str, int], str] = field(default=lambda _scheme, _host, _port: "")
    """Names the proxy of a scheme, a host and a port; empty for none."""

    def __post_init__(self) -> None:
        self._git_program = Git(self.runner, self.environment)
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
        _split(url)
        name = name_in(url)
        place = self.folder / "http" / hashlib.sha256(f"{url} {checksum}".encode()).hexdigest()
        record = place / "record.json"
        kept = None
        if record.is_file() and (place / "files" / name).is_file():
            with suppress(msgspec.DecodeError):  # damaged: it is fetched again
                kept = from_json(record.read_bytes(), UrlRecord)
        if kept is None or not checksum or kept.digest != checksum:
            kept = self._ask(url, place, name, kept)
        if checksum and kept.digest != checksum:
            raise DigestMismatch(without_credentials(url), expected=checksum, actual=kept.digest)
        return Fetched(place / "files", name, f"{kept.digest} {kept.mtime} {name}")

    def _ask(self, url: str, place: Path, name: str, kept: UrlRecord | None) -> UrlRecord:
        import urllib3

        headers = {}
        if kept and kept.etag:
            headers["If-None-Match"] = kept.etag
        elif kept and kept.modified:
            headers["If-Modified-Since"] = kept.modified
        try:
            pool, answer = self._followed(url, headers)
        except urllib3.exceptions.HTTPError as error:
            raise CannotFetch(
                f"{without_credentials(url)}: {_reason(error)}",
                hint="check the URL and the network, then build again",
            ) from error
        try:
            if answer.status == _UNCHANGED and kept is not None:
                return kept
            if answer.status != _FINE:
                raise CannotFetch(
                    f"{without_credentials(url)}: the server answered {answer.status} {answer.reason or ''}".rstrip(),
                    hint="check the URL; ADD cannot log in",
                )
            return self._keep(answer, place, name)
        finally:
            answer.close()
            pool.clear()

    def _followed(self, url: str, headers: Mapping[str, str]) -> "tuple[urllib3.PoolManager, urllib3.BaseHTTPResponse]":
        """Follow redirects one by one, since each host may have another proxy, or none."""
        at = url
        for _ in range(_REDIRECTS + 1):
            pool = self._pool(at)
            answer = pool.request("GET", at, headers=headers, preload_content=False, redirect=False)
            location = answer.get_redirect_location()
            if not location:
                return pool, answer
            answer.close()
            pool.clear()
            at = _joined(at, location)
            if _split(at).scheme not in {"http", "https"}:
                raise CannotFetch(
                    f"{without_credentials(url)}: redirects to {without_credentials(at)}, which is not HTTP",
                    hint="check the URL",
                )
        raise CannotFetch(f"{without_credentials(url)}: more than {_REDIRECTS} redirects", hint="check the URL")

    def _pool(self, url: str) -> "urllib3.PoolManager":
        import urllib3

        parts = _split(url)
        proxy = self.proxy_for(parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
        if not proxy:
            return urllib3.PoolManager(retries=urllib3.Retry(3, redirect=False), timeout=_TIMEOUT)
        user = urlsplit(proxy)
        pair = f"{unquote(user.username or '')}:{unquote(user.password or '')}"
        return urllib3.ProxyManager(
            proxy,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=pair) if user.username else None,
            retries=urllib3.Retry(3, redirect=False),
            timeout=_TIMEOUT,
        )

    def _keep(self, answer: "object", place: Path, name: str) -> UrlRecord:
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
        kept = UrlRecord(str(Digest.from_hash(state)), headers.get("ETag", ""), modified, mtime)
        with replacing(place / "record.json") as record:
            record.write(msgspec.json.encode(kept))
        return kept

    def _commit(self, url: str, checksum: str, *, keep_git_dir: bool) -> Fetched:
        address = GitAddress.parse(url, checksum)
        log_in = log_in_for(address, self.credentials)
        commit = self._resolve(address, log_in)
        if not commit.startswith(address.checksum):
            raise DigestMismatch(without_credentials(url), expected=address.checksum, actual=commit)
        words = f"{address.remote} {commit} {keep_git_dir}" + (f" {log_in.identity}" if log_in.identity else "")
        place = self.folder / "git" / hashlib.sha256(words.encode()).hexdigest()
        if not place.is_dir():
            self._check_out(address, log_in, commit, place, keep_git_dir=keep_git_dir)
        inner = address.folder
        folder = place / inner if inner else place
        if not folder.resolve().is_relative_to(place.resolve()) or not folder.is_dir():
            shown = without_credentials(url)
            raise NotFound(
                f"{shown}: no directory {inner} in the repository", hint="give an existing directory after the colon"
            )
        return Fetched(folder, "", f"git {commit} {inner} {keep_git_dir}")

    def _resolve(self, address: GitAddress, log_in: LogIn) -> str:
        if is_commit(address.ref):
            return address.ref
        wanted = address.ref or "HEAD"
        said = self._git_program.ask(
            "ls-remote", "--end-of-options", address.remote, wanted, f"{wanted}^{{}}", log_in=log_in
        )
        found = {name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())}
        for name in (f"refs/tags/{wanted}^{{}}", f"refs/heads/{wanted}", f"refs/tags/{wanted}", wanted, "HEAD"):
            if is_commit(found.get(name, "")):
                return found[name]
        if is_commit(address.checksum):
            return address.checksum
        raise NotFound(f"{address.remote}: {wanted} not found", hint="give a branch, tag or commit after #")

    def _check_out(self, address: GitAddress, log_in: LogIn, commit: str, place: Path, *, keep_git_dir: bool) -> None:
        git = self._git_program
        place.parent.mkdir(parents=True, exist_ok=True)
        making = Path(mkdtemp(dir=place.parent))
        try:
            git.ask("init", "-q", "--end-of-options", str(making))
            git.ask("remote", "add", "--", "origin", address.remote, folder=making)
            fetch = ("fetch", "-q", "--no-recurse-submodules")
            try:
                git.ask(*fetch, "--depth=1", "--end-of-options", "origin", commit, log_in=log_in, folder=making)
            except CannotFetch:
                ref = address.ref or "HEAD"
                git.ask(*fetch, "--end-of-options", "origin", ref, log_in=log_in, folder=making)
            git.ask("checkout", "-q", "--detach", commit, "--", folder=making)
            check_out_submodules(git, making, replace(log_in, own=False))
            if not keep_git_dir:
                shutil.rmtree(making / ".git")
            making.chmod(0o755)
            making.rename(place)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise


def _reason(error: BaseException) -> str:
    """Say why a server was not reached, in the system's words: urllib3 wraps them in its own."""
    seen = error
    while (inner := getattr(seen, "reason", None)) is not None and isinstance(inner, BaseException):
        seen = inner
    kind = type(seen).__name__
    if "Timeout" in kind:
        return f"no answer within {_TIMEOUT:.0f} s"
    while (deeper := seen.__cause__ or seen.__context__) is not None:
        seen = deeper
    if isinstance(seen, socket.gaierror):
        return f"its host is not known ({seen.strerror})"
    if isinstance(seen, ssl.SSLCertVerificationError):
        return f"no trust in its certificate: {seen.verify_message}"
    return f"can't be reached: {seen.strerror or seen}" if isinstance(seen, OSError) else f"can't be read: {seen}"


def _split(url: str) -> SplitResult:
    """Take a URL apart.

    Raises:
        CannotFetch: it is none, or has bytes that are not UTF-8.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port, url.encode()
    except ValueError as error:
        raise CannotFetch(f"{without_credentials(url)}: invalid URL", hint="check the address") from error
    return parts


def _joined(url: str, location: str) -> str:
    """Follow a redirect; see `_split`."""
    _split(location)
    return urljoin(url, location)


def _seconds(modified: str) -> int:
    try:
        return int(parsedate_to_datetime(modified).timestamp())
    except (ValueError, TypeError):
        return 0
