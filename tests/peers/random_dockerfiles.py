"""Dockerfiles made by chance, each by its number: valid, deterministic, on busybox, with a context that fits."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("a", "b", "dir", "dir/x", "dir/sub", "dir/sub/y", "other", "link", "deep/er", "file.txt", "z z")
TARGETS = ("/", "/w/", "/w/new", "/w/deep/new/", "rel", "rel/", "./", "/etc/", "/home/u/")
_USERS = ("root", "daemon", "nobody", "1000", "1000:1001", "65532:65532", "daemon:wheel")
_MODES = ("644", "0755", "4711", "600", "u=rwx,go=rx", "go-w", "a+X")
_VALUES = ("x", '"two words"', "$A", "${B:-none}", "${A:+set}", "a\\ b", "'$A'", "${A}-${B}", '"q\\"q"')


@dataclass
class Draft:
    """A Dockerfile in the making."""

    chance: random.Random
    lines: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    def one(self, *of: str) -> str:
        """Choose."""
        return self.chance.choice(of)

    def flags(self, **of: tuple[str, ...]) -> str:
        """Choose flags, each with its value, or not."""
        chosen = (f"--{name}={self.one(*values)} " for name, values in of.items() if self.chance.random() < 0.3)
        return "".join(chosen)

    @property
    def text(self) -> str:
        """The Dockerfile."""
        return "\n".join(self.lines) + "\n"


def dockerfile(number: int) -> str:
    """Make the Dockerfile of a number."""
    draft = Draft(random.Random(number))  # noqa: S311 - chance that can be had again, not a secret
    if draft.chance.random() < 0.3:
        draft.lines.append("ARG BASE=busybox")
    for place in range(draft.chance.randint(1, 3)):
        _stage(draft, place)
    return draft.text


def _stage(draft: Draft, place: int) -> None:
    bases = ["busybox", "busybox", "scratch", *draft.stages]
    if draft.lines and draft.lines[0].startswith("ARG BASE"):
        bases.append("${BASE}")
    base = draft.one(*bases)
    name = f"s{place}"
    draft.lines += [f"FROM {base} AS {name}", "ARG A=one", "ARG B"]
    kinds = [kind for kind in KINDS if base != "scratch" or kind is not _run]
    if base == "scratch" or (base in draft.stages and "scratch" in draft.text):
        kinds = [kind for kind in KINDS if kind is not _run]
    for _ in range(draft.chance.randint(2, 7)):
        draft.lines.append(draft.chance.choice(kinds)(draft))
    draft.stages.append(name)


def _copy(draft: Draft) -> str:
    flags = draft.flags(chown=_numeric(), chmod=_MODES, exclude=("**/y", "dir/x", "*.txt"))
    if draft.chance.random() < 0.15:
        flags += "--parents "
    if draft.chance.random() < 0.2:
        flags += "--link "
    sources = [draft.one("a", "b", "dir", "dir/", "dir/*", "*", ".", "d*r", "dir/sub/../x", "./other", "link")]
    if "--parents" in flags and sources == ["."]:
        sources = ["dir"]  # BuildKit can't do the other: '"/": not found'
    if draft.chance.random() < 0.4:
        sources.append(draft.one("a", "dir/x", "file.txt"))
    target = draft.one(*TARGETS) if len(sources) == 1 else draft.one("/w/", "/", "./", "rel/")
    word = "COPY" if "--parents" in flags else draft.one("COPY", "COPY", "ADD")
    return f"{word} {flags}{' '.join(sources)} {target}"


def _numeric() -> tuple[str, ...]:
    """Owners that need no account: a stage may have none."""
    return tuple(user for user in _USERS if user[0].isdigit())


def _json_copy(draft: Draft) -> str:
    return f'COPY ["z z", "{draft.one("/w/", "/q q/", "rel/")}"]'


def _heredoc(draft: Draft) -> str:
    end = draft.one("EOF", '"EOF"', "-EOF")
    return f"COPY {draft.flags(chmod=_MODES)}<<{end} /w/here\n$A and ${{B:-b}}\n\ttab\nEOF"


def _copy_from(draft: Draft) -> str:
    source = draft.one(*draft.stages, "busybox") if draft.stages else "busybox"
    if source != "busybox":
        return f"COPY --from={source} {draft.flags(chown=_numeric(), chmod=_MODES)}/ {draft.one('/from/', '/f/g/')}"
    return f"COPY --from=busybox /etc/passwd {draft.one('/from/', '/etc/other', 'rel/')}"


def _run(draft: Draft) -> str:
    return "RUN " + draft.one(
        "echo $A-${B} > /tmp/said && chmod 640 /tmp/said",
        "mkdir -p /made/deep && touch /made/deep/file && chown 7:8 /made",
        "rm -rf /etc/group /w /made/deep",
        "ln -s /etc/passwd /soft && ln /etc/passwd /hard-$$ && rm /hard-$$; rm -f /soft",
        "echo one > /one && ln -f /one /two",
        "mkdir -p /made && mkfifo -m 600 /made/pipe 2>/dev/null; rm -f /made/pipe; touch /made/kept",
        "chmod 1777 /home; id -u > /tmp/uid; pwd > /tmp/pwd; umask > /tmp/umask",
        "rm -rf /home && mkdir /home && echo new > /home/new",
        "mv /etc /etc2 && cp -a /etc2 /etc && rm -r /etc2",
        "--mount=type=tmpfs,target=/t touch /t/x && echo done > /tmp/tmpfs",
        "--mount=type=bind,target=/ctx cp -r /ctx/dir /tmp/dir 2>/dev/null; true",
        '["/bin/sh", "-c", "echo exec > /tmp/exec"]',
        "true",
    ).replace("$$", "x")


def _metadata(draft: Draft) -> str:
    value = draft.one(*_VALUES)
    return draft.one(
        f"ENV A={value} C={value}",
        f"ENV D {value.strip(chr(34))}",
        f"LABEL l={value} m.n=1",
        f"WORKDIR {draft.one('/w', 'rel', '/a/b/', '$A', '/w/../v')}",
        f"ARG A={value}",
        f"EXPOSE {draft.one('80', '53/udp', '8000-8002', '$PORT 80')}".replace("$PORT", "9"),
        f"VOLUME {draft.one('/v', '[ZQ/v1ZQ, ZQ/v2ZQ]', '/v3 /v4')}".replace("ZQ", '"'),
        f"CMD {draft.one('echo $A', '[ZQshZQ, ZQ-cZQ, ZQxZQ]')}".replace("ZQ", '"'),
        f"ENTRYPOINT {draft.one('run it', '[ZQ/aZQ]', '[]')}".replace("ZQ", '"'),
        f"STOPSIGNAL {draft.one('SIGTERM', '9', 'SIGRTMIN+3')}",
        'SHELL ["/bin/sh", "-ec"]',
        f"HEALTHCHECK {draft.one('NONE', '--interval=5s --retries=2 CMD true', '--timeout=1m CMD [ZQaZQ]')}".replace(
            "ZQ", '"'
        ),
        "MAINTAINER somebody",
        f"USER {draft.one('1000', '0', '0:0', '65532:65532')}",
        f"ONBUILD RUN echo {value}",
    )


KINDS: tuple[Callable[[Draft], str], ...] = (
    _copy, _copy, _copy, _json_copy, _heredoc, _copy_from, _run, _run, _run, _metadata, _metadata, _metadata, _metadata,
)  # fmt: skip


def lay_context(folder: Path) -> None:
    """Lay the context that they all have."""
    folder.mkdir(parents=True)
    for name in ("dir/sub", "deep", "other"):
        (folder / name).mkdir(parents=True)
    for place, name in enumerate(("a", "b", "dir/x", "dir/sub/y", "deep/er", "file.txt", "z z", "other/hidden")):
        file = folder / name
        file.write_text(f"{name} {place}\n" * (place + 1))
        file.chmod((0o644, 0o755, 0o600, 0o640)[place % 4])
    (folder / "link").symlink_to("dir/x")
    (folder / "dir" / "inner").symlink_to("sub/y")
    (folder / "dir" / "broken").symlink_to("/nowhere")
    (folder / "other").chmod(0o2775)
    (folder / ".dockerignore").write_text("Dockerfile*\n.dockerignore\nother/hid*\n")
