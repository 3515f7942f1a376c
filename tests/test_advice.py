"""Advice that works: each command that a message, a hint, an example or a page names is one, and is run.

A command is what stands in backquotes or in a console block and starts with `wherry`. Its placeholders are filled in,
and it is run in a folder with a module, a Dockerfile, images and a registry; `PARSED_ONLY` has those that cannot be.
"""

import ast
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli_shell import Shell
from needs import need
from registries import distribution
from vulnerable import write_archive, write_database
from wherry.cli.examples import EXAMPLES
from wherry.cli.main import run
from wherry.cli.main import wherry as program
from wherry.cli.world import World

ROOT = Path(__file__).resolve().parents[1]
_QUOTED = re.compile(r"`+(wherry [^`\n]+?)`+")
_CONSOLE = re.compile(r"\s*(?:\$ |- run: )?(?:[A-Z_]+=\S+ )*(wherry [a-z-].*)")
_TAIL = re.compile(r"\s+#.*$|\s+(?:\||>|<|&|\|\|)\s.*$|\s*&$")
_PLACEHOLDERS = {
    "IMAGE|BINARY": "api:dev", "IMAGE": "api:dev", "KEY": "wherry.key", "IMAGE…": "api:dev", "NAME": "api:dev",
    "NAME…": "extra:dev", "DIR": ".", "FILE": "f", "PROGRAM": "/app/api", "REPOSITORY": "registry.example/team/api",
    "CASES": "cases.toml", "TOPIC": "ci", "COMMAND": "build", "SHELL": "bash", "STORE": "store",
    "ARCHIVE": "image.tar",
}  # fmt: skip


