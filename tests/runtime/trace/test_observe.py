"""What is made of a tracer's events, of sockets' addresses and of probes, whatever they are."""

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.analysis.deps.observed import FileOutcome
from wherry.errors import InvalidUsage
from wherry.runtime.trace.attend import EventReader
from wherry.runtime.trace.observe import Observer, address_of, tidy
from wherry.runtime.trace.probes import Probe


def seen(**event: object) -> dict[str, object]:
    """Make an event of a program."""
    return {"at": 0, "process": 2, "program": "/app", **event}


@given(st.binary(max_size=140))
def test_any_bytes_are_an_address_or_none(raw):
    """Whatever a program gives to connect, nothing is raised."""
    assert isinstance(address_of(raw), str)


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (b"\x02\0\x1f\x90\x7f\0\0\x01", "127.0.0.1:8080"),
        (b"\x0a\0\0\x50" + bytes(4) + socket.inet_pton(socket.AF_INET6, "::1"), "[::1]:80"),
        (b"\x01\0/run/x.sock\0junk", "unix:/run/x.sock"),
        (b"\x01\0\0name", "unix:@name"),
        (b"", ""),
    ],
)
def test_addresses(raw, address):
    """As people write them."""
    assert address_of(raw) == address


@given(st.text(max_size=30))
def test_tidy_paths_stay_absolute_or_relative(path):
    """A tidy path starts as the path did, and is tidy already."""
    assert tidy(path).startswith("/") == path.startswith("/")
    assert tidy(tidy(path)) == tidy(path)


@pytest.mark.parametrize("text", ["tls://", "http:///x", "tcp://localhost:0", "tcp://localhost:80/x", "http:localhost"])
def test_what_is_no_probe(text):
    """A host or a port is named, a port is not 0, and only HTTP has paths."""
    with pytest.raises(InvalidUsage):
        Probe.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_probe_or_refused(text):
    """A probe has a port and a host of the container, or it is an error of usage."""
    try:
        probe = Probe.parse(text)
    except InvalidUsage:
        return
    assert 0 < probe.port < 1 << 16
    assert probe.version in (4, 6)


def test_the_last_miss_counts():
    """A file that is asked for again is the last one asked for; errors that say nothing of a file are passed over."""
    observer = Observer()
    for path, result in (("/a", -errno.ENOENT), ("/b", -errno.ENOTDIR), ("/a", -errno.ENOENT), ("/c", -errno.EINVAL)):
        observer.hear(seen(call="openat", path=path, result=result))
    observer.hear(seen(call="openat", path="/d", result=3, flags=0o101))

    found = observer.observation()

    assert [(file.path, file.count) for file in found.failed()] == [("/a", 2), ("/b", 1)]
    assert [file.path for file in found.of(FileOutcome.MADE)] == ["/d"]


def test_only_addresses_that_mean_something():
    """Port 0 and netlink are how Go looks about; a listener is not bound twice."""
    observer = Observer()
    listener, other = b"\x02\0\x1f\x90" + bytes(4), b"\x02\0\0\0" + bytes(4)
    for descriptor, raw in ((3, listener), (4, other), (5, b"\x10\0" + bytes(10))):
        observer.hear(seen(call="bind", descriptor=descriptor, address=raw, result=0))
    observer.hear(seen(call="listen", descriptor=3, result=0))
    observer.hear(seen(signal=15, sender=1))

    found = observer.observation()

    assert [(one.use, one.address) for one in found.sockets] == [("listen", "0.0.0.0:8080")]
    assert found.listening == ("0.0.0.0:8080",)
    assert found.signals == {}


@given(st.lists(st.integers(1, 9), max_size=9))
def test_batches_in_pieces_of_any_size(sizes):
    """Events come whole, however the pipe cuts their batches."""
    import marshal

    events = [seen(signal=number) for number in range(5)]
    written = b"".join(
        len(batch).to_bytes(4, "little") + batch for batch in (marshal.dumps(events[:2]), marshal.dumps(events[2:]))
    )
    reader, found, at = EventReader(), [], 0
    for size in [*sizes, len(written)]:
        found += reader.feed(written[at : at + size])
        at += size

    assert found == events
