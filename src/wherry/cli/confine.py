"""`wherry confine IMAGE`: what a runtime has to be told, since an image can't say it."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("confine", cls=GroupedCommand)
@click.argument("name", metavar="IMAGE", shell_complete=images)
@click.option(
    "--emit",
    type=click.Choice(["oci", "kubernetes"]),
    default="oci",
    help="oci: a config.json for runc or crun. kubernetes: fields of a pod's template. [default: oci]",
)
@click.option("--no-dev", is_flag=True, help="oci: a /dev with null and zero, and nothing else.")
@click.option("--dev", default="/run/wherry/dev", metavar="DIR", help="oci: the host's directory for that /dev.")
@click.option(
    "--no-proc-mounts",
    is_flag=True,
    help="oci: a /proc with processes only: no /proc/mounts, /proc/cpuinfo or /proc/sys. Needs Linux 5.8.",
)
@click.option("--tmp", is_flag=True, help="Add a /tmp that the program can write to, in memory.")
@click.option(
    "--network", type=click.Choice(["none", "host"]), default="none", help="oci: loopback only, or the host's network."
)
@click.option(
    "--platform", metavar="PLATFORM", help="Of an image with several: this platform.", shell_complete=platforms
)
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    world: World,
    /,
    *,
    name: str,
    emit: str,
    no_dev: bool,
    dev: str,
    no_proc_mounts: bool,
    tmp: bool,
    network: str,
    platform: str | None,
) -> int:
    """Write the configuration that confines a container of IMAGE: what an image itself can't say.

    No capability, no new privilege, the image's numeric user, a root that is only read, and with --no-dev no device but
    null and zero. An image holds no device nodes anyway: runtimes make six of them in every container, unless /dev is
    a directory of the host, which --no-dev uses. /proc has to stay, since runc does not start without it;
    --no-proc-mounts makes it small.
    """
    from wherry.analysis.confine.runtime_config import Tightness
    from wherry.app.confine import runtime_configuration

    how = Tightness(
        no_dev=no_dev, dev=dev, only_processes=no_proc_mounts, host_network=network == "host", temporary=tmp
    )
    text, before = runtime_configuration(world, name, emit, how, platform=platform)
    for line in before:
        world.note(f"  first, on the host: {line}")
    for line in text.splitlines():
        world.say(line)
    return 0
