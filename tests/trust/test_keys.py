"""Keys: cosign's encrypted form and plain PEM, read and written, and files that mean harm."""

import base64
import json
from pathlib import Path

import pytest

from cli_shell import Shell
from wherry.errors import WherryError
from wherry.trust.key_files import MOST_WORK, WrongPassword, read_key, write_key, write_plain_key
from wherry.trust.keys import InvalidKey, KeyKind, PrivateKey, PublicKey

PASSWORD = b"open sesame"


@pytest.fixture(scope="module")
def encrypted() -> tuple[PrivateKey, bytes]:
    """A key and its file; scrypt is paid once."""
    key = PrivateKey.new(KeyKind.ECDSA)
    return key, write_key(key, PASSWORD)


def boxed(file: bytes) -> dict:
    """Give the JSON inside a key file."""
    return json.loads(base64.b64decode(b"".join(file.splitlines()[1:-1])))


def changed(file: bytes, *, label: str = "SIGSTORE", **changes) -> bytes:
    """Give a key file with another JSON inside."""
    box = boxed(file)
    for path, value in changes.items():
        place = box
        *parents, last = path.split("__")
        for parent in parents:
            place = place[parent]
        place[last] = value
    body = base64.b64encode(json.dumps(box).encode()).decode()
    return (
        f"-----BEGIN ENCRYPTED {label} PRIVATE KEY-----\n{body}\n-----END ENCRYPTED {label} PRIVATE KEY-----\n".encode()
    )


@pytest.mark.slow
def test_encrypted_round_trip(encrypted):
    """What is written is read back, under cosign's older label too, and the file holds scrypt's parameters."""
    key, file = encrypted

    assert read_key(changed(file, label="COSIGN"), "k", lambda: PASSWORD).der == key.der
    assert boxed(file)["kdf"]["params"] == {"N": 65536, "r": 8, "p": 1}
    assert key.der not in base64.b64decode(b"".join(file.splitlines()[1:-1]))


@pytest.mark.slow
def test_a_wrong_password(encrypted):
    """It is said, without the password."""
    with pytest.raises(WrongPassword) as caught:
        read_key(encrypted[1], "k.key", lambda: b"hunter2")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"kdf__params__N": 1 << 30},
        {"kdf__params__r": 1 << 20},
        {"kdf__params__p": 1 << 20},
        {"kdf__params__N": 65_535},
        {"kdf__params__N": -1},
        {"kdf__params__N": 1 << 70},
        {"kdf__name": "argon2"},
        {"cipher__nonce": ""},
        {"cipher__name": "none"},
        {"kdf__salt": "!"},
        {"ciphertext": ""},
    ],
)
def test_hostile_parameters(encrypted, changes):
    """A file that asks for gigabytes, or is damaged, is refused before its password is asked for."""

    def asked() -> bytes:
        raise AssertionError("the password was asked for")

    with pytest.raises(InvalidKey):
        read_key(changed(encrypted[1], **changes), "k", asked)

    assert MOST_WORK >= 65536 * 8


@pytest.mark.parametrize("kind", KeyKind)
def test_plain_round_trip(kind):
    """Both kinds sign and verify; nothing else verifies; the same message gives the same signature."""
    key = read_key(write_plain_key(PrivateKey.new(kind)), "k", lambda: b"")
    signature = key.sign(b"message")

    assert key.sign(b"message") == signature
    assert key.public.verifies(signature, b"message")
    assert not key.public.verifies(signature, b"massage")
    assert not key.public.verifies(signature[:-1] + b"x", b"message")
    assert not PrivateKey.new(kind).public.verifies(signature, b"message")
    assert PublicKey.parse(key.public.pem.encode(), "k").der == key.public.der


