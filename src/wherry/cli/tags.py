"""`wherry tags REPOSITORY`: what a registry has under a name."""

import json

import click

from wherry.cli.world import World


@click.command("tags")
@click.argument("repository", metavar="REPOSITORY")
@click.option("--digests", is_flag=True, help="Also print what each tag leads to; one request a tag.")
@click.option("--insecure", is_flag=True, help="Speak plain HTTP, or to a host whose certificate isn't trusted.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, repository: str, digests: bool, insecure: bool, as_json: bool) -> None:
    """List the tags of REPOSITORY, such as localhost:5000/api."""
    from wherry.oci.reference import Reference

    reference = Reference.parse(repository.removeprefix("docker://"), default_tag="")
    if insecure:
        world.insecure.add(reference.registry)
    source = world.registries.source(reference)
    if not (digests or as_json):
        for tag in source.tags():
            world.say(tag)
        return
    found = {tag: str(source.resolve(tag).digest) if digests else "" for tag in source.tags()}
    if as_json:
        listed: object = found if digests else list(found)
        world.say(json.dumps({"repository": str(source), "tags": listed}, indent=2))
        return
    from wherry.report.terminal import table

    for line in table(list(found.items())):
        world.say(line)
