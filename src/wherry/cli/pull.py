"""`wherry pull NAME…`: images from registries into the local store."""

import json

import click

from wherry.cli.options import TRANSFER, with_options
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-t", "--tag", "tag", metavar="NAME", help="Name it so in the local store. [default: the same name]")
@with_options(TRANSFER)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    names: tuple[str, ...],
    platforms: tuple[str, ...],
    tag: str | None,
    insecure: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Bring each NAME, such as debian:12 or localhost:5000/api@sha256:…, into the local store.

    What is there is not pulled again; a download that is cut goes on where it was. Prints NAME@DIGEST.
    """
    from wherry.cli.shipping import telling, told
    from wherry.oci.reference import Reference
    from wherry.registry.transfer import Tally, Transfer
    from wherry.report.progress import progress_for
    from wherry.store.over import narrowed, parse_wanted

    if tag and len(names) > 1:
        raise InvalidUsage(f"-t {tag}: one name, and {len(names)} images", hint="pull them one by one")
    references = [Reference.parse(name.removeprefix("docker://")) for name in names]
    if insecure:
        world.insecure |= {reference.registry for reference in references}
    pulled = []
    with progress_for("quiet" if quiet else "auto", world.stderr, world.environment, world.clock) as progress:
        for reference in references:
            with progress.step(f"pull {reference}") as step, world.store.writing():
                remote = world.registries.source(reference)
                found = remote.resolve(str(reference.digest or reference.tag))
                source, root = narrowed(remote, found, parse_wanted(platforms), str(reference))
                tally = Tally(telling(step))
                Transfer(source=source, sink=world.store, tally=tally).move(root)
                own = tag or f"{reference.name}:{reference.tag or f'sha256-{root.digest.short}'}"
                world.store.tag(own, root)
                step.done(told(tally))
            pulled.append((str(Reference.parse(own)), root))
    if as_json:
        found_all = [{"name": name, "digest": root.digest, "mediaType": root.media_type} for name, root in pulled]
        world.say(json.dumps(found_all, indent=2))
        return
    for name, root in pulled:
        world.say(root.digest if quiet else f"{name}@{root.digest}")
