"""More Dockerfiles by chance, for corners: globs, links, archives, patterns, expansion, ONBUILD, heredocs, slips."""

import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

_NAMES = ("A", "B", "LONG", "EMPTY", "UNSET", "PATHS")
_TEXTS = ("", "x", "foo", "*", "/", "a b", "o*", "?o", "[f-h]", "foo/bar", "$A", "${B}", "${LONG#*/}", "\\\\$", "é")
_OPERATORS = (":-", "-", ":+", "+", "#", "##", "%", "%%", "/", "//")
_SOURCES = (
    "a*", "?", "[ab]", "[^a]", "d?r", "dir/*", "dir/*/*", "*/x", "*.t?t", "**", "dir/../a", "./dir/.", "dir/sub/",
    "nowhere*", "folder-link", "folder-link/", "folder-link/*", "dir/inner", "dir/broken", "[[]odd]*", "up/*",
    ".hidden", ".*", "deep/*",
)  # fmt: skip
_PARENTS = ("dir/./sub", "./dir/x", "dir/*/y", "*/./x", "dir/./*", "**/y", "dir/sub/y")
_TARGETS = (
    "/", "/t", "/t/", "/t/new/", "/etc", "/etc/passwd", "/bin/", "/lnk", "/lnk/", "/lnk/in/", "/file/x", "../up", "~",
    "$A/", "/w//x/./y/..", "/abs-lnk/", "/dangling", "/dangling/",
)  # fmt: skip
_TAKEN = ("/lnk", "/lnk/", "/etc/*s*", "/dangling", "/abs-lnk/.")
_ARCHIVES = ("pack.tar", "pack.tar.gz", "pack.tar.xz", "pack*", "cut.tar.gz", "nested.gz")
_PATTERNS = (
    "*", "!a", "dir", "!dir/sub", "dir/*", "**/y", "*/x", "!**/x", "d?r/", "/other", "*.txt", "!dir/sub/y", "# note",
    "", "[ab]", "!deep/er", "./a", "dir/../b", "\\!bang", "**", "!z z", "folder-link",
)  # fmt: skip
"""None leaves out all that is in a folder but itself: BuildKit then can't expand a wildcard below it, and we can."""

Maker = Callable[[random.Random], str]


def dockerfile(number: int) -> str:
    """Make the Dockerfile of a number."""
    chance = random.Random(f"corner {number}")  # noqa: S311 - chance that can be had again, not a secret
    lines = ["FROM busybox AS first", "ARG A=foo B= LONG=foo/bar/foo.tar.gz", "ENV EMPTY= PATHS=/a:/b"]
    lines.append(
        "RUN mkdir -p /real && ln -s real /lnk && ln -s /real /abs-lnk && ln -s /no/where /dangling && echo > /file"
    )
    lines += [chance.choice(KINDS)(chance) for _ in range(chance.randint(2, 6))]
    if chance.random() < 0.5:
        lines += [f"ONBUILD {_simple(chance)}", f"ONBUILD {chance.choice(KINDS)(chance)}"]
        lines += [f"FROM {chance.choice(('first', 'FIRST', '0', 'busybox'))} AS second".replace("0 ", "busybox ")]
        lines += ["ARG A", chance.choice(("ARG B=two", "ARG B", "ENV B=three"))]
        lines += [chance.choice(KINDS)(chance) for _ in range(chance.randint(1, 4))]
        lines.append(f"COPY --from={chance.choice(('first', '0', 'FIRST'))} {chance.choice(_TAKEN)} /taken/")
    text = "\n".join(lines) + "\n"
    return _slip(text, chance) if chance.random() < 0.2 else text


def _slip(text: str, chance: random.Random) -> str:
    """Make a typing error."""
    place = chance.randrange(text.index("\n") + 1, len(text))
    match chance.randrange(4):
        case 0:
            return text[:place] + text[place + 1 :]
        case 1:
            return text[:place] + chance.choice("\"'\\$\\{}[]<#=- \n") + text[place:]
        case 2:
            return text[:place] + "\\\n" + text[place:]
        case _:
            return text[:place] + "\n# a comment\n" + text[place:]


def _expansion(chance: random.Random, depth: int = 0) -> str:
    name = chance.choice(_NAMES)
    if chance.random() < 0.15:
        return chance.choice(
            (f"${name}", f"${{{name}}}", f"'${name}'", f'"${name}"', f"\\${name}", f"$${name}", f"${name}x")
        )
    operator = chance.choice(_OPERATORS)
    word = _expansion(chance, depth + 1) if depth < 2 and chance.random() < 0.3 else chance.choice(_TEXTS)
    if operator in ("/", "//"):
        word = f"{chance.choice(('foo', 'o', '*', 'a?', '/', 'x'))}/{word}"
    text = f"${{{name}{operator}{word}}}"
    return f'"{text}"' if " " in text or chance.random() < 0.2 else text


def _variables(chance: random.Random) -> str:
    pairs = " ".join(f"V{place}={_expansion(chance)}" for place in range(4))
    return chance.choice(("ENV {}", "LABEL {}", "ENV {}", "ARG {}")).format(pairs)


