"""`wherry ci init`: a step of CI that verifies modules."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("ci", cls=GroupedCommand)
@click.argument("action", metavar="init", type=click.Choice(["init"]))
@click.option(
    "--for", "system", type=click.Choice(["github", "gitlab"]), help="CI system. [default: by the repository's files]"
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--stdout", "show", is_flag=True, help="Print it instead of writing a file.")
@click.pass_obj
def command(world: World, /, *, action: str, system: str | None, force: bool, show: bool) -> None:
    """Write a step for GitHub Actions or GitLab that fails when a module was tampered with.

    It runs `go mod vendor` and demands that this changes nothing, where there is a vendor/, and `wherry modules verify`
    with the checksum database on.
    """
    from wherry.app.ci import ci_step, write_ci_step

    assert action == "init"  # noqa: S101 - click takes no other
    step = ci_step(world, system or "")
    if show:
        world.stdout.write(step.text)
    else:
        write_ci_step(step, force=force)
        world.note(f"wrote {step.place}")
    if step.note:
        world.note(step.note)
