"""`wherry build`, carried out and printed: the second half, loaded once the words are understood."""

import time
from contextlib import ExitStack

from wherry.app.build.build import FinishedBuild, OverBudget, finish
from wherry.app.build.go_work import GoRequests
from wherry.app.build.options import DockerfileBuild, GoBuild
from wherry.cli.ahead_runner import AheadRunner
from wherry.cli.keep import keep_build, keep_failure
from wherry.cli.progress_printer import ProgressPrinter
from wherry.cli.replay_transfer import read_our_own, remember_dockerfile, remember_go
from wherry.cli.streams import streams_of
from wherry.cli.words import Voice, printed
from wherry.cli.world import World
from wherry.errors import WherryError
from wherry.report.progress import progress_for
from wherry.source.inputs import Input


def build(world: World, wanted: GoBuild | DockerfileBuild, voice: Voice, key: str = "") -> int:
    """Build what was asked for and print it; give the exit code.

    Args:
        world: where.
        wanted: what.
        voice: how it speaks.
        key: the name of the call, if what it gives may be remembered; for Go modules.
    """
    if isinstance(wanted, DockerfileBuild) and wanted.check:
        from wherry.cli.lint_lines import check

        return check(world, wanted, "json" if voice.as_json else "text", own=False)
    began, began_ns = world.clock(), time.time_ns()
    ahead = isinstance(wanted, GoBuild) and not world.verbose  # with -v, programs that are started are reported
    own: list[Input] = []
    runner = (
        AheadRunner(world.compiler, world.environment, lambda: own.extend(read_our_own(began_ns))) if ahead else None
    )
    if runner:
        world.use(runner)
    done = carry_out(world, wanted, voice)
    if not done.result.unchanged and _on_terminal(world, voice):
        from wherry.app.last_build import pulled_before
        from wherry.report.last_build import lines_of

        for line in lines_of(pulled_before(world, done.result, began), began):
            world.note(line)
    keep_build(world, done, began)
    if not done.call.delivery.stdout:
        for line in printed(done.result, voice):
            world.say(line)
    if isinstance(wanted, DockerfileBuild):
        remember_dockerfile(world, wanted, voice, done, began)
    elif key:
        remember_go(world, key, voice, done, began_ns, own)
    if runner and isinstance(done.call.request, GoRequests):
        runner.keep(world, done.call.request.images)
    return 0


def _on_terminal(world: World, voice: Voice) -> bool:
    return voice.mode == "auto" and world.stderr.isatty()


def carry_out(world: World, wanted: GoBuild | DockerfileBuild, voice: Voice) -> FinishedBuild:
    """Build, with progress on stderr.

    Raises:
        OverBudget: everything is stored and named, and nothing was delivered; `--json` has printed what was built.
    """
    began = world.clock()
    with ExitStack() as stack:
        world.progress = stack.enter_context(progress_for(voice.mode, world.stderr, world.environment, world.clock))
        try:
            return finish(world, wanted, streams_of(world), lambda call: ProgressPrinter(world.progress, call, voice))
        except OverBudget as over:
            keep_failure(world, over, began, over.result)
            if voice.as_json:
                world.say(over.result.document().decode())
            raise
        except WherryError as error:
            keep_failure(world, error, began)
            raise
