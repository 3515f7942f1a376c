"""`wherry policy test FILE CASES`: test a policy."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("policy", cls=GroupedCommand)
@click.argument("action", metavar="test", type=click.Choice(["test"]))
@click.argument("file", metavar="FILE")
@click.argument("cases", metavar="CASES")
@click.pass_obj
def command(world: World, /, *, action: str, file: str, cases: str) -> int:
    """Test the policy FILE with CASES: evidence, and whether the policy must accept it.

    A case has a name, `expect` (pass or fail), the rules that must fail, and evidence as `wherry check IMAGE --policy
    FILE --json` prints it. Nothing is fetched. Exits 1 where the policy says something else than a case expects.
    """
    from wherry.app.policy import check_cases
    from wherry.report.policy import case_lines

    assert action == "test"  # noqa: S101 - click takes no other
    judged = check_cases(world, file, cases)
    world.show(case_lines(judged))
    return 0 if all(one.ok for one in judged) else 1
