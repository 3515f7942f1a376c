"""Passwords of keys: from COSIGN_PASSWORD or a terminal, never from the command line."""

import getpass
import os

from wherry.app.signing_keys import Password
from wherry.cli.world import World
from wherry.errors import InvalidUsage

VARIABLE = "COSIGN_PASSWORD"


def password_for(world: World) -> Password:
    """Give what asks for the password of a key."""
    return lambda name: _asked(world, f"Password of {name}: ")


def new_password(world: World) -> bytes:
    """Ask for the password of a new key, twice where it is typed.

    Raises:
        InvalidUsage: there is no terminal to type it in, or it was typed differently.
    """
    first = _asked(world, "Password of the new key: ")
    if VARIABLE not in world.environment and _asked(world, "Again: ") != first:
        raise InvalidUsage("the two passwords differ", hint="run it again; nothing was written")
    return first


def _asked(world: World, prompt: str) -> bytes:
    if VARIABLE in world.environment:
        return os.fsencode(world.environment[VARIABLE])
    if not world.stdin.isatty():
        raise InvalidUsage(
            f"the key needs a password: {VARIABLE} is not set, and there is no terminal to ask",
            hint=f"export {VARIABLE} (it may be empty)",
        )
    return getpass.getpass(prompt).encode()
