"""`wherry attest IMAGE`: sign a statement about an image, such as an SBOM, or attach one unsigned."""

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import with_options
from wherry.cli.signing_options import REACH, allow_insecure, say_signed
from wherry.cli.world import World
from wherry.errors import InvalidDocument, InvalidUsage, NotFound


@click.command("attest", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option("--predicate", metavar="FILE", required=True, help="The document to state, in JSON; - is stdin.")
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    required=True,
    help="Such as slsaprovenance1, spdxjson, cyclonedx, openvex, or a URI.",
)
@click.option("--key", metavar="KEY", help="Private key: a file, env://NAME, or PLUGIN://RESOURCE.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["old", "new", "both"]),
    default="both",
    help="With --key, old: the tag .att; new: Sigstore bundles as referrers. [default: both]",
)
@click.option(
    "--attach",
    type=click.Choice(["referrers", "index", "both"]),
    help="Attach the document unsigned as well: for trivy and oras, in the index for buildx (a new digest), or both.",
)
@with_options(REACH)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    image: str,
    predicate: str,
    kind: str,
    key: str | None,
    form: str,
    attach: str | None,
    recursive: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """State something about IMAGE: sign it by --key, attach it unsigned by --attach, or both.

    An attestation does not make an image signed; `wherry sign` does. Prints NAME@DIGEST.
    """
    from wherry.app.attaching import AttachedDocument, AttachTo
    from wherry.app.attaching import attach as attach_documents
    from wherry.app.signing import SignatureFormat, attest
    from wherry.app.signing_keys import signer_of
    from wherry.cli.passwords import password_for

    if not key and not attach:
        raise InvalidUsage("neither signed nor attached", hint="give --key KEY, --attach referrers, or both")
    document = _predicate(world, predicate)
    allow_insecure(world, image, insecure=insecure)
    signer = signer_of(world, key, password_for(world)) if key else None
    if attach:
        attached = attach_documents(world, image, [AttachedDocument(kind, document)], AttachTo(attach))
        if signer is None:
            _say(world, str(attached), attached.digest, as_json=as_json)
    if signer is not None:
        made = attest(world, image, signer, document, kind=kind, recursive=recursive, form=SignatureFormat(form))
        say_signed(world, made, as_json=as_json)


def _predicate(world: World, name: str) -> bytes:
    """Read the document that is stated; `-` is stdin."""
    from wherry.store.files import read_regular
    from wherry.trust.statement import LARGEST_STATEMENT

    if name == "-":
        document = world.binary_in.read(LARGEST_STATEMENT + 1)
        if len(document) > LARGEST_STATEMENT:
            raise InvalidDocument("stdin", f"more than {LARGEST_STATEMENT} bytes; a statement may have no more")
        return document
    found = read_regular((world.cwd / name).resolve(), LARGEST_STATEMENT)
    if found is None:
        raise NotFound(f"{name}: no such file", hint="give the SBOM, the provenance or another document in JSON")
    return found


def _say(world: World, name: str, digest: str, *, as_json: bool) -> None:
    import json

    world.say(json.dumps({"version": 1, "name": name, "digest": digest}, indent=2) if as_json else name)
