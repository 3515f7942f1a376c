"""`wherry admission try FILE`: the webhook's verdicts without a cluster."""

import click

from wherry.cli.admission_options import judging, source_of
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("try", cls=GroupedCommand)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@judging
@click.option(
    "-n",
    "--namespace",
    metavar="NAME",
    default="default",
    help="Namespace of objects that name none. [default: default]",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 600),
    default=30.0,
    help="Wait so long for registries. [default: 30]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each object.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    files: tuple[str, ...],
    configuration: str | None,
    policy: str | None,
    mode: str | None,
    exempt: tuple[str, ...],
    insecure: tuple[str, ...],
    namespace: str,
    timeout: float,
    as_json: bool,
) -> int:
    """Judge the objects of manifests as the webhook would if they were created now; FILE may be `-`.

    Tags are judged as what they stand for now. Nothing is changed, and no cluster is asked, but where the configuration
    asks for pull secrets. Exits 1 where an object would be refused.
    """
    from wherry.app.admission.trial import try_manifests
    from wherry.report.admission import document, lines_of

    world.insecure |= set(insecure)
    source = source_of(configuration, policy, mode, exempt)
    texts = {name: world.stdin.read() if name == "-" else None for name in files}
    tried = try_manifests(world, source, texts, namespace=namespace, timeout=timeout)
    if as_json:
        import json

        for one in tried:
            world.say(json.dumps(document(one)))
    else:
        world.show(lines_of(tried))
    return 1 if any(not one.reviewed.answer.allowed for one in tried) else 0
