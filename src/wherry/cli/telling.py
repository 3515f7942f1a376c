"""What a build tells on stderr, step by step or in one line where nothing changed."""

from contextlib import ExitStack

from wherry.app.progress import Progress, Step
from wherry.bases import Bases
from wherry.build.engine import Outcome
from wherry.build.values import Compiled, compiled_of
from wherry.cli.release import EVERYWHERE, SMALLEST, why_not_zstd
from wherry.cli.requests import Asked
from wherry.pipeline import Built, BuiltPlatform, Report
from wherry.plan.steps import Compile
from wherry.report.terminal import size

_REASONS = 3
"""How many reasons of one step are told; the first say most."""


class Teller:
    """Says on stderr what a build does, step by step or in one line where nothing changed."""

    def __init__(self, progress: Progress, asked: Asked, stack: ExitStack) -> None:
        self._progress = progress
        self._asked = asked
        self._stack = stack
        self._told: set[str] = set()
        self._running: Step | None = None

    def begin(self) -> None:
        """Tell which front door was taken, and that work begins."""
        for request in self._asked.requests:
            self._progress.line(f"{request.package.import_path}  {self._asked.door}")
        count = len(self._asked.requests) * len(self._asked.requests[0].platforms)
        self._running = self._stack.enter_context(self._progress.step("building"))
        if count > 1:
            self._running.detail(f"{count} programs")

    def said(self, step: str, text: str) -> None:
        """Pass on what the compiler had to say."""
        for line in text.splitlines():
            self._progress.line(f"  {step}: {line}")

    def finished(self, outcome: Outcome) -> None:
        """Tell of a program that was compiled, and, asked for it, of each step and why it was done."""
        if self._asked.explain:
            self._progress.line(_explained(outcome))
        if not isinstance(outcome.step.action, Compile):
            return
        compiled = compiled_of(outcome.result)
        package = "@".join(filter(None, map(compiled.recipe.get, ("module.package", "module.version"))))
        program = f"{compiled.go.replace('go', 'go ', 1)} ({compiled.origin})  {package}"
        self._once(f"{program}  {_traits(compiled)}")
        if self._running and not outcome.cached:
            self._running.detail(f"{outcome.step.action.platform} compiled in {outcome.seconds:.1f} s")

    def end(self, report: Report) -> None:
        """Tell what came out."""
        for notice in report.notices:
            self._once(notice)
        if report.unchanged:
            self._progress.line(f"nothing changed ({report.looked_at} files looked at)")
            return
        if any(self._asked.releases):
            self._once(_released(self._asked))
        for image in report.images:
            self._once(_based(image))
            for platform in image.platforms:
                self._progress.line(_figures(platform))
        if self._running:
            self._running.done(f"stored in {report.seconds:.1f} s")

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._progress.line(line)


def _explained(outcome: Outcome) -> str:
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


def _released(asked: Asked) -> str:
    reason = why_not_zstd(asked.outputs)
    if reason:
        return f"release: {' '.join(map(str, EVERYWHERE))}, since {reason}"
    return f"release: {' '.join(map(str, SMALLEST))}, which Docker before 23 and containerd before 1.5 can't unpack"


def _based(image: Built) -> str:
    name = image.request.base
    words = Bases.EMBEDDED.get(name, "")
    first = image.platforms[0]
    below = first.image.manifest.stack[: len(first.image.manifest.stack) - len(first.own)]
    pulled = size(sum(layer.size for layer in below))
    return f"base {name}  {words + f' ({pulled} pulled; embedded)' if words else f'{pulled} pulled'}"


def _figures(built: BuiltPlatform) -> str:
    compiled = built.compile_outcome
    how = "cached" if compiled.cached else f"compiled in {compiled.seconds:.1f} s"
    unpacked = sum(layer.size for layer in built.own)
    pulled = sum(layer.size for layer in built.image.manifest.stack)
    return f"{built.platform}  {how}  {size(unpacked)} unpacked above the base  {size(pulled)} pulled"