def _copy(chance: random.Random) -> str:
    flags = ""
    for flag, values in (
        ("exclude", ("**/y", "*", "dir", "x", "!dir/x", "sub/*", "*/sub")),
        ("exclude", ("dir/sub", "[ab]", ".*")),
        ("chmod", ("0700", "u+s", "a=rX", "go=", "1755")),
        ("chown", ("1:2", "daemon", "nobody:daemon", "12345", "3:")),
    ):
        if chance.random() < 0.2:
            flags += f"--{flag}={chance.choice(values)} "
    flags += chance.choice(("", "", "", "--parents ", "--link "))
    if "--link" in flags:
        flags = flags.replace("--chown=daemon ", "").replace("--chown=nobody:daemon ", "")
    sources = [chance.choice(_SOURCES) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    if "--parents" in flags:
        sources = [chance.choice(_PARENTS) for _ in sources]
    return f"COPY {flags}{' '.join(sources)} {chance.choice(_TARGETS)}"


def _archive(chance: random.Random) -> str:
    flags = chance.choice(("", "", "--chown=5:6 ", "--unpack=false ", "--unpack=true ", "--chmod=700 "))
    return f"ADD {flags}{chance.choice(_ARCHIVES)} {chance.choice(_TARGETS)}"


def _heredoc(chance: random.Random) -> str:
    return chance.choice(
        (
            "RUN <<EOF\necho one > /said\necho $A >> /said\nEOF",
            "RUN <<'EOF' cat > /said\n$A ${B:-b}\n\ttab\nEOF",
            "RUN <<-EOF\n\techo tab > /said\n\tEOF",
            "RUN <<EOF\n#!/bin/sh -e\necho script $0 > /said\nEOF",
            "RUN <<ONE cat <<TWO > /said\nfirst\nONE\nsecond\nTWO",
            'COPY <<one <<"two" /docs/\n$A\none\n$A\ntwo',
            "COPY --chmod=600 --chown=7 <<.conf /docs/\nx=${LONG##*/}\n.conf",
            'ADD <<file /docs/renamed\n\\$A \\\\ "$B"\nfile',
            "COPY <<EOF a /docs/\nwith a file\nEOF",
            "RUN cat <<EOF > /said && echo $A >> /said\nplain\nEOF",
        )
    )


def _simple(chance: random.Random) -> str:
    return chance.choice(
        (
            f"WORKDIR {chance.choice(('/lnk/sub', 'rel/${A}', '/abs-lnk', '$EMPTY/w', '../..', '/new/a b'))}",
            f"USER {chance.choice(('daemon', 'nobody:daemon', '${UNSET:-1}', '4:5', '$A'))}",
            "ENV A = b c",
            "ENV A b   c",
            f'LABEL a.b={_expansion(chance)} "c d"=e',
            f"EXPOSE {chance.choice(('${UNSET:-80}/tcp', '80-82/udp', '1 2 1', '70000', '80/xyz'))}",
            f"VOLUME {chance.choice(('$A', '[]', '[', '/x /x', '[1]'))}",
            "RUN id -u > /id-$(id -u) 2>/dev/null; true",
            "RUN echo $A:$B:$EMPTY:$V0:$V1 > /tmp/seen",
            'RUN ["sh", "-c", "echo $A > /tmp/exec"]',
            "RUN rm -rf /real && mkdir /real; echo new > /real/new",
            "CMD [ \"a\", 'b' ]",
            "ENTRYPOINT exec $A",
            "STOPSIGNAL ${UNSET:-TERM}",
            "HEALTHCHECK --interval=1.5s --timeout=0s CMD $A",
            "run echo lower > /lower",
            "ARG EMPTY PATHS=/c",
        )
    )


KINDS: tuple[Maker, ...] = (_variables, _variables, _copy, _copy, _copy, _copy, _archive, _heredoc, _simple, _simple)


def lay_more(folder: Path, number: int) -> None:
    """Add links, archives, odd names, and patterns by chance to the context that the others have."""
    chance = random.Random(f"context {number}")  # noqa: S311 - as above
    (folder / "folder-link").symlink_to("dir")
    (folder / "up").symlink_to("../context/dir")
    (folder / "[odd]name").write_text("odd\n")
    (folder / ".hidden").write_text("hidden\n")
    (folder / "!bang").write_text("bang\n")
    for name, mode in (("pack.tar", "w"), ("pack.tar.gz", "w:gz"), ("pack.tar.xz", "w:xz")):
        with tarfile.open(folder / name, mode) as tar:  # type: ignore[call-overload] # the mode is no literal
            _fill(tar)
    (folder / "cut.tar.gz").write_bytes((folder / "pack.tar.gz").read_bytes()[:-30])
    (folder / "nested.gz").write_bytes(b"no archive")
    if chance.random() < 0.6:
        (folder / ".dockerignore").write_text("\n".join(chance.sample(_PATTERNS, chance.randint(1, 5))) + "\n")


def _fill(tar: tarfile.TarFile) -> None:
    def entry(name: str, kind: bytes = tarfile.REGTYPE, **values: object) -> None:
        made = tarfile.TarInfo(name)
        made.type, made.mtime, made.mode = kind, 1_600_000_000, 0o750
        for key, value in values.items():
            setattr(made, key, value)
        content = b"in the archive\n" if kind == tarfile.REGTYPE else b""
        made.size = len(content)
        tar.addfile(made, io.BytesIO(content))

    entry("pack/", tarfile.DIRTYPE, uid=3, gid=4)
    entry("pack/one", uid=11, gid=12, mode=0o4755)
    entry("pack/soft", tarfile.SYMTYPE, linkname="one", uid=5)
    entry("pack/hard", tarfile.LNKTYPE, linkname="pack/one")
    entry("./deep/without/parents")
    entry("lnk/through")
    entry("pack/away", tarfile.SYMTYPE, linkname="/etc")
