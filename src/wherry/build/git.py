"""git, started so that nothing of the user's, of the machine's or of a repository decides what it does.

The author of a Dockerfile names repositories. git would take the user's credentials for them, run the user's hooks and
helpers, and follow what a repository says of submodules. So it gets an environment of ours: no configuration of the
user or the system, no home, no hooks, filters, templates and helpers, no prompts, and only protocols that reach a
network. What may log in is named: secrets `GIT_AUTH_HEADER[.HOST]` and `GIT_AUTH_TOKEN[.HOST]`, and the agent of
`--ssh`, as BuildKit has it. For a context that the user names, `own` takes the user's configuration to fetch it, and
for nothing else.

Sources: git 2.39, git(1) "Environment Variables", git-config(1), githooks(5), gitmodules(5); moby/buildkit,
source/git (`getAuthToken`, `GIT_AUTH_TOKEN` is the password of `x-access-token`); ssh_config(5).
"""

import base64
import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from wherry.errors import InvalidUsage, WherryError
from wherry.host.process import Command, Runner
from wherry.source.git_address import GitAddress, without_credentials

_PASSED_ON = frozenset({
    "PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SYSTEMROOT",
    *(spelt for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for spelt in (name, name.upper())),
})  # fmt: skip
"""What of the environment says how a network is reached and whom to trust, and nothing else."""
_PROTOCOLS = "https:http:ssh:git"
_NOWHERE = "/nonexistent"
"""A home that no machine has: no .gitconfig, no .netrc, no .config/git."""
_HARMLESS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "init.templateDir": "",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
_ALONE = {"core.askPass": "", "credential.helper": "", "credential.interactive": "false"}
_NOBODY = {
    "HOME": _NOWHERE, "XDG_CONFIG_HOME": _NOWHERE, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1", "GIT_ASKPASS": "", "SSH_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never", "GIT_SSH_VARIANT": "ssh",
}  # fmt: skip
_SSH = {
    "IdentityFile": "none", "BatchMode": "yes", "StrictHostKeyChecking": "yes", "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no", "ProxyCommand": "none", "PermitLocalCommand": "no", "ForwardAgent": "no",
    "ClearAllForwardings": "yes",
}  # fmt: skip
_BAD_SECRET = re.compile(rb"[\x00-\x1f\x7f]")
_LOCATORS = frozenset({
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_TRACE", "GIT_TRACE_CURL", "GIT_CURL_VERBOSE",
})  # fmt: skip


class CannotFetch(WherryError):
    """A URL gives nothing."""

    exit_code = 69  # EX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Credentials:
    """What may log in to hosts of repositories."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Of the build, by id; those named GIT_AUTH_HEADER[.HOST] and GIT_AUTH_TOKEN[.HOST] count."""
    agent: str = ""
    """The socket of `--ssh`; empty: none."""
    own: bool = False
    """Whether a repository is fetched as its user would fetch it: by the user's configuration, helpers and keys."""


@dataclass(frozen=True, slots=True)
class LogIn:
    """What one repository is fetched with."""

    header: str = field(default="", repr=False)
    """`Authorization`'s value; empty: none is sent."""
    scope: str = ""
    """The URL that the header is for: scheme and host."""
    agent: str = ""
    own: bool = False

    @property
    def identity(self) -> str:
        """Name who sees a repository this way, so that the cache never gives one user's files to another's build."""
        if self.header:
            return hashlib.sha256(self.header.encode()).hexdigest()
        return "own" if self.own else f"agent {bool(self.agent)}" if self.agent else ""


def log_in_for(address: GitAddress, credentials: Credentials) -> LogIn:
    """Choose what a repository is fetched with.

    A secret goes to the host that its name has; one without a host goes to every host that an address names, as
    BuildKit does it. No secret goes over plain HTTP, except to this machine.

    Raises:
        InvalidUsage: a secret can be no header.
    """
    if address.scheme == "ssh":
        return LogIn(agent=credentials.agent, own=credentials.own)
    if address.scheme not in ("http", "https"):
        return LogIn(own=credentials.own)
    scope = f"{address.scheme}://{address.host}/"
    if address.credentials:
        return LogIn(_basic(address.credentials.encode()), scope)
    if address.scheme == "https" or _is_loopback(address.host):
        for name, value in _named(address.host, credentials.secrets):
            if _BAD_SECRET.search(value) or not value:
                raise InvalidUsage(f"--secret id={name}: not a single line of text", hint="store only the token")
            token = name.startswith("GIT_AUTH_TOKEN")
            return LogIn(_basic(b"x-access-token:" + value) if token else value.decode(errors="replace"), scope)
    return LogIn(own=credentials.own)


