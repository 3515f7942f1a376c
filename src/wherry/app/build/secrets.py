"""Secrets and agents of a build, from the user's words: `--secret`, `--ssh`."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from wherry.app.session import Session
from wherry.errors import InvalidUsage, NotFound

_LARGEST = 500 << 10
"""Bytes of a secret (BuildKit's limit)."""
_LONGEST = 80
"""Letters of a folder whose sockets still have addresses (unix(7): 108 bytes)."""


def secrets_of(session: Session, texts: Sequence[str]) -> dict[str, bytes]:
    """Read secrets: `id=NAME`, with `src=FILE` or `env=VAR`; alone, the variable of that name, else the file.

    Raises:
        InvalidUsage, NotFound: one is not available.
    """
    return dict(_secret(session, text) for text in texts)


def _secret(session: Session, text: str) -> tuple[str, bytes]:
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    unknown = fields.keys() - {"id", "src", "source", "env", "type"}
    name = fields.get("id", "") or Path(fields.get("src", fields.get("source", ""))).name
    if unknown or not name:
        raise InvalidUsage(
            f"--secret {text.partition('=')[0]}=…: invalid secret",
            hint="write it as id=NAME,src=FILE or id=NAME,env=VAR",
        )
    file = fields.get("src", fields.get("source", ""))
    variable = fields.get("env", "")
    if fields.get("type") == "env" and file and not variable:
        variable, file = file, ""
    if not file and not variable and name in session.environment:
        variable = name
    if variable:
        if variable not in session.environment:
            raise NotFound(
                f"--secret id={name}: environment variable {variable} is not set",
                hint="set it, or give a file with src=",
            )
        return name, session.environment[variable].encode(errors="surrogateescape")
    return name, _content(session.cwd / Path(file or name).expanduser(), name)


def _content(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise NotFound(
            f"--secret id={name}: {path}: {error.strerror}", hint="give a file with src=, or a variable with env="
        ) from error
    if len(content) > _LARGEST:
        raise InvalidUsage(f"--secret id={name}: more than {_LARGEST} bytes", hint="give a smaller file")
    return content


def agents_of(session: Session, texts: Sequence[str]) -> dict[str, "SshAgent"]:
    """Find the agents that steps may use.

    Raises:
        InvalidUsage, NotFound: there is no such agent.
    """
    agents = {}
    for text in texts:
        name, _, path = text.partition("=")
        place = path or session.environment.get("SSH_AUTH_SOCK", "")
        if not place:
            raise InvalidUsage(
                f"--ssh {text}: no agent is running", hint="start one with ssh-agent, or give NAME=SOCKET"
            )
        target = session.cwd / place
        if not target.is_socket():
            raise NotFound(
                f"--ssh {text}: {place} is not the socket of an agent",
                hint="give the socket of an agent; add keys to it with ssh-add",
            )
        agents[name or "default"] = SshAgent(target, session.cache_folder)
    return agents


@dataclass(frozen=True, slots=True)
class SshAgent:
    """An ssh agent of the user's."""

    socket: Path
    near: Path
    """A folder on the disk that has the steps' files: a chroot needs a link to a socket there."""

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """Give a socket of ours that passes on what comes: each step gives its own the mode and owner it asks for."""
        with _Door(self.socket, self.near) as door:
            yield door.path


class _Door:
    """A socket that passes what comes on to another."""

    def __init__(self, target: Path, near: Path) -> None:
        """Take the agent's socket, and a folder on the disk that has the steps' files: a chroot needs a link to it."""
        near.mkdir(parents=True, exist_ok=True)
        self._target = target
        self._folder = Path(mkdtemp(prefix="agent-", dir=near if len(str(near)) <= _LONGEST else None))
        self.path = self._folder / "agent"
        self._listening = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._listening.bind(str(self.path))
        self.path.chmod(0o666)
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        with suppress(OSError):
            self.path.unlink()
            self._folder.rmdir()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect(str(self._target))
                for source, sink in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
