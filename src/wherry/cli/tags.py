"""`wherry tags REPOSITORY`: list the tags of a repository."""

import json

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.options import TIMEOUT
from wherry.cli.world import World


@click.command("tags", cls=GroupedCommand)
@click.argument("repository", metavar="REPOSITORY")
@click.option("--digests", is_flag=True, help="Also print each tag's digest; takes one request per tag.")
@click.option("--insecure", is_flag=True, help="Allow plain HTTP and untrusted certificates.")
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, repository: str, digests: bool, insecure: bool, as_json: bool) -> None:
    """List the tags of REPOSITORY, such as localhost:5000/api."""
    from wherry.app.transfer import tags, trust

    if insecure:
        trust(world, f"docker://{repository.removeprefix('docker://')}")
    found = tags(world, repository, digests=digests)
    if as_json:
        from wherry.oci.reference import Reference

        name = Reference.parse(repository.removeprefix("docker://"), default_tag="").name
        listed: object = found if digests else list(found)
        world.say(json.dumps({"repository": name, "tags": listed}, indent=2))
        return
    from wherry.report.terminal import table

    for line in table(list(found.items())) if digests else found:
        world.say(line)
