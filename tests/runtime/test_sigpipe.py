"""Broken pipes: counted by who closed, explained by the timeout they equal, whoever saw them."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.report.sigpipe import sigpipe_lines, sigpipe_metrics
from wherry.runtime.sigpipe.count import BrokenPipes
from wherry.runtime.sigpipe.events import BpfLines, InOrder, PipeEvent, bpf_script, traced_event
from wherry.runtime.sigpipe.explain import USUAL, UsualTimeout, equals
from wherry.runtime.sigpipe.sockets import inode_of, peers_by_inode
from wherry.runtime.sigpipe.watch import SignalEffect, signal_effect, sigpipe_document

GO = SignalEffect(go=True, text="Go")


def seen(*events: tuple[str, float, int, dict], peers: dict[int, str] | None = None) -> BrokenPipes:
    """Hear events of process 7: kind, time, descriptor, and the rest."""
    found = BrokenPipes(lambda _: peers or {}, lambda _: {4711: "10.0.0.9:1234"})
    for kind, at, fd, rest in events:
        found.hear(
            PipeEvent(**{"kind": kind, "at": at, "pid": 7, "program": "/api", "fd": fd, "call": "write", **rest})
        )
    return found


def document(found: BrokenPipes, **rest: object):
    """Give the document of a watch of ten seconds."""
    return sigpipe_document(found, by="tracer", target="7", seconds=10.0, effects=lambda _: GO, **rest)


@pytest.mark.parametrize(
    ("events", "closed_by", "idle", "late"),
    [
        ([("end", 30.0, 5, {"idle": 30.0}), ("sigpipe", 35.0, 5, {"idle": 35.0})], "peer", 30.0, 5.0),
        ([("reset", 1.0, 5, {"idle": 1.0}), ("sigpipe", 1.5, 5, {"idle": 1.5})], "peer (reset)", 1.0, 0.5),
        ([("shutdown", 1.0, 5, {}), ("sigpipe", 2.0, 5, {"idle": 2.0})], "the process itself", 2.0, 1.0),
        ([("sigpipe", 2.0, 5, {"idle": 2.0})], "not seen", 2.0, None),
        ([("accept", 1.0, 5, {}), ("sigpipe", 2.0, 5, {"idle": 1.0})], "peer", 1.0, None),
        ([("sigpipe", 2.0, 1, {})], "peer", None, None),
    ],
)
def test_who_closed(events, closed_by, idle, late):
    """The first end that was seen is to blame; without one, only the silence before the write is known."""
    one = document(seen(*events)).breaks[0]

    assert (one.closed_by, one.idle, one.late) == (closed_by, idle, late)


def test_peers_and_counts():
    """A peer that connected is counted by its host, one that was connected to by its port; a new connection is new."""
    found = seen(
        *(
            event
            for number in range(3)
            for event in (
                ("accept", 1.0, 5, {"address": f"10.0.0.7:{4000 + number}"}),
                ("end", 2.0, 5, {"idle": 1.0}),
                ("epipe", 3.0, 5, {}),
                ("sigpipe", 3.0, 5, {}),
                ("close", 4.0, 5, {}),
            )
        ),
        ("connect", 5.0, 6, {"address": "10.0.0.8:5432"}),
        ("sigpipe", 6.0, 6, {}),
        ("reset", 7.0, 9, {"link": "socket:[4711]"}),
        ("epipe", 8.0, 8, {}),
        ("sigpipe", 9.0, 3, {}),
        ("exit", 9.5, -1, {"code": -13}),
        peers={3: "[::1]:80"},
    )  # fmt: skip
    made = document(found)

    assert [(one.peer, one.count) for one in made.breaks] == [("10.0.0.7", 3), ("10.0.0.8:5432", 1), ("::1", 1)]
    assert (made.total, made.per_second, made.peak, made.silent) == (5, 0.5, 3, 0)
    assert [(one.peer, one.count) for one in made.resets] == [("10.0.0.9", 1)]
    assert [(one.code, one.count, one.go) for one in made.processes] == [(-13, 5, True)]


def test_the_timeout_it_equals():
    """A second more or less is the timeout's; the user's own go first where they are as near."""
    assert equals(30.4, USUAL)[0].startswith("30 s: a connection pool")
    assert equals(60.2, [UsualTimeout(60, "client.idle, f:1"), *USUAL])[0] == "60 s: client.idle, f:1"
    assert equals(44.0, USUAL) == ()
    idle = document(seen(("end", 60.0, 5, {"idle": 60.0}), ("sigpipe", 60.0, 5, {}))).breaks[0]
    late = document(seen(("end", 60.0, 5, {"idle": 60.0}), ("sigpipe", 70.0, 5, {}))).breaks[0]
    assert "idle timeout" in idle.remedy
    assert "stops waiting" in late.remedy


def test_what_the_tracer_says():
    """Only what is about pipes is an event."""
    base = {"at": 2_000_000_000, "process": 7, "program": "/api", "descriptor": 5}
    address = struct.pack("=H", 2) + struct.pack("!H4B", 4000, 10, 0, 0, 7) + bytes(8)

    kinds = [
        traced_event({**base, "call": call, "result": result, **rest})
        for call, result, rest in (
            ("write", -errno.EPIPE, {}), ("read", -errno.ECONNRESET, {}), ("read", 0, {"idle": 10**9}),
            ("accept4", 5, {"address": address}), ("shutdown", 0, {}), ("read", 12, {}),
        )
    ]  # fmt: skip
    assert [one.kind if one else None for one in kinds] == ["epipe", "reset", "end", "accept", "shutdown", None]
    assert (kinds[2].idle, kinds[3].address) == (1.0, "10.0.0.7:4000")
    assert traced_event({**base, "signal": 13}).kind == "sigpipe"
    assert traced_event({**base, "signal": 15}) is None


def test_what_bpftrace_prints():
    """Lines become events, in the order in which they happened; what is no line of ours is left out."""
    lines, heard = BpfLines(7, "/api"), []
    order = InOrder(heard.append)
    for text in (
        "Attaching 20 probes...", "ready 1000000000 0 - 0 -", "sigpipe 3000000000 5 write 2000000000 -",
        "end 2500000000 5 read 2000000000 -",
        r"accept 2000000000 5 accept4 0 \x02\x00\x0f\xa0\x0a\x00\x00\x07" + "\\x00" * 20,
        "sigpipe x y z", "",
    ):  # fmt: skip
        for event in lines.events(text):
            order.add(event, 0.0)
    assert heard == []
    order.release(0.0, every=True)

    assert lines.ready
    assert [(one.kind, one.at) for one in heard] == [("accept", 1.0), ("end", 1.5), ("sigpipe", 2.0)]
    assert heard[0].address == "10.0.0.7:4000"
    assert heard[2].idle == 1.0
    assert "pid == 7" in bpf_script(7)


@given(st.text(max_size=80))
def test_any_line(text):
    """No line breaks the reader."""
    for event in BpfLines(7, "/api").events(text):
        seen().hear(event)


def test_metrics_are_escaped():
    """Names of programs are anything; a line of Prometheus and of a terminal stays one line."""
    found = seen(("sigpipe", 1.0, 5, {"program": '/a"b\\c\n\x1b[2J', "idle": 1.0}))
    made = document(found)

    assert '{pid="7",program="/a\\"b\\\\c\\n\x1b[2J",descriptor="socket"' in sigpipe_metrics(made)
    assert sigpipe_metrics(made).count("\nwherry_sigpipe_total{") == 1
    assert all("\x1b" not in line and "\n" not in line for line in sigpipe_lines(made))


def test_proc(tmp_path):
    """Peers are read of /proc, mapped IPv4 as IPv4; what SIGPIPE does by the masks."""
    net = tmp_path / "7" / "net"
    net.mkdir(parents=True)
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rest = "00000000:00000000 00:00000000 00000000  1000        0"
    (net / "tcp").write_text(
        head
        + f"   0: 0100007F:1F90 00000000:0000 0A {rest} 1 1\n   1: 0100007F:1F90 0700000A:0FA0 08 {rest} 2 1\n bad\n"
    )
    (net / "tcp6").write_text(head + f"   0: {'0' * 32}:1F90 0000000000000000FFFF00000700000A:0FA1 01 {rest} 3 1\n")
    (tmp_path / "7" / "status").write_text("Name:\tx\ny\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000000\n")

    assert peers_by_inode(7, tmp_path) == {2: "10.0.0.7:4000", 3: "10.0.0.7:4001"}
    assert [inode_of("socket:[2]"), inode_of("pipe:[2]"), inode_of("socket:[x]")] == [2, 0, 0]
    assert signal_effect(7, go=False, root=tmp_path).text.startswith("ignored")
    assert signal_effect(8, go=False, root=tmp_path).text.startswith("not handled")
