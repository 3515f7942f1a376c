"""`wherry admission policy --for ENGINE`: the policy in the language of another engine."""

import click

from wherry.cli.admission_options import judging, source_of
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

_ENGINES = ("vap", "kyverno", "gatekeeper", "policy-controller")


@click.command("policy", cls=GroupedCommand)
@click.option("--for", "engine", type=click.Choice(_ENGINES), required=True, help="The engine that judges pods.")
@judging
@click.option("--name", default="wherry", metavar="NAME", help="Begin names of documents so. [default: wherry]")
@click.option(
    "--namespaces", "labels", multiple=True, metavar="KEY=VALUE",
    help="Be for namespaces with this label only. Can be repeated.",
)  # fmt: skip
@click.option("--provider", default="", metavar="URL", help="Address of wherry's server, for Gatekeeper.")
@click.option("--ca", default="", metavar="FILE", help="Authority of that server's certificate, in PEM.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    engine: str,
    configuration: str | None,
    policy: str | None,
    mode: str | None,
    exempt: tuple[str, ...],
    insecure: tuple[str, ...],  # noqa: ARG001 - nothing is asked here
    name: str,
    labels: tuple[str, ...],
    provider: str,
    ca: str,
) -> None:
    """Print what an engine can express of a policy, as YAML to apply, and what it can't.

    vap is Kubernetes' own ValidatingAdmissionPolicy: digests and registries, no signatures. kyverno and
    policy-controller verify signatures and attestations. gatekeeper asks the server of `wherry admission serve`, which
    judges all of it. What is left out is printed to stderr, and as comments above the documents.
    """
    from wherry.app.admission.engines.common import EngineOptions, PolicyEngine
    from wherry.app.admission.engines.write import engine_policy, yaml_of

    wanted = dict(_label(one) for one in labels) or None
    options = EngineOptions(name=name, labels=wanted, provider=provider, authority=_authority(world, ca))
    source = source_of(configuration, policy, mode, exempt)
    made = engine_policy(world, source, PolicyEngine(engine), options)
    for gap in made.gaps:
        world.note(f"left out: {gap}")
    if made.documents:
        world.say(yaml_of(made).rstrip("\n"))


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InvalidUsage(f"--namespaces {text}: not KEY=VALUE", hint="such as --namespaces wherry=on")
    return key, value


def _authority(world: World, file: str) -> str:
    from wherry.errors import NotFound
    from wherry.store.files import read_regular

    if not file:
        return ""
    content = read_regular((world.cwd / file).resolve(), 1 << 20)
    if content is None:
        raise NotFound(f"--ca {file}: not found", hint="give a file in PEM, such as the server's --ca-file")
    return content.decode(errors="replace")
