"""Keys in a token: SoftHSM signs, and cosign and wherry verify by the public key."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from small_images import put_image

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed (`make peers` installs it)")
pytestmark = [pytest.mark.peers, pytest.mark.slow]
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so")  # fmt: skip
PIN = "planted-98765"

MAKE = """
import sys, pkcs11
from pkcs11 import KeyType, Attribute
from pkcs11.util.ec import encode_named_curve_parameters
session = pkcs11.lib(sys.argv[1]).get_token(token_label="release").open(rw=True, user_pin=sys.argv[2])
curve = session.create_domain_parameters(
    KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True)
curve.generate_keypair(store=True, label="signing", id=b"\\x01")
session.generate_keypair(KeyType.RSA, 2048, store=True, label="rsa", id=b"\\x02")
"""


@dataclass(frozen=True)
class Token:
    """A token, and a user who has it."""

    shell: Shell
    module: str

    def run(self, *words: str, code: int = 0) -> str:
        """Run wherry in a process of its own: the module reads the environment of the process."""
        argv = [sys.executable, "-m", "wherry", *words]
        done = subprocess.run(
            argv, cwd=self.shell.root, env=self.shell.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert PIN not in done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """A SoftHSM token with an EC and an RSA key."""
    util = need("softhsm2-util")
    module = next(filter(os.path.exists, MODULES), "") or pytest.skip("no libsofthsm2.so")
    shell = Shell(tmp_path_factory.mktemp("token") / "home")
    (shell.root / "tokens").mkdir()
    shell.write("softhsm.conf", f"directories.tokendir = {shell.root}/tokens\nlog.level = ERROR\n")
    shell.environment |= {
        "SOFTHSM2_CONF": str(shell.root / "softhsm.conf"), "COSIGN_PKCS11_MODULE_PATH": module,
        "COSIGN_PKCS11_PIN": PIN,
    }  # fmt: skip
    for argv in (
        [util, "--init-token", "--free", "--label", "release", "--so-pin", PIN, "--pin", PIN],
        [sys.executable, "-c", MAKE, module, PIN],
    ):
        subprocess.run(argv, check=True, env=shell.environment, stdout=subprocess.DEVNULL)
    shell.store.tag("api:1", put_image(shell.store, "api"))
    return Token(shell, module)


@pytest.mark.parametrize("key", ["object=signing", "id=%01", "object=rsa"])
def test_signed_by_a_token(token, key):
    """Both formats in one call; the public key is written once, and verifies without the token."""
    uri = f"pkcs11:token=release;{key}"
    name = f"{hashlib.sha256(key.encode()).hexdigest()[:8]}.pub"
    token.shell.write(name, token.run("keys", "public", uri))

    token.run("sign", "--key", uri, "api:1")
    assert "signed  by" in token.run("verify", "--key", name, "api:1")


def test_without_pin_token_or_key(token):
    """Each is an error of ours with what to do, and no traceback."""
    token.shell.write("pin", f"{PIN}\n")
    environment = token.shell.environment
    pin = environment.pop("COSIGN_PKCS11_PIN")
    try:
        words = token.run("sign", "--key", "pkcs11:object=signing", "api:1", code=64)
        assert "no terminal" in words
        token.run("sign", "--key", "pkcs11:object=signing?pin-source=file:pin", "api:1")
        token.run("sign", "--key", "pkcs11:object=signing?pin-source=file:nothing", "api:1", code=66)
        environment["COSIGN_PKCS11_PIN"] = "0000"
        assert "PinIncorrect" in token.run("sign", "--key", "pkcs11:object=signing", "api:1", code=77)
    finally:
        environment["COSIGN_PKCS11_PIN"] = pin
    assert "there are: release" in token.run("sign", "--key", "pkcs11:token=other;object=signing", "api:1", code=66)
    assert "NoSuchKey" in token.run("sign", "--key", "pkcs11:object=other", "api:1", code=66)
    token.shell.write("not.so", "x")
    token.run("sign", "--key", f"pkcs11:object=a?module-path={token.shell.root}/not.so", "api:1", code=69)


def test_nothing_of_the_token_is_kept(token):
    """Neither PIN nor private key is in the store or the cache."""
    token.run("sign", "--key", "pkcs11:object=signing", "api:1")
    folders = [Path(token.shell.environment[name]) for name in ("WHERRY_STORE", "WHERRY_CACHE")]
    kept = b"".join(file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file())
    assert PIN.encode() not in kept