def test_ed25519ph():
    """What cosign 3 signs with Ed25519 verifies: RFC 8032, section 7.3."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
    key = PrivateKey.of(Ed25519PrivateKey.from_private_bytes(seed), "rfc").public
    signature = bytes.fromhex(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
        "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
    )

    assert key.verifies(signature, b"abc")
    assert not key.verifies(signature, b"abd")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nAAAA\n-----END EC PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 100_000 + b"\n-----END PRIVATE KEY-----\n",
    ],
)
def test_files_that_hold_no_key(text):
    """Each is an error of ours."""
    with pytest.raises(InvalidKey):
        read_key(text, "k", lambda: b"")
    with pytest.raises(InvalidKey):
        PublicKey.parse(text, "k")


def test_keys_that_are_not_signed_with():
    """RSA and other curves are refused by name; their public keys verify."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(InvalidKey):
            PrivateKey.of(key, "k")
    curve = ec.generate_private_key(ec.SECP384R1())
    signature = curve.sign(b"m", ec.ECDSA(hashes.SHA384()))
    assert PublicKey.of(curve.public_key(), "k").verifies(signature, b"m")
    with pytest.raises(InvalidKey):
        PublicKey.of(rsa.generate_private_key(65537, 1024).public_key(), "k")  # noqa: S505 - it is refused


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A shell whose keys have a password."""
    shell = Shell(tmp_path / "here")
    shell.environment["COSIGN_PASSWORD"] = "planted-password"  # noqa: S105 - what a test plants
    return shell


@pytest.mark.slow
def test_the_command_makes_and_reads(wherry):
    """new, public and import, from a file and from a variable; nothing is replaced unless asked."""
    wherry("keys", "new", "-o", "a")
    public = (wherry.root / "a.pub").read_text().rstrip().splitlines()

    assert (wherry.root / "a.key").stat().st_mode & 0o777 == 0o600
    wherry.environment["KEY"] = (wherry.root / "a.key").read_text()
    assert wherry("keys", "public", "env://KEY") == public
    wherry("keys", "new", "-o", "a", code=73)
    wherry("keys", "new", "--type", "ed25519", "--no-password", "-o", "plain")
    wherry("keys", "import", "plain.key", "-o", "b")
    assert (wherry.root / "b.pub").read_text().splitlines() == wherry("keys", "public", "plain.pub")
    wherry("keys", "public", "missing.key", code=66)
    wherry("keys", "public", "env://MISSING", code=66)


def test_no_password_and_no_terminal(wherry):
    """It asks for the variable, and writes nothing."""
    del wherry.environment["COSIGN_PASSWORD"]

    wherry("keys", "new", code=64)

    assert not list(wherry.root.glob("*.key"))


PLUGIN = """#!{python}
import base64, json, sys
from wherry.trust.key_files import read_key
arguments = json.loads(sys.argv[2])
key = read_key(open({file!r}, "rb").read(), "k", bytes)
assert sys.argv[1] == "v1" and arguments["initOptions"]["keyResourceID"] == "slot/1"
if arguments["methodName"] == "publicKey":
    answer = {{"publicKey": {{"publicKeyPEM": base64.b64encode(key.public.pem.encode()).decode()}}}}
elif arguments["methodName"] == "signMessage":
    message = sys.stdin.buffer.read(){lie}
    answer = {{"signMessage": {{"signature": base64.b64encode(key.sign(message)).decode()}}}}
print(json.dumps(answer))
"""


@pytest.mark.slow
def test_a_plug_in(wherry):
    """`NAME://KEY` starts sigstore-kms-NAME; a signature that its own key does not verify is not used."""
    import sys

    from wherry.app.signing_keys import signer_of
    from wherry.cli.world import World

    wherry("keys", "new", "--no-password", "-o", "hsm")
    folder = wherry.root / "bin"
    folder.mkdir()
    for name, lie in (("hsm", ""), ("liar", ' + b"!"')):
        program = folder / f"sigstore-kms-{name}"
        program.write_text(PLUGIN.format(python=sys.executable, file=str(wherry.root / "hsm.key"), lie=lie))
        program.chmod(0o755)
    (folder / "sigstore-kms-mute").symlink_to("/bin/true")
    wherry.environment["PATH"] = f"{folder}:{wherry.environment['PATH']}"
    world = World(None, None, wherry.environment, wherry.root)

    signer = signer_of(world, "hsm://slot/1", lambda _: b"")

    assert signer.public.verifies(signer.sign(b"message"), b"message")
    assert wherry("keys", "public", "hsm://slot/1") == (wherry.root / "hsm.pub").read_text().rstrip().splitlines()
    with pytest.raises(InvalidKey):
        signer_of(world, "liar://slot/1", lambda _: b"").sign(b"message")
    with pytest.raises(WherryError):
        signer_of(world, "mute://slot/1", lambda _: b"").sign(b"message")
    wherry("keys", "public", "awskms://token", code=69)
