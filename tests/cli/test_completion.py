"""Completion, in the shells that people use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from needs import need
from small_images import put_image
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow


@pytest.fixture
def shell(tmp_path: Path):
    """Runs a script in a shell, where wherry is on PATH and its store has two images."""
    store = DiskStore(tmp_path / "store")
    for name in ("api:dev", "web:1"):
        store.tag(name, put_image(store))
    (tmp_path / "wherry.toml").write_text('[services.worker]\npackage = "./cmd/worker"\n')
    (tmp_path / "cmd" / "worker").mkdir(parents=True)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "WHERRY_STORE": str(tmp_path / "store"),
        "TERM": "dumb",
    }

    def run(program: str, script: str) -> list[str]:
        done = subprocess.run(
            [need(program), *({"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[program]), "-c", script],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1]

    return run


CASES = pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wherry ins", ["inspect"]),
        ("wherry inspect ", ["api:dev", "web:1"]),
        ("wherry inspect api:d", ["api:dev"]),
        ("wherry build w", ["worker"]),
        ("wherry build cmd/", ["cmd/worker/"]),
        ("wherry build --platform linux/ri", ["linux/riscv64"]),
        ("wherry build --platform linux/amd64,linux/arm6", ["linux/amd64,linux/arm64"]),
        ("wherry build --base static-", ["static-notz"]),
        ("wherry build --compression z", ["zstd"]),
        ("wherry build -o type=d", ["type=docker"]),
        ("wherry build -o type=oci,de", ["type=oci,dest="]),
        ("wherry build -o cm", ["cmd/"]),
        ("wherry push --dig", ["--digestfile"]),
    ],
)


@CASES
def test_bash(shell, line, expected):
    """As bash calls it; what stands before a colon or an equals sign is typed already."""
    offered = shell(
        "bash",
        f"eval \"$(wherry completion bash)\"; compopt() {{ :; }}; COMP_WORDBREAKS=' :='; COMP_LINE={line!r}; "
        'COMP_POINT=${#COMP_LINE}; _wherry_completion wherry; printf "%s\\n" "${COMPREPLY[@]}"',
    )

    word = line.rpartition(" ")[2]
    before = word[: max(word.rfind(":"), word.rfind("=")) + 1]
    assert offered == [name.removeprefix(before) for name in expected]


@CASES
def test_fish(shell, line, expected):
    """As fish shows it, descriptions left out."""
    offered = shell("fish", f"wherry completion fish | source; complete -C {line!r}")

    assert [one.partition("\t")[0] for one in offered] == expected


@CASES
def test_zsh(shell, line, expected):
    """As zsh's completion system is handed it."""
    words = line.split(" ")
    offered = shell(
        "zsh",
        "compdef() { :; }; compadd() { for one in ${(P)@[-1]}; do print -r -- $one; done; }\n"
        "_describe() { for one in ${(P)3}; do print -r -- ${${one%:*}//\\\\/}; done; }\n"
        'eval "$(wherry completion zsh)"\n'
        f"words=({' '.join(map(repr, words))}); CURRENT={len(words)}; _wherry_completion",
    )

    assert offered == expected


def test_a_store_that_is_none(shell):
    """Tab never prints an error."""
    assert shell(
        "bash", "WHERRY_STORE=/proc _WHERRY_COMPLETE=bash_complete COMP_WORDS='wherry run x' COMP_CWORD=2 wherry"
    ) == [""]
