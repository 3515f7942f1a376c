"""Bytes, numbers, addresses and lengths in a Dockerfile that are meant to break its reader: each ends in a message."""

from pathlib import Path

import pytest

from cli_shell import Shell
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.parser import parse
from wherry.source.git_address import without_credentials

IN_JSON = [
    b'CMD ["b\xff"]', b'ENTRYPOINT ["b\xff"]', b'SHELL ["b\xff"]', b'VOLUME ["/\xff"]', b'RUN ["b\xff"]',
    b'HEALTHCHECK CMD ["b\xff"]', b'COPY ["a\xff", "/x"]', b'ADD ["a\xff", "/x"]', b'CMD ["b", "c\xc3"]',
    b'CMD ["a \\\n b\xff"]',
]  # fmt: skip
WITH_ZERO = [
    b"ENV A=\0", b"LABEL a=\0", b"COPY a\0 /x", b"COPY a /x\0y", b"WORKDIR /a\0b", b"USER \0", b"RUN x\0y", b"CMD x\0",
    b'CMD ["\\u0000"]', b"RUN --mount=type=cache,target=/\0 x", b"RUN --mount=type=bind,source=\0,target=/a x",
    b"ADD http://127.0.0.1:9/\0 /x", b"ARG A=\0", b"VOLUME /\0", b"ONBUILD COPY a\0 /x", b"FROM a\0",
]  # fmt: skip
WRONG = {
    b"ADD http://[::1/ /x": "http://[::1/: invalid URL",
    b"ADD http://127.0.0.1:99999/ /x": "http://127.0.0.1:99999/: invalid URL",
    b"ADD http://127.0.0.1:9/\xff /x": "http://127.0.0.1:9/\ufffd: invalid URL",
    b"COPY --chown=99999999999999999 a /x": "user 99999999999999999: the highest ID is 4294967294",
    b"COPY --chown=0:4294967295 a /x": "group 4294967295: the highest ID is 4294967294",
    b"USER 99999999999999999\nWORKDIR /x": "the highest ID is 4294967294",
}


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A folder with a file."""
    shell = Shell(tmp_path / "home")
    shell.environment.pop("WHERRY_DEBUG")
    shell.write("a", "a")
    return shell


@pytest.mark.parametrize("line", IN_JSON)
def test_bytes_in_json_that_are_no_text(wherry: Shell, line: bytes):
    """Go's reader would put U+FFFD there: another program, another path than was written. It is refused at its line."""
    (wherry.root / "Dockerfile").write_bytes(b"FROM scratch\n" + line + b"\n")

    wherry("build", ".", code=65)

    word = line.split()[0].decode()
    assert f"Dockerfile:2: {word}: its bytes " in wherry.err
    assert "are not UTF-8" in wherry.err
    assert "internal error" not in wherry.err


@pytest.mark.parametrize("line", WITH_ZERO)
def test_zero_bytes(line: bytes):
    """No argument, variable or path can hold one; it would end a name where a check read on."""
    with pytest.raises(DockerfileError) as caught:
        parse(f"FROM scratch\n{line.decode()}\n")

    assert "zero byte" in caught.value.message
    assert caught.value.lines is not None
    assert caught.value.lines.first == 2


def test_a_heredoc_may_hold_any_bytes(wherry: Shell):
    """What COPY writes is a file's content."""
    (wherry.root / "Dockerfile").write_bytes(b"FROM scratch\nCOPY <<end /x\n\xff\0\nend\n")

    wherry("build", "-q", "-o", "type=local,dest=out", ".")

    assert (wherry.root / "out" / "x").read_bytes() == b"\xff\0\n"


@pytest.mark.parametrize("line", WRONG)
def test_addresses_and_ids_that_are_none(wherry: Shell, line: bytes):
    """Each at its line, and not as a failure of wherry or of its sandbox."""
    (wherry.root / "Dockerfile").write_bytes(b"FROM scratch\n" + line + b"\n")

    wherry("build", ".", code=69 if b"http" in line else 64)

    assert "--user" not in wherry.err  # no option of build

    assert f"Dockerfile:{1 + len(line.splitlines())}: " in wherry.err
    assert WRONG[line] in wherry.err
    assert "internal error" not in wherry.err


def test_credentials_are_looked_for_in_long_lines():
    """In time that grows with the line; with its square, these four megabytes would take days."""
    assert without_credentials("a" * (4 << 20)) == "a" * (4 << 20)
    assert without_credentials("b" * 100 + "https://user:word@host/x") == "b" * 100 + "https://xxxxx:xxxxx@host/x"
