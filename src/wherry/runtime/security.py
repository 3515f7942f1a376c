"""What a container of `wherry run` may do, in the words of `docker run`.

Source: docker run's reference, "--security-opt", "--cap-add", "--cap-drop", "--network" and "--publish".
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidUsage
from wherry.sandbox.capabilities import DOCKERS, NAMES, chosen
from wherry.sandbox.profile import read_profile

_NOTHING = ("apparmor=unconfined", "label=disable")
"""Options that ask for what is so anyway."""
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Security:
    """What confines a container."""

    capabilities: tuple[int, ...] = DOCKERS
    no_new_privileges: bool = False
    seccomp: str | bytes = "usual"
    """`usual`, `unconfined` or a filter."""
    network: str = "default"
    """`default`, `host` or `none`."""
    ports: tuple[str, ...] = ()
    """Published ones, as ADDRESS/PORT:PORT."""
    few_devices: bool = False
    """/dev has null and zero only."""


def parse_security(options: Sequence[str], add: Sequence[str], drop: Sequence[str], folder: Path) -> Security:
    """Read `--security-opt`, `--cap-add` and `--cap-drop`.

    Args:
        options: as docker's --security-opt has them.
        add: names of capabilities.
        drop: names of capabilities.
        folder: what a relative path of a profile starts from.

    Raises:
        InvalidUsage: an option is not known.
        WherryError: a profile can't be used.
    """
    capabilities = chosen(add, drop)
    no_new_privileges, seccomp = False, "usual"
    filtered: bytes | None = None
    for option in options:
        key, mark, value = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        if key == "no-new-privileges" and value in ("", "true", "false"):
            no_new_privileges = value != "false"
        elif key == "seccomp" and value in ("unconfined", "builtin"):
            seccomp, filtered = "usual" if value == "builtin" else value, None
        elif key == "seccomp" and value:
            filtered = read_profile(folder / value, [NAMES[number] for number in capabilities])
        elif f"{key}{mark}{value}" not in _NOTHING:
            raise InvalidUsage(
                f"--security-opt {option}: unsupported option",
                hint="use no-new-privileges, seccomp=FILE or seccomp=unconfined",
            )
    return Security(capabilities, no_new_privileges, seccomp if filtered is None else filtered)


def parse_port(text: str) -> str:
    """Read `[ADDRESS:][PORT:]PORT[/tcp]` and give it as ADDRESS/PORT:PORT.

    Without an address it is 127.0.0.1: what is tried out is not the neighbours' business. Docker publishes to all.

    Raises:
        InvalidUsage: it is invalid.
    """
    bare, _, protocol = text.partition("/")
    address, _, rest = bare.rpartition(":")[0].rpartition(":") if bare.count(":") > 1 else ("", "", "")
    ports = [rest, bare.rpartition(":")[2]] if address or rest else bare.split(":")
    outside, inside = ports[0] or ports[-1], ports[-1]
    address = address.strip("[]") or "127.0.0.1"
    try:
        ipaddress.ip_address(address)
        numbers = [int(port) for port in (outside, inside)]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number <= _LAST_PORT for number in numbers) or protocol not in ("", "tcp"):
        raise InvalidUsage(
            f"-p {text}: invalid port", hint="write it as [ADDRESS:]PORT:PORT, such as 8080:80; only TCP is published"
        )
    return f"{address}/{numbers[0]}:{numbers[1]}"
