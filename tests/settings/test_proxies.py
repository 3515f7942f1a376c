"""HTTP_PROXY and its kin, as Go reads them."""

import pytest

from wherry.settings.proxies import Proxies, is_loopback


@pytest.mark.parametrize(
    ("exceptions", "host", "port", "direct"),
    [
        ("", "reg.example", 443, False),
        ("*", "reg.example", 443, True),
        ("reg.example", "reg.example", 443, True),
        ("example", "reg.example", 443, True),
        (".example", "reg.example", 443, True),
        (".reg.example", "reg.example", 443, False),
        ("*.example", "reg.example", 443, True),
        ("reg.example:5000", "reg.example", 443, False),
        ("reg.example:5000", "reg.example", 5000, True),
        ("xreg.example", "reg.example", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("fd00::/8", "fd00::1", 80, True),
        ("[fd00::1]:5000", "fd00::1", 5000, True),
        ("other, reg.example ", "REG.example", 443, True),
    ],
)
def test_exceptions(exceptions, host, port, direct):
    """NO_PROXY by name, suffix, port, address and network."""
    proxies = Proxies.of({"HTTPS_PROXY": "proxy:3128", "http_proxy": "http://proxy:3128", "NO_PROXY": exceptions})

    assert proxies.proxy_for("https", host, port) == ("" if direct else "http://proxy:3128")
    assert proxies.proxy_for("http", host, port) == ("" if direct else "http://proxy:3128")


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "127.0.0.1", "127.8.0.1", "::1", "[::1]"])
def test_this_machine_needs_no_proxy(host):
    """Nothing that goes to this machine leaves it."""
    assert is_loopback(host)
    assert not Proxies(http="http://proxy:3128").proxy_for("http", host, 80)


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "reg.example", "::2"])
def test_other_machines(host):
    """Names that only look like this machine are others."""
    assert not is_loopback(host)
