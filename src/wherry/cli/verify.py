"""`wherry verify IMAGE`: verify that an image is signed by a key or an identity."""

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import with_options
from wherry.cli.signing_options import REACH, SIGNER, allow_insecure, say_verified, wanted_signer
from wherry.cli.world import World


@click.command("verify", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@with_options(SIGNER, REACH)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    image: str,
    keys: tuple[str, ...],
    identity: str | None,
    identity_regexp: str | None,
    issuer: str | None,
    trusted_root: str | None,
    annotations: tuple[str, ...],
    recursive: bool,
    insecure: bool,
    as_json: bool,
) -> int:
    """Verify that IMAGE is signed, by cosign 2, cosign 3 or wherry. Nothing but its registry is asked.

    A tag is resolved once; the answer is about the digest that is printed. An image with only an SBOM or a provenance
    is not signed. Exits 0: signed, 1: not signed, 4: signed by another, 69: the registry would not say.
    """
    from wherry.app.verifying import verify

    allow_insecure(world, image, insecure=insecure)
    wanted = wanted_signer(
        world,
        keys=keys,
        identity=identity,
        identity_regexp=identity_regexp,
        issuer=issuer,
        trusted_root=trusted_root,
        annotations=annotations,
    )
    return say_verified(world, verify(world, image, wanted, recursive=recursive), as_json=as_json)
