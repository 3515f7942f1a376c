"""`wherry sign IMAGE`: sign an image by a key, so that cosign 2, cosign 3 and admission controllers accept it."""

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import with_options
from wherry.cli.signing_options import REACH, SIGNING, allow_insecure, pairs, say_signed
from wherry.cli.world import World


@click.command("sign", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option(
    "-a", "--annotation", "annotations", metavar="KEY=VALUE", multiple=True, help="Let the signature say this as well."
)
@with_options(SIGNING, REACH)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    image: str,
    key: str,
    form: str,
    annotations: tuple[str, ...],
    recursive: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Sign IMAGE, in a registry, the local store or a layout folder, by its digest.

    Nothing is uploaded to a transparency log. Signing again with the same key adds nothing. `wherry help sign` has the
    commands of cosign 2 and 3 that verify. Prints NAME@DIGEST.
    """
    from wherry.app.signing import SignatureFormat, sign
    from wherry.app.signing_keys import signer_of
    from wherry.cli.passwords import password_for

    allow_insecure(world, image, insecure=insecure)
    said = pairs(annotations)
    signer = signer_of(world, key, password_for(world))
    signed = sign(world, image, signer, annotations=said, recursive=recursive, form=SignatureFormat(form))
    say_signed(world, signed, as_json=as_json)
