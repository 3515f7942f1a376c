"""`wherry certs [HOST:PORT|ROOT]…`: which certificates an image needs."""

from pathlib import Path

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("certs", cls=GroupedCommand)
@click.argument("wanted", metavar="[HOST:PORT|ROOT]...", nargs=-1)
@click.option("--ca", multiple=True, metavar="FILE", help="Add the certificates of this file.")
@click.option("--ca-only", is_flag=True, help="Leave out all public roots: those of --ca alone.")
@click.option("-o", "--output", metavar="FILE", help="Write the certificates to this file, as PEM.")
@click.option("--offline", is_flag=True, help="Ask no endpoint; roots are named.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    world: World,
    /,
    *,
    wanted: tuple[str, ...],
    ca: tuple[str, ...],
    ca_only: bool,
    output: str | None,
    offline: bool,
    as_json: bool,
) -> int:
    """Find the root certificates that endpoints are verified by, with their expiry; nothing is built.

    Each HOST:PORT is asked now, and verified by Mozilla's roots and those of --ca. A ROOT is named by its common name,
    its organisation or sha256:FINGERPRINT. Without either, all public roots count. A build takes the same words by its
    option --ca-for; for a Dockerfile or a base that is an image, write them to a file and add that.
    """
    from wherry.app.certificates import choose_certificates, write_bundle

    files = tuple(map(Path, ca))
    found = choose_certificates(world, files=files, wanted=wanted, only=ca_only, offline=offline)
    if output:
        write_bundle(found, world.cwd / output)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(found.document).decode())
        return 0
    from wherry.report.terminal import printable, table

    document = found.document
    # The name of an authority is whatever its certificate says.
    rows = [
        (printable(one.name), one.expires, f"sha256:{one.fingerprint}", printable(one.reason)) for one in document.roots
    ]
    for line in table(rows):
        world.say(line)
    world.note(f"{document.bytes:,} bytes; all public roots: {document.before:,}")
    for warning in document.warnings:
        world.note(f"warning: {printable(warning)}")
    return 0
