"""Progress of a build on stderr: the steps, then one line a platform, or that nothing changed."""

from wherry.app.build.call import Call
from wherry.app.build.encoding import release_line
from wherry.app.build.go_work import GoRequests
from wherry.app.build.progress import BuildProgress
from wherry.app.build.result import BuildResult, BuiltImage, BuiltPlatform
from wherry.app.progress import Progress
from wherry.bases import Bases
from wherry.build.solver import StepOutcome
from wherry.build.values import Compiled, compiled_of
from wherry.cli.replay_build import unchanged
from wherry.cli.words import Voice
from wherry.plan.graph import BaseOp, CompileOp, FilesLayerOp, Plan, ProgramImageOp
from wherry.plan.ops import LayerOp, StageImageOp
from wherry.report.terminal import size

_REASONS = 3
"""Maximum number of reasons shown for a step; the first are the most telling."""


class ProgressPrinter(BuildProgress):
    """Shows the progress of a build, for both front ends."""

    def __init__(self, progress: Progress, call: Call, voice: Voice) -> None:
        """Take what is built, and how it is shown."""
        super().__init__(progress)
        self._call = call
        self._voice = voice
        self._shown: set[str] = set()

    def begins(self, plan: Plan) -> None:
        """Show which front end was chosen."""
        super().begins(plan)
        if isinstance(self._call.request, GoRequests):
            for request in self._call.request.images:
                self.progress.line(f"{request.package.import_path}  {self._call.why}")

    def finished(self, outcome: StepOutcome) -> None:
        """Show a program that was compiled, and, if asked for, each step and why it was done."""
        super().finished(outcome)
        if self._voice.explain and not isinstance(outcome.step.action, StageImageOp | LayerOp) and not _shown(outcome):
            self.progress.line(_explained(outcome))
        if isinstance(outcome.step.action, CompileOp):
            compiled = compiled_of(outcome.result)
            package = "@".join(filter(None, map(compiled.recipe.get, ("module.package", "module.version"))))
            program = f"{compiled.go.replace('go', 'go ', 1)} ({compiled.origin})  {package}"
            self._once(f"{program}  {_traits(compiled)}")

    def ended(self, result: BuildResult) -> None:
        """Show the result."""
        for notice in result.notices:
            self._once(notice)
        if result.unchanged:
            self.progress.line(unchanged(result.looked_at))
            return
        if self._call.fallback is not None:
            self._once(release_line(self._call.delivery.outputs))
        for image in result.images:
            if image.base:
                self._once(_based(image))
            for platform in image.platforms:
                self.progress.line(_figures(platform))
        self.progress.line(f"stored in {result.seconds:.1f} s")

    def _once(self, line: str) -> None:
        if line not in self._shown:
            self._shown.add(line)
            self.progress.line(line)


def _shown(outcome: StepOutcome) -> bool:
    """Check whether a step of a Dockerfile is already shown as cached."""
    return outcome.cached and not isinstance(outcome.step.action, CompileOp | FilesLayerOp | ProgramImageOp | BaseOp)


def _explained(outcome: StepOutcome) -> str:
    label, bracket, words = outcome.step.name.partition("] ")
    if bracket and label.startswith("["):
        return f"  {words} missed: {'; '.join(outcome.reasons)}"
    if outcome.cached:
        return f"{outcome.step.name}: cached"
    shown = outcome.reasons[:_REASONS]
    more = f" (and {len(outcome.reasons) - len(shown)} more)" if len(outcome.reasons) > len(shown) else ""
    return f"{outcome.step.name}: {'; '.join(shown)}{more}  {outcome.seconds:.2f} s"


def _traits(compiled: Compiled) -> str:
    flags = compiled.recipe["go.flags"]
    linked = f"needs {', '.join(compiled.libraries) or compiled.interpreter}" if compiled.interpreter else "static"
    traits = [
        "trimmed" if "-trimpath" in flags else "with paths",
        "stripped" if "-s" in flags.split() or "-ldflags=-s" in flags else "with symbols",
        linked,
    ]
    if compiled.recipe["go.buildvcs"] == "true":
        traits.append("records its commit")
    return ", ".join(traits)


def _based(image: BuiltImage) -> str:
    words = Bases.EMBEDDED.get(image.base, "")
    first = image.platforms[0]
    below = first.image.manifest.stack[: len(first.image.manifest.stack) - len(first.own)]
    pulled = size(sum(layer.size for layer in below))
    return f"base {image.base}  {words + f' ({pulled} pulled; embedded)' if words else f'{pulled} pulled'}"


def _figures(built: BuiltPlatform) -> str:
    if built.program is None:
        count = len(built.image.manifest.stack)
        return f"{built.platform}  {count} layer{'s' * (count != 1)}  {size(built.pulled)} pulled"
    how = "cached  " if built.program.cached else ""
    unpacked = sum(layer.size for layer in built.own)
    return f"{built.platform}  {how}{size(unpacked)} unpacked above the base  {size(built.pulled)} pulled"
