"""URIs of keys in tokens: what is taken, what is refused, and that a PIN never stands in one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_shell import Shell
from wherry.errors import InvalidUsage
from wherry.trust.pkcs11_uri import Pkcs11Uri


def test_attributes():
    """Percent-encoded values, any order; what describes a token is read over."""
    found = Pkcs11Uri.parse(
        "pkcs11:serial=4f;token=my%20token;slot-id=7;id=%00%ff;object=release;model=x;type=private"
        "?module-path=/usr/lib/m.so&pin-source=file:/run/pin"
    )
    assert found == Pkcs11Uri(
        token="my token", serial="4f", slot=7, label="release", id=b"\0\xff", module="/usr/lib/m.so",  # noqa: S106 - a label
        pin_source="/run/pin",
    )  # fmt: skip


@pytest.mark.parametrize("text", [
    "pkcs11:", "pkcs11:token=a", "pkcs11:object=a;object=b", "pkcs11:object=a;nothing", "pkcs11:object=a;other=b",
    "pkcs11:object=a;slot-id=x", "pkcs11:object=%ff", "pkcs11:object=%0", "pkcs11:object=a b", "pkcs11:object=%00",
    "pkcs11:object=a;type=cert", "pkcs11:object=a?pin-value=1234", "object=a", "pkcs11:object=" + "a" * 5000,
    "pkcs11:object=a;pin-value=1234",
])  # fmt: skip
def test_refused(text):
    """Each is an error; a PIN is not repeated."""
    with pytest.raises(InvalidUsage) as caught:
        Pkcs11Uri.parse(text)
    assert "1234" not in caught.value.message + caught.value.hint


@given(st.text(max_size=80))
def test_any_text(text):
    """Nothing but a value or an error comes of it."""
    with suppress(InvalidUsage):
        Pkcs11Uri.parse(f"pkcs11:object={text}")


def test_what_loads_a_module(tmp_path):
    """Only what signs does: a policy, wherry.toml or `verify` cannot have a library loaded."""
    shell = Shell(tmp_path)
    uri = f"pkcs11:object=a?module-path={tmp_path}/evil.so"

    shell("verify", "--key", uri, "api:1", code=64)
    assert "wherry keys public" in shell.err
    shell("sign", "--key", "pkcs11:object=a", "api:1", code=64)
    assert "COSIGN_PKCS11_MODULE_PATH" in shell.err
    shell("sign", "--key", uri, "api:1", code=66)
    shell("sign", "--key", "pkcs11:object=a?module-path=evil.so", "api:1", code=66)
