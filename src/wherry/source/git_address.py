"""Addresses of git repositories as ADD and contexts name them, checked before git sees any part of one.

The author of a Dockerfile chooses the address, and git takes words that begin with a dash as options, names with `:`
as paths in a commit, and hosts as words for ssh. So each part has to be what it stands for, or nothing is started.

Sources: docker buildx, "Git repositories" (`URL#REF:FOLDER`, `URL?ref=…&tag=…&branch=…&subdir=…&checksum=…`);
git 2.39, git-check-ref-format(1), gitrevisions(7), gitnamespaces(7); RFC 3986, 3.2; moby/buildkit, util/urlutil
(`RedactCredentials`).
"""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote

from wherry.errors import InvalidUsage

_LONGEST = 4096
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_SSH_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/:]*)@)?(?P<host>[^@/:]+):(?P<path>.+)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHECKSUM = re.compile(r"[0-9a-f]{7,64}")
_NO_REF = re.compile(r"^[-/.]|\.\.|//|/\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|\.lock(?:/|$)|[/.]$|^@?$")
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)(?P<userinfo>[^\s/?#\"]*)@")
SCHEMES = ("https", "http", "ssh", "git")


@dataclass(frozen=True, slots=True)
class GitAddress:
    """A repository, and what of it is wanted."""

    remote: str
    """Its URL without credentials."""
    scheme: str
    host: str
    """With a port, where one is named."""
    ref: str
    """A branch, a tag, a full name of a ref, or a commit; empty: HEAD."""
    folder: str
    """Of its files, relative; empty: all."""
    checksum: str
    """What the commit has to begin with, in hex."""
    credentials: str
    """`USER:PASSWORD` or `USER` of an http URL, decoded; empty: it has none."""

    @classmethod
    def parse(cls, text: str, checksum: str = "") -> Self:
        """Read an address.

        Args:
            text: as a user wrote it.
            checksum: of the instruction; it takes the place of the URL's.

        Raises:
            InvalidUsage: a part is not what it stands for; the message has no credentials.
        """
        shown = without_credentials(text)
        address, _, fragment = text.partition("#")
        ref, _, folder = fragment.partition(":")
        if "?" in address and "://" in address:
            chosen = {name: values[-1] for name, values in parse_qs(address.partition("?")[2]).items()}
            address = address.partition("?")[0]
            ref = chosen.get("ref") or chosen.get("tag") or chosen.get("branch") or ref
            folder = chosen.get("subdir", folder)
            checksum = checksum or chosen.get("checksum", chosen.get("commit", ""))
        scheme, host, remote, credentials = _remote(address, shown)
        if ref and not is_ref(ref):
            raise _refused(shown, f"{ref!r} is not a branch, tag or commit")
        if checksum and not _CHECKSUM.fullmatch(checksum):
            raise _refused(shown, f"checksum {checksum!r} is not a commit hash")
        folder = folder.strip("/")
        if any(part in ("..", ".git") for part in folder.split("/")) or _CONTROL.search(folder.replace(" ", "")):
            raise _refused(shown, f"{folder!r} is not a valid directory")
        return cls(remote, scheme, host, ref, folder, checksum, credentials)


def is_ref(text: str) -> bool:
    """Report whether a text can name a ref or a commit, and is no option, path or expression to git."""
    return not _NO_REF.search(text) and len(text) <= _LONGEST


def is_commit(text: str) -> bool:
    """Report whether a text is a whole commit's name, in lower-case hex."""
    return bool(_COMMIT.fullmatch(text))


def without_credentials(text: str) -> str:
    """Hide user and password of every URL in a text, as BuildKit does; a user that ssh needs stays."""
    return _CREDENTIALS.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    user, colon, _ = found["userinfo"].partition(":")
    shown = user if found["scheme"] in ("ssh://", "git+ssh://") and "@" not in user else "xxxxx"
    return f"{found['scheme']}{shown}{':xxxxx' if colon else ''}@"


def _remote(address: str, shown: str) -> tuple[str, str, str, str]:
    """Check an address without what follows it; give scheme, host, URL and credentials."""
    if len(address) > _LONGEST or _CONTROL.search(address):
        raise _refused(shown, "it contains blanks, control characters or backslashes, or is too long")
    if "://" not in address:
        return _scp_like(address, shown)
    scheme, _, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    userinfo, at, host = authority.rpartition("@")
    name, colon, port = host, "", ""
    if not host.endswith("]"):
        name, colon, port = host.partition(":") if not host.startswith("[") else host.rpartition(":")
    if scheme not in SCHEMES:
        raise _refused(shown, f"unsupported scheme {scheme}://; use one of {', '.join(SCHEMES)}")
    if not _HOST.fullmatch(name) or (colon and not port.isdecimal()):
        raise _refused(shown, "the host is missing")
    if scheme == "ssh":
        user = userinfo.partition(":")[0]
        if at and not _SSH_USER.fullmatch(user):
            raise _refused(shown, "invalid user for ssh")
        return scheme, host, f"ssh://{user}{at}{host}{slash}{path}", ""
    return scheme, host, f"{scheme}://{host}{slash}{path}", unquote(userinfo) if scheme != "git" else ""


def _scp_like(address: str, shown: str) -> tuple[str, str, str, str]:
    found = _SCP_LIKE.fullmatch(address)
    if not found or not _HOST.fullmatch(found["host"]) or found["path"].startswith(("-", ":")):
        raise _refused(shown, "not a repository URL")
    if found["user"] is not None and not _SSH_USER.fullmatch(found["user"]):
        raise _refused(shown, "invalid user for ssh")
    return "ssh", found["host"], address, ""


def _refused(shown: str, why: str) -> InvalidUsage:
    return InvalidUsage(f"{shown}: {why}", hint="write it as https://HOST/PATH.git#REF:FOLDER")
