"""Real registries, each started by a test as a plain process on loopback: distribution 2.8 (Debian's) and 3."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trustme

from needs import need

DEBIAN, CNCF = "docker-registry", "registry"
"""The programs: Debian's package of distribution 2.8, and distribution 3 by `go install`."""


@dataclass(frozen=True)
class Certificates:
    """A CA of the test's own, and what a server on loopback shows."""

    folder: Path
    authority: trustme.CA

    @property
    def ca(self) -> Path:
        """What a client has to trust."""
        return self.folder / "ca.pem"

    @property
    def chain(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / "server.key"


def certificates(folder: Path) -> Certificates:
    """Make a CA and a certificate for loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder, trustme.CA())
    made.authority.cert_pem.write_to_path(str(made.ca))
    server = made.authority.issue_cert("localhost", "127.0.0.1", "::1")
    server.private_key_pem.write_to_path(str(made.key))
    for place, part in enumerate(server.cert_chain_pems):
        part.write_to_path(str(made.chain), append=place > 0)
    return made


@dataclass(frozen=True)
class Running:
    """A registry at work."""

    host: str
    """Host and port."""
    folder: Path
    """Where its blobs are."""
    process: "subprocess.Popen[str]"

    def blobs(self) -> int:
        """Count the blobs it keeps."""
        return sum(1 for _ in self.folder.glob("docker/registry/v2/blobs/*/*/*/data"))


@contextmanager
def distribution(
    folder: Path,
    *,
    program: str = DEBIAN,
    tls: Certificates | None = None,
    basic: tuple[str, str] | None = None,
    token: "TokenServer | None" = None,
    port: int = 0,
) -> Iterator[Running]:
    """Run a registry until the block ends.

    Args:
        folder: for its configuration and its blobs.
        program: `DEBIAN` or `CNCF`.
        tls: what it shows; None: it speaks plain HTTP.
        basic: the one name and password that it takes.
        token: who gives the tokens that it takes.
        port: where it listens; 0: where nothing else does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "blobs")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"127.0.0.1:{port}", **({"tls": _tls(tls)} if tls else {})},
        **_auth(folder, basic, token),
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    process = subprocess.Popen(
        [need(program), "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
    )
    try:
        _wait_until_listening(process)
        yield Running(f"127.0.0.1:{port}", folder / "blobs", process)
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


@contextmanager
def with_referrers() -> Iterator[str]:
    """Run go-containerregistry's registry, which has the referrers API, until the block ends; give host and port."""
    process = subprocess.Popen(
        [need("with-referrers")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={}
    )
    try:
        assert process.stderr
        yield process.stderr.readline().strip().removeprefix("listening on ")
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def _wait_until_listening(process: "subprocess.Popen[str]") -> None:
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if "listening on" in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return
    raise AssertionError("the registry ended: " + "".join(said))


def free_port() -> int:
    """Find a port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tls(shown: Certificates) -> dict[str, str]:
    return {"certificate": str(shown.chain), "key": str(shown.key)}


def _auth(folder: Path, basic: tuple[str, str] | None, token: "TokenServer | None") -> dict[str, object]:
    if basic:
        import bcrypt

        hashed = bcrypt.hashpw(basic[1].encode(), bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text(f"{basic[0]}:{hashed}\n")
        return {"auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}}
    if token:
        bundle = folder / "issuer.pem"
        token.authority.cert_pem.write_to_path(str(bundle))
        said = {"realm": token.realm, "service": "test", "issuer": "tests", "rootcertbundle": str(bundle)}
        return {"auth": {"token": said}}
    return {}


@dataclass
class TokenServer:
    """Gives bearer tokens that distribution verifies: a JWT whose header carries the signer's certificate.

    Source: distribution, docs/spec/auth/jwt.md.
    """

    accounts: dict[str, str]
    """Passwords by name; anybody may read, these may write too."""
    authority: trustme.CA = field(default_factory=trustme.CA)
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    """The query of each request, with `account` as it was proven."""
    realm: str = ""
    expires_in: int = 300

    def token_for(self, scopes: list[str], account: str) -> str:
        """Make a token that allows what the account may have of some scopes."""
        import base64
        import time

        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
        from cryptography.x509 import load_pem_x509_certificate

        def part(document: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()

        leaf = self.authority.issue_cert("signer.example")
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        der = load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_bytes(serialization.Encoding.DER)
        now = int(time.time())
        claims = {
            "iss": "tests",
            "sub": account,
            "aud": "test",
            "exp": now + self.expires_in,
            "nbf": now - 10,
            "iat": now,
            "jti": os.urandom(8).hex(),
            "access": [self._access(scope, account) for scope in scopes],
        }
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{part(header)}.{part(claims)}"
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()
        return f"{signed}.{signature}"

    def _access(self, scope: str, account: str) -> dict[str, object]:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = [action for action in actions.split(",") if account or action == "pull"]
        return {"type": kind, "name": name, "actions": allowed}


@contextmanager
def token_server(**accounts: str) -> Iterator[TokenServer]:
    """Run a token server until the block ends."""
    import base64

    server = TokenServer(accounts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            account, refused = "", False
            if said := self.headers.get("Authorization", ""):
                account, _, password = base64.b64decode(said.removeprefix("Basic ")).decode().partition(":")
                refused = server.accounts.get(account) != password
            server.asked.append({**query, "account": [account]})
            document: dict[str, object] = {"details": "incorrect username or password"}
            if not refused:
                token = server.token_for(query.get("scope", []), account)
                document = {"token": token, "expires_in": server.expires_in}
            body = json.dumps(document).encode()
            self.send_response(401 if refused else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as host:
        server.realm = f"http://{host}/token"
        yield server


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback, in threads, until the block ends; give host and port."""
    with ExitStack() as stack:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        stack.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        yield f"127.0.0.1:{server.server_address[1]}"
