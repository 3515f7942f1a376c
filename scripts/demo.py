"""`make demo`: a small example built, built again, run and asked; then the service of examples/videometa.

Everything it makes rests in .cache/demo, so the user's own store stays as it is.
"""

import os
import platform
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "hello"
SERVICE = ROOT / "examples" / "videometa"
QUESTIONS = ("/", "/time?zone=Asia/Shanghai", "/user", "/tls")
VIDEOS = ("/v1/videos/v000001", "/v1/videos/v000001?fields=minimal", "/v1/feed?limit=2&fields=minimal")
PATIENCE = 20.0
"""Seconds the service gets to answer first, and to end after SIGTERM."""


def main() -> int:
    """Show wherry at work; give the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the service ends with us
    environment = {
        **os.environ,
        "WHERRY_STORE": str(ROOT / ".cache/demo/store"),
        "WHERRY_CACHE": str(ROOT / ".cache/demo/cache"),
    }
    build = ["wherry", "build", *_platform()]
    print("$ cd examples/hello", flush=True)
    _show(build, environment)
    print("\nAgain, with nothing changed:", flush=True)
    _show(build, environment)
    print("\nRun it, and ask it something:", flush=True)
    address = _free_address()
    _ask(
        ["wherry", "run", "--network", "host", "-e", f"LISTEN={address}", "hello:dev"], environment, address, QUESTIONS
    )
    if platform.machine() == "x86_64" and shutil.which("qemu-aarch64-static"):
        print("\nThe same for arm64, by qemu-user:", flush=True)
        foreign = [
            "wherry",
            "run",
            "--network",
            "host",
            "--platform",
            "linux/arm64",
            "-e",
            f"LISTEN={address}",
            "hello:dev",
        ]
        _ask(foreign, environment, address, QUESTIONS[:1])
    print("\nWhere its bytes went:", flush=True)
    _show(["wherry", "inspect", "hello:dev"], environment)
    _service(environment, address)
    return 0


def _service(environment: dict[str, str], address: str) -> None:
    """Show the service that wherry is judged on: seed, build, run and query it, and show its size."""
    print("\nA service with etcd's client, HTTP/3 and Prometheus (its README is a tutorial of its own):", flush=True)
    print("$ cd examples/videometa", flush=True)
    videos = ROOT / ".cache/demo/videos.store"
    _show(["go", "run", "./cmd/seed", "-count", "1000", "-out", str(videos)], environment, SERVICE)
    _show(["wherry", "build", *_platform()], environment, SERVICE)
    run = ["wherry", "run", "--network", "host", "-v", f"{videos}:/videos.store:ro", "videometa:dev", "-http", address]
    flags = ["-store", "/videos.store", "-admin", "", "-log-level", "WARN"]
    _ask([*run, *flags], environment, address, VIDEOS, SERVICE)
    _show(["wherry", "size", "videometa:dev", "--top", "8"], environment, SERVICE)


def _platform() -> list[str]:
    """The platforms of wherry.toml do for most; other machines add their own, so that the image can run here."""
    machine = platform.machine()
    return [] if machine in {"x86_64", "aarch64"} else ["--platform", machine]


def _show(argv: list[str], environment: dict[str, str], folder: Path = EXAMPLE) -> None:
    print("$ " + _told(argv), flush=True)
    done = subprocess.run(argv, cwd=folder, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _told(argv: Sequence[str]) -> str:
    """Write a command down, with our own folder left out of paths."""
    return shlex.join(argv).replace(f"{ROOT}/", "")


def _ask(
    argv: list[str], environment: dict[str, str], address: str, paths: Sequence[str], folder: Path = EXAMPLE
) -> None:
    with _running(argv, environment, folder) as service:
        _wait(service, address)
        for path in paths:
            url = f"http://{address}{path}"
            print(f"$ curl -s '{url}'\n{_get(url)}", flush=True)


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _running(argv: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program; whatever happens, it has ended when we leave."""
    print(f"$ {_told(argv)} &", flush=True)
    process = subprocess.Popen(argv, cwd=folder, env=environment)
    try:
        yield process
        print(f"$ kill {process.pid}", flush=True)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(service: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if service.poll() is not None:
            sys.exit(f"the service ended before it answered (exit code {service.returncode})")
        try:
            _get(f"http://{address}/healthz")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    sys.exit(f"the service did not answer on {address} within {PATIENCE:.0f} s")


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    with opener.open(url, timeout=PATIENCE) as answer:
        return str(answer.read().decode().strip())


if __name__ == "__main__":
    sys.exit(main())
