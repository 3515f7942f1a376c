"""wherry's own lint rules as data: how much each matters, what it says, and what mends it."""

from dataclasses import dataclass

from wherry.finding import Severity


@dataclass(frozen=True, slots=True)
class AdviceRule:
    """One rule."""

    severity: Severity
    message: str
    remedy: str


_NOTE, _WARNING, _ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR

ADVICE = {
    "latest-tag": AdviceRule(
        _WARNING,
        "{0} is `latest`: the next build may get another image",
        "name a version; `wherry resolve IMAGE` prints the digest to pin it with",
    ),
    "unpinned-base": AdviceRule(
        _NOTE,
        "{0} is not pinned: its tag can move to another image",
        "add @sha256:DIGEST behind the tag; `wherry resolve IMAGE` prints it",
    ),
    "root-user": AdviceRule(
        _NOTE, "the image runs as root{0}", "add USER with a numeric id such as 65532:65532 to the final stage"
    ),
    "build-tools-in-final-stage": AdviceRule(
        _WARNING,
        "{0}",
        "compile in a stage of its own, and copy only what it makes: COPY --from=STAGE",
    ),
    "secret-in-arg-or-env": AdviceRule(
        _WARNING,
        "{0}: everyone with the image can read it in the history or the environment",
        "pass it to the step with RUN --mount=type=secret, or to the container when it starts",
    ),
    "go-rebuild-all": AdviceRule(
        _WARNING,
        "`-a` compiles every package each time, the standard library too, and gives the same program",
        "remove -a: Go's build cache knows what changed",
    ),
    "go-installsuffix": AdviceRule(
        _NOTE, "`-installsuffix` changes nothing since Go has a build cache (1.10)", "remove -installsuffix"
    ),
    "go-static-without-cgo": AdviceRule(
        _NOTE,
        "`-extldflags -static` does nothing with CGO_ENABLED=0: no external linker runs",
        "remove it: without cgo the program is static",
    ),
    "go-strip-twice": AdviceRule(
        _NOTE, "`-w` does nothing in addition to `-s`: since Go 1.22, `-s` implies it", "remove -w"
    ),
    "go-empty-build-id": AdviceRule(
        _NOTE,
        "`-buildid=` saves a few dozen bytes, and removes what profilers and symbol servers identify a program by",
        "remove it; -trimpath is what makes builds reproducible",
    ),
    "go-linker-z": AdviceRule(
        _ERROR,
        "Go's linker has no `-z`: the build fails with `flag provided but not defined: -z`",
        "remove it: loaded sections of a program cannot be compressed",
    ),
    "base-cannot-start-program": AdviceRule(
        _WARNING,
        "{0}",
        "compile without the C library (CGO_ENABLED=0 for Go, a musl target for Rust), or use a base that has it",
    ),
    "base-has-no-shell": AdviceRule(
        _WARNING,
        "{0} in shell form needs /bin/sh, which {1} does not have",
        'write it as a JSON array: ["/program", "argument"]',
    ),
    "apt-lists-left": AdviceRule(
        _WARNING,
        "the package lists of `{0} update` stay in the image",
        "end the same RUN with `rm -rf /var/lib/apt/lists/*`, or add --mount=type=cache,target=/var/lib/apt",
    ),
    "apt-cache-mount-missing": AdviceRule(
        _NOTE,
        "{0} is a cache mount, and {1} is not: each build downloads {2} again",
        "add --mount=type=cache,target={1},sharing=locked",
    ),
    "sources-before-dependencies": AdviceRule(
        _WARNING,
        "`{0}` runs again when any file changes: line {1} copies the whole context before it",
        "copy only {2} before this step, and the other files after it",
    ),
}