def in_docs() -> Iterator[tuple[str, str]]:
    """Give the commands of the pages, and where each stands."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if page.stem.startswith(("benchmarks", "decisions", "sources")) or page.parts[-2:] == ("reference", "cli.md"):
            continue
        fenced = False
        for number, line in enumerate(page.read_text().splitlines(), 1):
            place = f"{page.relative_to(ROOT)}:{number}"
            if line.lstrip().startswith("```"):
                fenced = not fenced
            elif fenced:
                found = _CONSOLE.fullmatch(line)
                if found and not re.match(r"wherry \d", found[1]):
                    yield found[1], place
            else:
                yield from ((found[1], place) for found in _QUOTED.finditer(line))


def in_messages() -> Iterator[tuple[str, str]]:
    """Give the commands in texts of the code: messages, hints and help."""
    for file in sorted((ROOT / "src" / "wherry").rglob("*.py")):
        tree = ast.parse(file.read_text())
        docstrings = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body and isinstance(node.body[0], ast.Expr) and getattr(node, "name", "") != "command"
        }  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                text = node.value
            else:
                continue
            place = f"{file.relative_to(ROOT)}:{node.lineno}"
            yield from ((found[1], place) for found in _QUOTED.finditer(text))


def words_of(text: str) -> list[str]:
    """Cut a command as a shell does; what follows in a pipeline and comments are left out, placeholders filled in."""
    words = shlex.split(_TAIL.sub("", text))[1:]
    filled = [_PLACEHOLDERS.get(word, word) for word in words]
    return [word for word in filled if word != "…" and not word.startswith("[")]


def named() -> dict[str, str]:
    """Give all commands, each with the first place that names it."""
    found: dict[str, str] = {}
    for text, place in [
        *in_messages(),
        *in_docs(),
        *((line, f"examples of {name}") for name, lines in EXAMPLES.items() for line in lines),
    ]:
        found.setdefault(shlex.join(words_of(text)), place)
    return found


NAMED = named()


def test_there_are_many():
    """The search finds what people are told."""
    assert len(NAMED) > 100
    assert any("slim" in text and "budgets" in place for text, place in NAMED.items())


@pytest.mark.parametrize("text", NAMED)
def test_it_is_a_command(text):
    """The command and each of its options are there."""
    words = shlex.split(text)
    top = click.Context(program, info_name="wherry", **program.context_settings)
    rest = list(program.make_parser(top).parse_args(list(words))[1]) if words else []
    if not rest:
        return
    command = program.get_command(top, rest[0])
    if isinstance(command, click.Group) and len(rest) > 1:
        rest = rest[1:]
        command = command.get_command(top, rest[0])

    assert command is not None, NAMED[text]
    try:
        context = click.Context(command, info_name=rest[0], parent=top, **command.context_settings)
        command.make_parser(context).parse_args(rest[1:])
    except click.UsageError as error:
        pytest.fail(f"{NAMED[text]}: wherry {text}: {error.format_message()}")


USAGE = 64
"""Where a text names a command or an option, and no more: what it works on is missing."""
PARSED_ONLY = {
    "kubectl is a program of its own, and tests/cli/test_resolve.py has one": re.compile(r"(apply|create) "),
    "it asks a cluster, and tests/app/test_watching.py has one": re.compile(r"watch\b"),
    "Docker is not here": re.compile(r".*--load|.*dest=- *$"),
    "a terminal or an archive on stdin is needed": re.compile(
        r"load$|explore|.* -it? |completion|login|.*--debug-shell|.*--ssh"
    ),
    "the network is needed": re.compile(
        r".*(github\.com|golang\.org|docker\.io|alpine|golang:|@v\d|:443)|scan --update"
    ),
    "it serves until it is stopped": re.compile(r"run |board serve|admission serve|flags .*--run|.*--ready"),
    "it takes a container that runs, and tests/cli/test_containers.py has some": re.compile(
        r"(logs|exec|stop|kill|probe) "
    ),
    "it belongs to an example or a chapter with files of its own": re.compile(
        r"history why |"
        r"rebuild|init|rm$|build \.$|report$|why |push api:dev$|.*(\./api\b|\.Version|videometa|greeter|hello|data:dev|"
        r"deploy/|deploy\.yaml|job\.yaml|"
        r"v1\b|v2\b|:scratch|:1\.0-zstd|before|after)"
    ),
    "its target runs, and tests/cli/test_debug.py has some": re.compile(
        r"debug .*(4711|docker/|podman/|pod/|--toolbox)|trace .*pod/"
    ),
    "a cluster is needed, and tests/app/test_on_kubernetes.py has one": re.compile(r"build .*--(on kubernetes|attach)"),
    "zig is not here, and tests/peers/test_musl.py has it": re.compile(r".*--cgo musl"),
    "it builds many times, and tests/cli/test_bench.py has it": re.compile(r"bench\b"),
    "it is a sentence that names several options": re.compile(r".*(\||\.\.\.|…|<)"),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A registry that takes anything."""
    with distribution(tmp_path_factory.mktemp("registry")) as started:
        yield started.host


