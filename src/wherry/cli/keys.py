"""`wherry keys new|public|import|trusted-root`: make keys that sign images, and read them."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

_ACTIONS = ("new", "public", "import", "trusted-root")


@click.command("keys", cls=GroupedCommand)
@click.argument("action", type=click.Choice(_ACTIONS), metavar="new|public|import|trusted-root")
@click.argument("key", metavar="[KEY]", required=False)
@click.option("-o", "--output", metavar="NAME", help="new, import: write NAME.key and NAME.pub. [default: wherry]")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["ecdsa-p256", "ed25519"]),
    default="ecdsa-p256",
    help="Kind of a new key. [default: ecdsa-p256, which every verifier reads]",
)
@click.option("--no-password", is_flag=True, help="Write the private key in plain PEM; cosign cannot sign with it.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    action: str,
    key: str | None,
    output: str | None,
    kind: str,
    no_password: bool,
    force: bool,
) -> None:
    """Make and read keys that sign images.

    `new` makes a key pair in cosign's encrypted format. `public` prints the public key of KEY. `import` writes KEY, a
    private key in PEM, in cosign's encrypted format. `trusted-root` prints the file that cosign 2.6 needs to verify by
    a key, offline.

    KEY is a file, env://NAME, NAME://RESOURCE for the plug-in sigstore-kms-NAME, or for `public` a key in a token:
    pkcs11:token=NAME;object=LABEL. Passwords come from COSIGN_PASSWORD or the terminal, PINs from COSIGN_PKCS11_PIN.
    """
    from wherry.app.signing_keys import public_key_of
    from wherry.cli.passwords import password_for

    if bool(key) != (action in {"public", "import"}):
        raise InvalidUsage(
            f"keys {action}: {'takes no KEY' if key else 'no KEY'}",
            hint=("remove it" if action == "trusted-root" else "`wherry keys new -o NAME` names the files")
            if key
            else f"write: wherry keys {action} KEY",
        )
    if action == "public":
        world.say(public_key_of(world, str(key), password_for(world)).pem.rstrip())
    elif action == "trusted-root":
        _trusted_root(world, output, force=force)
    else:
        _make(world, key or "", output or "wherry", kind, no_password=no_password, force=force)


def _make(world: World, source: str, prefix: str, kind: str, *, no_password: bool, force: bool) -> None:
    from wherry.app.signing_keys import import_key, new_key
    from wherry.cli.passwords import new_password, password_for
    from wherry.trust.keys import KeyKind

    password = None if no_password else new_password(world)
    if source:
        private, public, key = import_key(world, source, prefix, password_for(world), password, force=force)
    else:
        private, public, key = new_key(world, prefix, KeyKind(kind), password, force=force)
    world.note(f"private key: {private.name}{' (not encrypted)' if password is None else ''}; keep it secret")
    world.note(f"public key: {public.name}; its SHA-256 is {key.fingerprint}")
    world.say(str(private))
    world.say(str(public))


def _trusted_root(world: World, output: str | None, *, force: bool) -> None:
    import json

    from wherry.app.signing import EMPTY_ROOT
    from wherry.app.signing_keys import check_file_name
    from wherry.errors import CannotWrite
    from wherry.store.files import replacing

    text = json.dumps(EMPTY_ROOT, indent=2)
    if output is None:
        world.say(text)
        return
    check_file_name(output)
    target = world.cwd / output
    if target.exists() and not force:
        raise CannotWrite(f"{target}: is there already", hint="choose another name, or replace it by --force")
    with replacing(target) as file:
        file.write(f"{text}\n".encode())
    world.say(str(target))
