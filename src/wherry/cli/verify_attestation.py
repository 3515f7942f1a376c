"""`wherry verify-attestation IMAGE`: verify that an image has a signed statement, such as an SBOM."""

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import with_options
from wherry.cli.signing_options import REACH, SIGNER, allow_insecure, say_verified, wanted_signer
from wherry.cli.world import World


@click.command("verify-attestation", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    required=True,
    help="Such as slsaprovenance1, spdxjson, cyclonedx, openvex, or a URI.",
)
@with_options(SIGNER, REACH)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    image: str,
    kind: str,
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
    """Verify that IMAGE has a statement of a type that is signed by a key or an identity.

    With --json, the statements that are good are printed whole. Exits as `wherry verify` does.
    """
    from wherry.app.verifying import verify_attestation

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
    verified = verify_attestation(world, image, wanted, kind=kind, recursive=recursive)
    return say_verified(world, verified, as_json=as_json, statements=True)