@pytest.fixture(scope="module")
def place(tmp_path_factory, host):
    """A folder with all that commands are about: services, a Dockerfile, manifests, images here and in the registry."""
    need("go")
    shell = Shell(tmp_path_factory.mktemp("advice") / "here")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    for name in ("api", "worker"):
        shell.write(
            f"cmd/{name}/main.go",
            f'package main\n\nvar version = "1"\n\nfunc main() {{ println("{name}", version) }}\n',
        )
    shell.write("Dockerfile", "FROM scratch AS builder\nCOPY go.mod /\nFROM builder\n")
    database = write_database(shell.root / "osv")
    shell.environment["GOVULNDB"] = f"file://{database}"
    for name in ("vulndb.tar.zst", "ghsa.zip"):
        write_archive(shell.root / name)
    for name in ("policy", "release"):
        shell.write(f"{name}.toml", "[[rule]]\nnon-root = true\n")
    for name in ("cases", "release-cases"):
        shell.write(f"{name}.toml", '[[case]]\nexpect = "fail"\n')
    shell.write("f", "[[rule]]\nnon-root = true\n") if not (shell.root / "f").exists() else None
    shell.write("ignore.toml", '[[ignore]]\nid = "GO-1"\nreason = "it is not used"\nuntil = 2999-01-01\n')
    shell.write("pod.yaml", f"kind: Pod\nspec: {{containers: [{{name: api, image: {host}/team/api:dev}}]}}\n")
    shell.write("admission.toml", "[[rule]]\npolicy = 'release.toml'\n")
    shell.write("config/pod.yaml", "kind: Pod\nimage: ko://example.com/app/cmd/api\n")
    shell.environment["KO_DOCKER_REPO"] = f"{host}/team"
    shell.environment["COSIGN_PASSWORD"] = ""
    shell("keys", "new", "-o", "wherry")
    shell.environment["SIGNING_KEY"] = (shell.root / "wherry.key").read_text()
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    shell.write("plain.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    shell.write("sbom.json", "{}")
    shell("certs", "ISRG Root X2", "-o", "company.pem")
    shell("certs", "ISRG Root X2", "-o", "ca.pem")
    shell.write("cluster.json", '{"kind": "List", "items": []}')
    shell.write("cluster.jsonl", '{"wherryHistory":1,"machine":"a1","exported":1.0}\n')
    shell("build", "-t", "api:dev", "./cmd/api")
    for name in ("extra:dev", "app:dev", "app:1", "app:2", "api:1.4"):
        shell("tag", "api:dev", name)
    for image in ("team/api:latest", "team/api:1.0", "team/api:dev", "api:1.0", "api:1", "base:1"):
        shell("push", "api:dev", f"{host}/{image}")
        shell("pull", f"{host}/{image}")
    shell("build", "-f", "Dockerfile", "-t", "web:dev", ".")
    shell.write(
        "wherry.toml",
        "[build]\nfront-door = 'go'\nbase = 'static'\n"
        "[base]\npackages = ['tzdata']\n[services.api]\npackage = './cmd/api'\ntags = ['HOST/team/api:dev']\n".replace(
            "HOST", host
        ),
    )
    for archive in ("api.tar", "image.tar"):
        shell("save", "api:dev", "-o", archive)
    shell.write("services/web/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    shell("save", "api:dev", "-o", "base/")
    shell("build", "-f", "Dockerfile", "-t", "app:builder", "--target", "builder", ".")
    for words in (["init", "--quiet"], ["add", "Dockerfile"], ["commit", "--quiet", "--message=all"]):
        argv = ["git", "-c", "user.name=n", "-c", "user.email=n@example.com", *words]
        subprocess.run(argv, cwd=shell.root, check=True)
    return shell


def to_run() -> list[str]:
    """Give the commands whose needs are here."""
    return [text for text in NAMED if not any(pattern.match(text) for pattern in PARSED_ONLY.values())]


@pytest.mark.slow
@pytest.mark.parametrize("text", to_run())
def test_it_works(place, host, text):
    """It does what it is named for, or says that there is a finding."""
    words = [re.sub(r"(registry|mirror|other)\.example|localhost:5000", host, word) for word in shlex.split(text)]
    if words[:1] in (["--help"], ["--version"]):
        return
    if words[0] in {"pull", "tags"}:  # a name of a registry
        words = [f"{host}/team/api" if word == "api:dev" else word for word in words]
    if words[0] == "build":  # a service of wherry.toml
        words = [
            words[0],
            *("api" if word == "api:dev" and before != "-t" else word for before, word in pairwise(words)),
        ]
    if words[:2] == ["base", "update"]:  # of what a lock pins
        place("lock", "deb:base")
    if words[0] == "keys":  # files of an earlier command are there
        words += ["--force"]
    for image in ("api:dev", "extra:dev"):
        place("tag", f"{host}/base:1", image)
    out, err = io.StringIO(), io.StringIO()
    code = run(words, World(out, err, place.environment, place.root, stdin=io.StringIO("")))

    only_named = code == USAGE and "Missing " in err.getvalue()
    assert only_named or code in {0, 1}, f"{NAMED[text]}: wherry {text}\n{err.getvalue()}"
