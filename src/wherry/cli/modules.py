"""`wherry modules verify`: module cache, vendor/ and go.sum, checked against each other and the checksum database."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("modules", cls=GroupedCommand)
@click.argument("action", metavar="verify", type=click.Choice(["verify"]))
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@click.option("--offline", is_flag=True, help="Ask and download nothing; use what earlier runs and Go kept.")
@click.option("--no-vendor", is_flag=True, help="Do not look at vendor/.")
@click.option("--no-sumdb", is_flag=True, help="Do not compare go.sum with the checksum database.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole document; `wherry help modules` explains it.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World, /, *, action: str, folder: str, offline: bool, no_vendor: bool, no_sumdb: bool, as_json: bool
) -> int:
    """Verify the modules that the Go module in DIR is built of. `go mod verify` checks the module cache only.

    Each zip in the module cache is hashed and compared with go.sum; what is unpacked of it, and what vendor/ has of
    it, are compared with the zip file by file. vendor/modules.txt is compared with go.mod. Each line of go.sum is
    proved in the checksum database: signed tree head, inclusion, and growth since the last run.

    Exits 1 where something is wrong, 69 where nothing is wrong but something could not be verified.
    """
    from wherry.app.modules import ModulesOptions, verify_modules

    assert action == "verify"  # noqa: S101 - click takes no other
    options = ModulesOptions(folder=folder, offline=offline, vendor=not no_vendor, database=not no_sumdb)
    document = verify_modules(world, options)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(document).decode())
    else:
        from wherry.report.modules import lines_of

        world.show(lines_of(document))
    if document.findings:
        return 1
    return 69 if document.unverified else 0
