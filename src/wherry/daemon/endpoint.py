"""Where the user's Docker is, and what is shown to it there.

Sources: docker/cli, cli/context/store (where a context's endpoint and its certificates stand) and opts/hosts.go
(DOCKER_HOST); Docker's documentation, "Protect the Docker daemon socket" (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH).
"""

import hashlib
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.daemon.errors import NoDaemon

SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Tls:
    """How both ends prove who they are."""

    folder: Path
    """May hold `ca.pem`, which its certificate is checked against, and `cert.pem` with `key.pem`, which it is shown."""
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            NoDaemon: one can't be read.
        """
        authority, certificate, key = (self.folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        try:
            context = ssl.create_default_context(cafile=str(authority) if authority.is_file() else None)
            if certificate.is_file() and key.is_file():
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise NoDaemon(
                f"{self.folder}: cannot read the certificates: {error}", hint="fix ca.pem, cert.pem and key.pem"
            ) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place where a Docker is, or may be."""

    host: str
    """As DOCKER_HOST has it."""
    tls: Tls | None = None
    named: bool = False
    """Whether the user said so, and means no other."""


def endpoint(environment: Mapping[str, str], config_folder: Path) -> Endpoint:
    """Say where the user's Docker is: DOCKER_HOST, the context in use, or the usual socket.

    Args:
        environment: DOCKER_HOST, DOCKER_CONTEXT and those of TLS are checked.
        config_folder: Docker's, with `config.json` and `contexts`.
    """
    if host := environment.get("DOCKER_HOST"):
        return Endpoint(host, _tls_of_environment(environment, config_folder), named=host != SOCKET)
    context = environment.get("DOCKER_CONTEXT") or _json(config_folder / "config.json").get("currentContext")
    if isinstance(context, str) and context not in {"", "default"}:
        found = _in_context(config_folder / "contexts", hashlib.sha256(context.encode()).hexdigest())
        if found:
            return found
    return Endpoint(SOCKET)


def _tls_of_environment(environment: Mapping[str, str], config_folder: Path) -> Tls | None:
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not (verify or environment.get("DOCKER_TLS")):
        return None
    return Tls(Path(environment.get("DOCKER_CERT_PATH") or config_folder), verify)


def _in_context(contexts: Path, folder: str) -> Endpoint | None:
    endpoints = _json(contexts / "meta" / folder / "meta.json").get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(docker, dict) or not isinstance(host := docker.get("Host"), str):
        return None
    material, verify = contexts / "tls" / folder / "docker", docker.get("SkipTLSVerify") is not True
    return Endpoint(host, Tls(material, verify) if material.is_dir() or not verify else None, named=host != SOCKET)


def _json(file: Path) -> dict[str, object]:
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
