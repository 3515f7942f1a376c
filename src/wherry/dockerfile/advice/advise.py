"""wherry's own lint rules, all of them: what `wherry lint` says in addition to BuildKit's build checks."""

from wherry.dockerfile.advice.apt import judge_apt
from wherry.dockerfile.advice.bases import judge_bases
from wherry.dockerfile.advice.dependencies import judge_order
from wherry.dockerfile.advice.go_flags import judge_go_flags
from wherry.dockerfile.advice.hidden_secrets import judge_secrets
from wherry.dockerfile.advice.leftovers import judge_leftovers
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.advice.starts import judge_starts
from wherry.dockerfile.advice.users import judge_user
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.notes import Around
from wherry.dockerfile.parser import parse
from wherry.finding import Finding

_JUDGES = (
    judge_bases,
    judge_user,
    judge_secrets,
    judge_leftovers,
    judge_starts,
    judge_go_flags,
    judge_apt,
    judge_order,
)


def advise(name: str, text: str, around: Around) -> tuple[Finding, ...]:
    """Judge a Dockerfile that can be built by wherry's own rules.

    Args:
        name: of the file, as the user knows it.
        text: the file.
        around: what it would be built with.

    Returns:
        Findings by line. `# check=skip=RULE` skips these rules like BuildKit's; `error=true` makes none of them an
        error, since builds are not judged by them. Nothing of a file that can't be parsed: its error is the finding.

    Cost: each stage is read once, and once by each rule.
    """
    try:
        file = Advised(name, parse(text), around, Checks.of(text, around.arguments))
        for judge in _JUDGES:
            judge(file)
    except DockerfileError:
        return ()
    return file.findings()
