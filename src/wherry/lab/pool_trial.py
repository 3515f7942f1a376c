"""One connection pool against one server in a network namespace of its own: what the kernel and the timeouts do.

A program: `python -I -S pool_trial.py FIN POOL SERVER GAP`, all in seconds; prints one line of JSON. FIN is the
namespace's net.ipv4.tcp_fin_timeout, POOL and SERVER the idle timeouts of client and server, GAP the time between
requests.

Sources: tcp(7), tcp_fin_timeout; RFC 9293, section 3.6 (FIN-WAIT-2); proc_pid_net(5), tcp; netdevice(7).
"""

import ctypes
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from pathlib import Path

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _UP = 0x8913, 0x8914, 1
_REFUSED = 125
_FIN_WAIT_2 = "05"
_REQUESTS = 3
_LONGEST = 60.0


def main() -> None:
    """Make the namespace, run the trial, print what was seen."""
    fin, pool, server, gap = (float(word) for word in sys.argv[1:])
    try:
        _enter(int(fin))
    except OSError as error:
        print(f"no network namespace: {error.strerror}", file=sys.stderr)  # noqa: T201 - a program
        sys.exit(_REFUSED)
    failed, reused, waited = _trial(pool, server, gap)
    print(json.dumps({"requests": _REQUESTS, "failed": failed, "reused": reused, "fin_wait_2": round(waited, 2)}))  # noqa: T201 - a program


def _enter(fin: int) -> None:
    import fcntl

    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_NEWUSER | _NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path("/proc/self", name).write_text(text, encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        flags = struct.unpack("16xh", fcntl.ioctl(asked, _SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0)))[0]
        fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _UP))
    Path("/proc/sys/net/ipv4/tcp_fin_timeout").write_text(str(fin), encoding="ascii")


def _trial(pool: float, server: float, gap: float) -> tuple[int, int, float]:
    """Send requests through a pool of one connection, then close it while the server keeps its end open."""
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listening, server), daemon=True).start()
    connection: socket.socket | None = None
    failed = reused = 0
    for number in range(_REQUESTS):
        if number:
            time.sleep(gap)
        if connection is not None and gap >= pool:  # the pool has closed it
            connection.close()
            connection = None
        reused += connection is not None
        connection = connection or socket.create_connection(listening.getsockname())
        if not _answered(connection):
            failed += 1
            connection.close()
            connection = None
    waited = _closing(connection) if connection is not None else 0.0
    return failed, reused, waited


def _answered(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"x")
        return connection.recv(1) == b"y"
    except OSError:
        return False


def _serve(listening: socket.socket, idle: float) -> None:
    kept = []  # a server that never closes after the client did: the worst case for FIN-WAIT-2
    while True:
        connection, _ = listening.accept()
        kept.append(connection)
        threading.Thread(target=_answer, args=(connection, idle), daemon=True).start()


def _answer(connection: socket.socket, idle: float) -> None:
    while True:
        ready, _, _ = select.select([connection], [], [], idle)
        if not ready:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            return
        if not connection.recv(1):
            return
        connection.sendall(b"y")


def _closing(connection: socket.socket) -> float:
    """Close the client's end, and measure how long the kernel keeps it in FIN-WAIT-2."""
    port = connection.getsockname()[1]
    connection.close()
    began = last = time.monotonic()
    seen = False
    while last - began < _LONGEST:
        here = _waits(port)
        seen |= here
        if seen and not here:
            break
        time.sleep(0.02)
        last = time.monotonic()
    return last - began if seen else 0.0


def _waits(port: int) -> bool:
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == _FIN_WAIT_2 for row in rows)


if __name__ == "__main__":
    main()
