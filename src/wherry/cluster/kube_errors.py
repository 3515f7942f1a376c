"""What a Kubernetes API server refuses, and why it can't be asked, in words with a next step.

Source: Kubernetes 1.34 API reference, "Status" (meta/v1); "Kubernetes API Concepts".
"""

import json
import re
import socket
import ssl

from wherry.errors import HostUnable

_RIGHT = re.compile(
    r'cannot (?P<verb>[a-z]+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)"| at the cluster scope)?'
)
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE, _MANY, _UNAVAILABLE = 401, 403, 404, 409, 410, 429, 503
PASSING = frozenset({_MANY, 500, 502, _UNAVAILABLE, 504})
"""Statuses that may be over in a moment."""
_POLICY = re.compile(r"admission webhook |.{0,400}ValidatingAdmissionPolicy '")
"""How refusals of webhooks and of the API server's own policies begin."""
_NO_TUNNEL = "Tunnel connection failed: "
"""How http.client begins when a proxy says no."""
_ANYTHING = "`kubectl auth can-i --list` shows what you may do there"


class KubeRefused(HostUnable):
    """The API server refuses a request, in its own words."""

    def __init__(self, message: str, *, hint: str, status: int, reason: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        """Of HTTP; 0: no answer came."""
        self.reason = reason
        """The server's word for a program: `AlreadyExists`, `Expired`…"""

    @property
    def missing(self) -> bool:
        """Whether the object is not there."""
        return self.status == _NOT_FOUND

    @property
    def conflict(self) -> bool:
        """Whether an object of this name is there, or it changed meanwhile."""
        return self.status == _CONFLICT

    @property
    def gone(self) -> bool:
        """Whether the version that a watch or a list goes on from is no longer kept."""
        return self.status == _GONE

    @property
    def passing(self) -> bool:
        """Whether it may be over in a moment: no answer, too many requests, a server that starts."""
        return self.status == 0 or self.status in PASSING


class KubeUnreachable(KubeRefused):
    """No answer came."""

    def __init__(self, message: str, *, hint: str, lasting: bool = False) -> None:
        super().__init__(message, hint=hint, status=0)
        self.lasting = lasting
        """Whether waiting can't help: certificates that don't fit, a name that no address belongs to."""

    @property
    def passing(self) -> bool:
        """Whether it may be over in a moment."""
        return not self.lasting


def refused(host: str, status: int, phrase: str, body: bytes) -> KubeRefused:
    """Put an answer that is no success into words."""
    message, reason = _status_words(body)
    if not message and status == _NOT_FOUND:
        message = "there is no such path"
    return KubeRefused(
        f"{host}: HTTP {status}: {message or phrase}", hint=_hint(status, message), status=status, reason=reason
    )


def unreachable(host: str, source: str, error: Exception) -> KubeUnreachable:
    """Put a failure of the network into words.

    Args:
        host: of the API server.
        source: which configuration names it.
        error: what the operating system, TLS or HTTP says.
    """
    named = f"{source} names this server" if source else "`kubectl version` asks it too"
    match error:
        case ssl.SSLCertVerificationError():
            said = error.verify_message or str(error)
            return KubeUnreachable(
                f"{host}: the API server's certificate is not accepted: {said}",
                hint=f"{named}: check its certificate-authority and the clock of this machine", lasting=True,
            )  # fmt: skip
        case ssl.SSLError():
            return KubeUnreachable(
                f"{host}: no TLS with the API server: {error.reason or error}", hint=f"{named}: does it speak HTTPS?"
            )
        case socket.gaierror():
            return KubeUnreachable(
                f"{host}: this name has no address: {error.strerror}", hint=f"{named}: correct it", lasting=True
            )
        case ConnectionRefusedError():
            said = "nothing listens there (connection refused)"
        case TimeoutError():
            said = "no answer in time"
        case OSError() if str(error).startswith(_NO_TUNNEL):
            return KubeUnreachable(
                f"{host}: not let through: {str(error).removeprefix(_NO_TUNNEL)}",
                hint="check proxy-url of kubectl's configuration, HTTPS_PROXY and NO_PROXY",
            )
        case _:
            said = str(error) or type(error).__name__
    return KubeUnreachable(
        f"{host}: the API server does not answer: {said}", hint=f"{named}: start the cluster, or choose another context"
    )


def _status_words(body: bytes) -> tuple[str, str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        text = " ".join(body[:200].decode(errors="replace").split())
        return ("" if text.startswith("<") else text), ""
    if not isinstance(document, dict):
        return "", ""
    return str(document.get("message") or ""), str(document.get("reason") or "")


def _hint(status: int, message: str) -> str:
    if status == _UNAUTHORIZED:
        return "log in to the cluster again: the token or the certificate of kubectl's configuration is not accepted"
    if status == _FORBIDDEN:
        return _forbidden(message)
    if status == _NOT_FOUND:
        return "`kubectl get` lists what the namespace has; --namespace NAME chooses another"
    if status == _CONFLICT:
        return "it is there already, or it changed meanwhile: look at it with `kubectl get`"
    if status in PASSING:
        return "the API server is busy or starting: `kubectl get --raw /readyz` says when it is ready"
    return _ANYTHING


def _forbidden(message: str) -> str:
    """Say what to do about one of the many reasons of 403."""
    if found := _RIGHT.search(message):
        kind = f"{found['resource']}.{found['group']}" if found["group"] else found["resource"]
        return missing_right(found["verb"], kind, found["namespace"] or "")
    if _POLICY.match(message):
        return "a policy of the cluster refuses it, in these words: fulfil it, or ask whoever keeps that policy"
    if "PodSecurity" in message:
        return "the namespace's label pod-security.kubernetes.io/enforce sets what pods may do"
    if "quota" in message:
        return "`kubectl describe quota` shows what is used; ask for less, or wait until other pods have ended"
    return _ANYTHING


def missing_right(verb: str, resource: str, namespace: str) -> str:
    """Say which right to ask for, and how it is granted."""
    plain, _, sub = resource.partition("/")
    name = resource.replace("/", "-").replace(".", "-")
    scope = f" -n {namespace}" if namespace else ""
    kind = "role" if namespace else "clusterrole"
    shown = f"{plain}/{sub}" if sub else plain
    return (
        f"ask for the right to {verb} {shown}{f' in {namespace}' if namespace else ''}: "
        f"kubectl create {kind} wherry-{verb}-{name}{scope} --verb={verb} --resource={shown}, and a {kind}binding"
    )
