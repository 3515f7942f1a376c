"""kubectl's configuration: which API server, and who the user is there.

Sources: Kubernetes 1.34, "Organizing Cluster Access Using kubeconfig Files" and client-go,
tools/clientcmd/api/v1/types.go; client authentication by programs: client.authentication.k8s.io/v1.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherry.errors import InvalidSettings, NotFound

_LARGEST = 4 << 20
_HINT = "`kubectl config view` shows what kubectl reads"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeProgram:
    """A program that gives a token or a certificate."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeContext:
    """One cluster, one user, one namespace."""

    server: str
    namespace: str = "default"
    authorities: bytes = b""
    """Certificates in PEM; empty: the system's."""
    server_name: str = ""
    insecure: bool = False
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """Where the token is read from, where a file holds it: it may be replaced while we work."""
    user: str = ""
    password: str = field(default="", repr=False)
    program: KubeProgram | None = None
    proxy: str = field(default="", repr=False)
    """URL of the proxy that the server is reached by; empty: the environment's, if any."""


def kube_context(files: Sequence[Path], wanted: str = "") -> KubeContext:
    """Read the context in use, or a named one; of each name the first file counts, as for kubectl.

    Args:
        files: those of KUBECONFIG, or ~/.kube/config; ones that are missing are passed over.
        wanted: the context's name; empty: the one in use.

    Raises:
        NotFound: there is no configuration, or no such context.
        InvalidSettings: a file is not what it should be.
    """
    documents = [(path, _document(path)) for path in files if path.exists()]
    if not documents:
        raise NotFound(
            "no configuration of kubectl was found",
            hint="set KUBECONFIG, or write ~/.kube/config: kubectl needs it too",
        )
    name = wanted or next((str(one["current-context"]) for _, one in documents if one.get("current-context")), "")
    if not name:
        raise NotFound("no context of kubectl is in use", hint="kubectl config use-context NAME")
    _, context = _named(documents, "contexts", "context", name)
    cluster_path, cluster = _named(documents, "clusters", "cluster", str(context.get("cluster", "")))
    user_path, user = _named(documents, "users", "user", str(context.get("user", "")))
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("https://", "http://")):
        raise InvalidSettings(f"{cluster_path}: cluster {context.get('cluster')}: no URL of a server", hint=_HINT)
    proxy = str(cluster.get("proxy-url") or "")
    if proxy and not proxy.startswith("http://"):
        raise InvalidSettings(
            f"{cluster_path}: cluster {context.get('cluster')}: proxy-url: only http:// proxies are supported",
            hint=_HINT,
        )
    token = user.get("token") or _file_text(user_path, user.get("tokenFile"))
    return KubeContext(
        server=server.rstrip("/"),
        namespace=str(context.get("namespace") or "default"),
        authorities=_data(cluster_path, cluster, "certificate-authority"),
        server_name=str(cluster.get("tls-server-name") or ""),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        certificate=_data(user_path, user, "client-certificate"),
        key=_data(user_path, user, "client-key"),
        token=str(token or "").strip(),
        token_file=None if user.get("token") else _beside(user_path, user.get("tokenFile")),
        user=str(user.get("username") or ""),
        password=str(user.get("password") or ""),
        program=_program(user_path, user.get("exec")),
        proxy=proxy,
    )


def _document(path: Path) -> dict[str, Any]:
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidSettings(f"{path}: {error.strerror}", hint=_HINT) from error
    if len(text) > _LARGEST:
        raise InvalidSettings(f"{path}: larger than {_LARGEST} bytes", hint=_HINT)
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidSettings(f"{path}: not YAML: {str(error).splitlines()[0]}", hint=_HINT) from error
    if not isinstance(document, dict):
        raise InvalidSettings(f"{path}: not a configuration of kubectl", hint=_HINT)
    return document


def _named(
    documents: Sequence[tuple[Path, dict[str, Any]]], section: str, kind: str, name: str
) -> tuple[Path, dict[str, Any]]:
    for path, document in documents:
        rows = document.get(section)
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and row.get("name") == name and isinstance(row.get(kind), dict):
                return path, row[kind]
    raise NotFound(f"kubectl's configuration has no {kind} {name!r}", hint=_HINT)


def _data(path: Path, row: Mapping[str, Any], name: str) -> bytes:
    """Read what stands in the file itself, or in another one next to it."""
    encoded = row.get(f"{name}-data")
    if encoded:
        try:
            return base64.b64decode(str(encoded), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidSettings(f"{path}: {name}-data is not base64", hint=_HINT) from error
    return _file_text(path, row.get(name)).encode()


def _file_text(path: Path, name: object) -> str:
    if not isinstance(name, str) or not name:
        return ""
    place = path.parent / name
    try:
        with place.open("rb") as file:
            return file.read(_LARGEST).decode(errors="replace")
    except OSError as error:
        raise InvalidSettings(f"{place}: {error.strerror}", hint=f"{path} names it") from error


def _beside(path: Path, name: object) -> Path | None:
    return path.parent / name if isinstance(name, str) and name else None


def _program(path: Path, row: object) -> KubeProgram | None:
    if not isinstance(row, dict):
        return None
    command = row.get("command")
    if not isinstance(command, str) or not command:
        raise InvalidSettings(f"{path}: exec has no command", hint=_HINT)
    words = [str(word) for word in row.get("args") or [] if isinstance(word, str | int)]
    program = str(path.parent / command) if "/" in command else command
    variables = {
        str(one["name"]): str(one.get("value", ""))
        for one in row.get("env") or []
        if isinstance(one, dict) and "name" in one
    }
    return KubeProgram(argv=(program, *words), environment=variables, version=str(row.get("apiVersion", "")))
