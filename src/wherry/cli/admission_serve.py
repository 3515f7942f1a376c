"""`wherry admission serve`: the webhook."""

from collections.abc import Mapping

import click

from wherry.cli.admission_options import judging, source_of
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage


@click.command("serve", cls=GroupedCommand)
@judging
@click.option("--address", metavar="ADDRESS", default="0.0.0.0", help="Listen on this address. [default: all of IPv4]")  # noqa: S104 - an API server comes from another machine
@click.option(
    "--port", metavar="PORT", type=click.IntRange(0, 65535), default=8443, help="Listen on this port. [default: 8443]"
)
@click.option("--tls-cert", metavar="FILE", help="The server's certificate in PEM; read again when it changes.")
@click.option("--tls-key", metavar="FILE", help="Its key.")
@click.option(
    "--tls-name",
    multiple=True,
    metavar="NAME",
    help="Make the certificate, for this name of the server. Can be repeated. [default: localhost, 127.0.0.1]",
)
@click.option("--tls-secret", metavar="NAMESPACE/NAME", help="Keep the made certificate in this Secret, for replicas.")
@click.option(
    "--webhook",
    multiple=True,
    metavar="NAME",
    help="Have this webhook configuration trust the made certificate. Can be repeated.",
)
@click.option(
    "--provider",
    multiple=True,
    metavar="NAME",
    help="Have this provider of Gatekeeper trust the made certificate. Can be repeated.",
)
@click.option("--ca-file", metavar="FILE", help="Write the authority of the made certificate to this file.")
@click.option(
    "--drain",
    metavar="SECONDS",
    type=click.FloatRange(0, 300),
    default=5.0,
    help="After SIGTERM, answer requests for so long, and be unready. [default: 5]",
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["plain", "json"]),
    default="plain",
    help="Format of the line for each decision. [default: plain]",
)
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    configuration: str | None,
    policy: str | None,
    mode: str | None,
    exempt: tuple[str, ...],
    insecure: tuple[str, ...],
    address: str,
    port: int,
    tls_cert: str | None,
    tls_key: str | None,
    tls_name: tuple[str, ...],
    tls_secret: str | None,
    webhook: tuple[str, ...],
    provider: tuple[str, ...],
    ca_file: str | None,
    drain: float,
    log_format: str,
) -> None:
    """Serve the webhook that judges images of pods, until SIGTERM.

    Pages: /validate and /mutate for a cluster, /gatekeeper for Gatekeeper's external data, /healthz, /readyz and
    /metrics. Configuration, policies, keys, credentials and certificates are read again when they change; a wrong one
    is refused, and the one before stays.
    """  # fmt: skip
    from wherry.app.admission.configuration import TlsSettings
    from wherry.app.admission.server import ServeOptions, serve
    from wherry.report.admission import json_line, plain_lines

    made = tls_name or tls_secret or webhook or provider or ca_file
    if bool(tls_cert) != bool(tls_key) or (tls_cert and made):
        raise InvalidUsage(
            "admission serve: give --tls-cert and --tls-key, or how to make a certificate", hint="not one, nor both"
        )
    tls = None
    if tls_cert or made:
        tls = TlsSettings(
            certificate=tls_cert or "", key=tls_key or "", names=tls_name or TlsSettings().names,
            secret=tls_secret or "", webhooks=webhook, providers=provider, authority=ca_file or "",
        )  # fmt: skip
    world.insecure |= set(insecure)

    def log(record: Mapping[str, object]) -> None:
        lines = [json_line(record, world.clock())] if log_format == "json" else plain_lines(record)
        for line in lines:
            world.say(line)
        world.stdout.flush()

    source = source_of(configuration, policy, mode, exempt, tls)
    options = ServeOptions(source=source, address=address, port=port, drain=drain)
    serve(world, options, log=log, ready=lambda url: world.note(f"listening on {url}"))
