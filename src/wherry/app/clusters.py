"""The Kubernetes cluster that commands speak to: kubectl's configuration, or the service account of the pod we are in.

Sources: Kubernetes 1.34, "Accessing the Kubernetes API from a Pod"; client-go, tools/clientcmd and
plugin/client/auth/exec.
"""

import json
import os
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wherry.cluster.kube_api import KubeServer
from wherry.cluster.kube_http import KubeAddress, KubeCredentials
from wherry.errors import InvalidSettings, InvalidUsage, NotFound
from wherry.settings.proxies import Proxies

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.settings.kube_config import KubeContext, KubeProgram

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LARGEST = 1 << 20
_LONG = 3.0
"""Seconds after which it is said that a program is waited for."""
_SPARE = 60.0
"""Seconds before its end from which a program's credential counts as over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster, and the namespace that commands work in."""

    server: KubeServer
    namespace: str
    source: str
    """Where it was found, for people: `context test of /home/me/.kube/config`."""


def cluster(
    session: "Session",
    *,
    context: str = "",
    namespace: str = "",
    patience: float = 0.0,
    account: Path = SERVICE_ACCOUNT,
) -> Cluster:
    """Find the cluster: KUBECONFIG or ~/.kube/config; in a pod that has neither, the pod's service account.

    Args:
        session: its environment and home name the files.
        context: empty: the one in use.
        namespace: empty: the context's, or the pod's.
        patience: seconds that each request is made again for while the API server is busy or away.
        account: where a pod's service account is mounted.

    Raises:
        NotFound, InvalidSettings: there is no usable configuration.
    """
    from wherry.settings.kube_config import kube_context

    files = _files(session)
    if not context and not any(path.exists() for path in files) and (account / "token").is_file():
        return _in_pod(session.environment, account, namespace, patience)
    found = kube_context(files, context)
    source = f"{f'context {context}' if context else 'the context in use'} of {os.pathsep.join(map(str, files))}"
    address = KubeAddress(
        url=found.server, authorities=found.authorities, server_name=found.server_name, insecure=found.insecure,
        source=source, credentials=_credentials(session, found), proxy=_proxy(session.environment, found),
    )  # fmt: skip
    server = KubeServer.of(address, patience=patience)
    return Cluster(server=server, namespace=namespace or found.namespace, source=source)


def _proxy(environment: Mapping[str, str], context: "KubeContext") -> str:
    """Name the proxy as kubectl would: the configuration's, else the environment's."""
    parts = urlsplit(context.server)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return ""  # whoever connects says what is wrong with it
    proxy = context.proxy or Proxies.of(environment).proxy_for(parts.scheme, parts.hostname or "", port)
    if proxy and not proxy.startswith("http://"):
        raise InvalidSettings(
            f"HTTPS_PROXY: {parts.hostname} can only be reached by an http:// proxy",
            hint=f"set one, or NO_PROXY={parts.hostname}",
        )
    return proxy


def _files(session: "Session") -> list[Path]:
    named = [Path(name) for name in session.environment.get("KUBECONFIG", "").split(os.pathsep) if name]
    return named or ([session.home / ".kube/config"] if session.home else [])


def _in_pod(environment: Mapping[str, str], account: Path, namespace: str, patience: float) -> Cluster:
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise NotFound(
            f"{account}: a service account is mounted, but KUBERNETES_SERVICE_HOST is not set",
            hint="set KUBECONFIG, or leave enableServiceLinks of the pod unchanged",
        )

    def credentials(_fresh: bool) -> KubeCredentials:  # noqa: FBT001 - the shape of what is asked
        return KubeCredentials(authorization=f"Bearer {_read(account / 'token').strip()}")  # it rotates

    address = KubeAddress(
        url=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authorities=_read(account / "ca.crt").encode(), source=str(account), credentials=credentials,
    )  # fmt: skip
    own = namespace or _read(account / "namespace").strip() or "default"
    return Cluster(server=KubeServer.of(address, patience=patience), namespace=own, source=str(account))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode(errors="replace")
    except OSError as error:
        raise InvalidSettings(
            f"{path}: {error.strerror}", hint="the pod's service account needs automountServiceAccountToken"
        ) from error


def _credentials(session: "Session", context: "KubeContext") -> Callable[[bool], KubeCredentials]:
    certificate, key = context.certificate, context.key
    if context.program is not None and not (certificate or context.token):
        return _Asked(session, context.program)
    plain = KubeCredentials(certificate=certificate, key=key)
    if context.token_file is not None:
        path = context.token_file
        return lambda _fresh: replace(plain, authorization=f"Bearer {_read(path).strip()}")  # it may rotate
    if context.token:
        plain = replace(plain, authorization=f"Bearer {context.token}")
    elif context.user:
        words = b64encode(f"{context.user}:{context.password}".encode()).decode()
        plain = replace(plain, authorization=f"Basic {words}")
    return lambda _fresh: plain


@dataclass(slots=True)
class _Asked:
    """Credentials of a program, asked for when there are none, they are over, or they were refused."""

    session: "Session"
    program: "KubeProgram"
    known: KubeCredentials | None = None
    end: float = field(default=float("inf"))
    asked: float = float("-inf")

    def __call__(self, fresh: bool) -> KubeCredentials:  # noqa: FBT001 - the shape of what is asked
        """Give them."""
        now = time.time()
        if self.known is None or self.end - _SPARE < now or (fresh and now - self.asked > 1):
            self.known, self.end = _answer(self.session, self.program)
            self.asked = now
        return self.known


def _answer(session: "Session", program: "KubeProgram") -> tuple[KubeCredentials, float]:
    """Ask the program of a kubeconfig for credentials, and when they end."""
    from wherry.host.process import Command

    asked = {"apiVersion": program.version, "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**session.environment, **program.environment, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
    words = f"waiting for {program.argv[0]}, which kubectl's configuration asks for credentials"
    late = threading.Timer(_LONG, session.waits, (words,))
    late.daemon = True
    late.start()
    try:
        done = session.runner.run(Command(program.argv, session.cwd, environment))
    finally:
        late.cancel()
    try:
        status = json.loads(done.stdout)["status"]
        certificate, key = (str(status.get(name) or "").encode() for name in ("clientCertificateData", "clientKeyData"))
        token = str(status.get("token") or "")
        until = status.get("expirationTimestamp")
        end = datetime.fromisoformat(str(until)).timestamp() if until else float("inf")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidUsage(
            f"{program.argv[0]}: it gives no credentials for the cluster: {done.words[:300]}", hint="run it by hand"
        ) from error
    authorization = f"Bearer {token}" if token else ""
    return KubeCredentials(certificate=certificate, key=key, authorization=authorization), end