def _is_loopback(host: str) -> bool:
    name = host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _named(host: str, secrets: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for kind in ("GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"):
        for name in (f"{kind}.{host}", f"{kind}.{host.partition(':')[0]}", kind):
            if name in secrets:
                yield name, secrets[name].rstrip(b"\r\n")


def _basic(words: bytes) -> str:
    return f"Basic {base64.b64encode(words).decode()}"


@dataclass(frozen=True, slots=True)
class Git:
    """Starts git."""

    runner: Runner
    environment: Mapping[str, str]
    """The user's, whole; little of it is passed on."""

    def ask(self, *words: str, log_in: LogIn | None = None, folder: Path | None = None) -> str:
        """Run git, in a folder or in none; give what it printed.

        Raises:
            CannotFetch: with what it said, without credentials.
        """
        inside = ("-C", str(folder)) if folder else ()
        done = self.runner.run(Command(("git", *inside, *words), Path("/"), self._environment(log_in or LogIn())))
        if done.returncode:
            raise CannotFetch(f"git {words[0]}: {without_credentials(done.words)}", hint=_hint(log_in or LogIn()))
        return done.stdout.decode(errors="surrogateescape")

    def hermetic_environment(self) -> dict[str, str]:
        """Give the environment in which git reads no configuration, runs no hook and logs in nowhere."""
        return self._environment(LogIn())

    def _environment(self, log_in: LogIn) -> dict[str, str]:
        settings = dict(_HARMLESS)
        if log_in.own:
            ours = {name: value for name, value in self.environment.items() if name not in _LOCATORS}
            first = int(count) if (count := ours.get("GIT_CONFIG_COUNT", "")).isascii() and count.isdigit() else 0
        else:
            ours = {name: value for name, value in self.environment.items() if name in _PASSED_ON}
            ours |= {**_NOBODY, "GIT_SSH_COMMAND": self._ssh(log_in.agent)}
            settings |= _ALONE
            first = 0
        settings["http.followRedirects"] = "initial"
        if log_in.header:
            # A redirect would take the header to another host.
            settings["http.followRedirects"] = "false"
            settings[f"http.{log_in.scope}.extraHeader"] = f"Authorization: {log_in.header}"
        for place, (name, value) in enumerate(settings.items(), start=first):
            ours[f"GIT_CONFIG_KEY_{place}"], ours[f"GIT_CONFIG_VALUE_{place}"] = name, value
        return ours | {
            "GIT_CONFIG_COUNT": str(first + len(settings)),
            "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "LC_ALL": "C",
        }

    def _ssh(self, agent: str) -> str:
        """Write ssh's command: an agent's keys or none, the user's known hosts, which are no secret, no settings."""
        home = self.environment.get("HOME", "")
        known = f"{home}/.ssh/known_hosts" if home and not _CONTROL_OR_BLANK.search(home) else os.devnull
        options = {**_SSH, "IdentityAgent": agent or "none", "UserKnownHostsFile": known}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return shlex.join(["ssh", "-F", os.devnull, *words])


_CONTROL_OR_BLANK = re.compile(r"[\s\"%$]")


def _hint(log_in: LogIn) -> str:
    if log_in.own:
        return "check the URL, and that git can read it with your credentials"
    if log_in.header:
        return "check the URL (redirects are not followed with credentials), and that the credentials can read it"
    return (
        "check the URL; a private repository needs --secret id=GIT_AUTH_TOKEN.HOST,env=NAME or --ssh default, "
        "since your own credentials are not used for URLs in a Dockerfile"
    )
