"""Which program connects containers, and whom they ask for names."""

import pytest

from wherry.host.usernet import NoUserNetwork, UserNetwork, loopback_hosts, resolver, user_network

PASTA, SLIRP = "169.254.1.1", "10.0.2.3"
STUB = b"nameserver 127.0.0.53\noptions edns0\nsearch lan\n"


@pytest.mark.parametrize(
    ("own", "upstream", "six", "found"),
    [
        (b"nameserver 10.0.0.1\n", b"", True, (b"", "")),
        (b"nameserver 127.0.0.1\nnameserver 10.0.0.1\nsearch a\n", b"", True, (b"nameserver 10.0.0.1\nsearch a\n", "")),
        (STUB, b"nameserver 10.0.0.1\nsearch lan\n", True, (b"nameserver 10.0.0.1\nsearch lan\n", "")),
        (STUB, b"", True, (b"nameserver 169.254.1.1\noptions edns0\nsearch lan\n", PASTA)),
        (b"", b"", True, (b"nameserver 169.254.1.1\n", PASTA)),
        (b"nameserver ::1\n", b"", True, (b"nameserver 169.254.1.1\n", PASTA)),
        (b"nameserver ::ffff:127.0.0.1\n", b"", True, (b"nameserver 169.254.1.1\n", PASTA)),
        (b"nameserver fe80::1%eth0\n", b"", True, (b"", "")),
        (b"nameserver fd00::1\n", b"", False, (b"nameserver 10.0.2.3\n", SLIRP)),
        (b"nameserver nonsense\n", b"", True, (b"nameserver 169.254.1.1\n", PASTA)),
    ],
)
def test_whom_to_ask(own, upstream, six, found):
    """Name servers on the loopback are left out; where there are no others, the program answers for them."""
    assert resolver(own, upstream, PASTA if six else SLIRP, six=six) == found


def test_proxies_on_the_loopback():
    """Each is named by its variable, with its port and without its password."""
    variables = {
        "HTTP_PROXY": "http://me:secret@127.0.0.1:3128", "https_proxy": "localhost:8080", "ALL_PROXY": "socks5://[::1]:1",
        "GOPROXY": "http://127.5.5.5:3000,direct|https://proxy.example", "NO_PROXY": "127.0.0.1", "OTHER": "127.0.0.1",
        "FTP_PROXY": "http://10.0.0.1:1",
    }  # fmt: skip

    assert dict(loopback_hosts(variables)) == {
        "HTTP_PROXY": "127.0.0.1:3128", "https_proxy": "localhost:8080", "ALL_PROXY": "[::1]:1",
        "GOPROXY": "127.5.5.5:3000",
    }  # fmt: skip


def test_what_is_installed(tmp_path):
    """Pasta before slirp4netns; neither without a device that the user may open."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in ("dev/net", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/resolv.conf").write_bytes(STUB)
    path = str(programs)

    def install(name):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)

    nothing = user_network(path, tmp_path)
    install("slirp4netns")
    closed = user_network(path, tmp_path)
    (tmp_path / "dev/net/tun").touch()
    second = user_network(path, tmp_path)
    install("pasta")
    first = user_network(path, tmp_path)

    assert isinstance(nothing, NoUserNetwork)
    assert "passt" in nothing.remedy
    assert isinstance(closed, NoUserNetwork)
    assert "/dev/net/tun" in closed.reason
    assert isinstance(second, UserNetwork)
    assert (second.kind, second.forward) == ("slirp4netns", SLIRP)
    assert isinstance(first, UserNetwork)
    assert (first.kind, first.program, first.forward) == ("pasta", str(programs / "pasta"), PASTA)
