"""The house rules that a linter doesn't know, and that what the documents say is so."""

import ast
import functools
import graphlib
import importlib
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import wherry
from needs import need
from wherry.app.manual import pages_of
from wherry.errors import WherryError

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "wherry"
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
FORMATS = ("oci", "golang", "elf")
STEPS = (
    "build/attendant.py", "build/caches.py", "build/context.py", "build/copy_sources.py", "build/run.py",
    "build/stages.py", "build/urls.py",
    "app/build/cache_export.py", "app/build/dockerfile.py", "app/build/dockerfile_work.py", "app/build/machine.py",
    "cli/debug_shell.py",
)  # fmt: skip
"""What only a Dockerfile's steps need, and they need Linux."""
LINUX_ONLY = (
    "wherry.sandbox", "wherry.runtime", "wherry.app.sandboxes",
    *(f"wherry.{path.removesuffix('.py').replace('/', '.')}" for path in STEPS),
)  # fmt: skip
POSIX_ONLY = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")


def modules(*rooms: str) -> list[Path]:
    """Give the modules of some rooms."""
    return sorted(path for room in rooms for path in (SOURCE / room).rglob("*.py"))


@functools.cache
def names_used(path: Path) -> frozenset[str]:
    """Give every dotted name a module uses, such as `os.environ.get`, and `from os import environ` as `os.environ`."""
    used = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name | ast.Attribute):
            used.add(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and node.module:
            used.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(used)


def imported_at_once(path: Path) -> Iterator[str]:
    """Yield what a module imports when it is loaded: neither in a function nor for types only."""

    def visit(nodes: list[ast.stmt]) -> Iterator[str]:
        for node in nodes:
            match node:
                case ast.Import():
                    yield from (alias.name for alias in node.names)
                case ast.ImportFrom(module=str(module)):
                    yield module
                case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                    yield from visit(otherwise)
                case ast.If() | ast.Try() | ast.ClassDef() | ast.With():
                    yield from visit(
                        [child for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)]
                    )

    return visit(ast.parse(path.read_text()).body)


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Tell whether a dotted name is one of the packages, or in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("room", ROOMS)
def test_room_says_what_the_contracts_say(room):
    """The `May import:` line of a room is what import-linter lets it import."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    allowed = {
        module.removeprefix("wherry.")
        for contract in contracts
        if contract["type"] == "protected" and f"wherry.{room}" in contract["allowed_importers"]
        for module in contract["protected_modules"]
    }
    said = re.search(r"May import: ([^.]+)\.", (SOURCE / room / "__init__.py").read_text())
    assert said, "the room's __init__.py has no `May import:` line"

    if said[1] == "everything":
        assert allowed >= set(ROOMS) - {room}
    else:
        named = set() if said[1].startswith("nothing") else set(re.split(r",\s+", said[1]))
        assert named & set(ROOMS) == allowed & set(ROOMS)


def test_only_cli_reads_the_environment():
    """The process's environment, its home and its standard streams belong to cli/."""
    outside = (
        "os.environ",
        "os.environb",
        "os.getenv",
        "os.getenvb",
        "Path.home",
        "sys.stdout",
        "sys.stderr",
        "sys.argv",
    )
    rest = [room for room in ROOMS if room != "cli"]

    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*modules(*rest), *SOURCE.glob("*.py")]
        if path.name not in {"without_network.py", "pool_trial.py"}  # programs of their own
        for name in names_used(path)
        if within(name, outside)
    ]
    assert found == []


def test_formats_reach_nothing_outside():
    """Formats open no file and read no clock, also not by what import-linter can't see."""
    outside = ("open", "datetime.now", "datetime.utcnow", "datetime.datetime.now", "date.today", "Path", "pathlib.Path")

    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(*FORMATS)
        for name in names_used(path)
        if within(name, outside)
    ]
    assert found == []


def test_programs_start_through_one_door():
    """Only host/process.py, host/beside.py (a fork), the sandbox, the stopwatch and replays start a program."""
    doors = re.compile(r"os\.(exec\w+|fork\w*|posix_spawn\w*|spawn\w+|system|popen)|subprocess(\.\w+)?")
    doorways = (
        "host/process.py",
        "host/beside.py",
        "host/without_network.py",
        "lab/start.py",
        "cli/replay.py",
        "cli/ahead.py",
    )
    allowed = {*(SOURCE / path for path in doorways), *modules("sandbox")}

    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCE.rglob("*.py")
        if path not in allowed
        for name in names_used(path)
        if doors.fullmatch(name)
    ]
    assert found == []


def test_a_class_name_stands_once():
    """A class name means one thing in the whole package."""
    places: dict[str, set[Path]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, set()).add(path)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def imports_of(path: Path) -> set[str]:
    """Give the modules of ours that a module imports at any time, but for types only."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                for child in otherwise:
                    visit(child)
                return
            case ast.ImportFrom(module=str(module)) if module.startswith("wherry."):
                found.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def test_no_modules_import_each_other_in_a_circle():
    """Neither when they are loaded nor later: each module can be read after those it imports."""
    names = {
        path: ".".join(("wherry", *path.relative_to(SOURCE).with_suffix("").parts)) for path in SOURCE.rglob("*.py")
    }
    imports = {name.removesuffix(".__init__"): imports_of(path) for path, name in names.items()}
    graph = {name: found & imports.keys() for name, found in imports.items()}

    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))
    assert set(order) == set(graph)


def test_what_is_linux_only_is_imported_late():
    """Loading any other module needs neither the Linux rooms nor a module that only POSIX systems have."""
    own = [*modules("sandbox", "runtime"), SOURCE / "app" / "sandboxes.py", *(SOURCE / path for path in STEPS)]

    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCE.rglob("*.py")
        if path not in own
        for name in imported_at_once(path)
        if within(name, (*LINUX_ONLY, *POSIX_ONLY))
    ]
    assert found == []


@pytest.mark.parametrize("module", ["building", "words", "replay_build", "run", "inspect"])
def test_what_speaks_http_is_imported_late(module):
    """A build, a run or a look that needs no registry loads nothing that could ask one."""
    heavy = "urllib3", "yaml", "ssl"
    words = f"import sys, wherry.cli.{module}; print([name for name in {heavy!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_command_reference_is_current():
    """docs/reference/, the text of `wherry --help` and completions/ are what `make docs` would write."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    assert script.TARGET.read_text() == script.reference()
    assert script.API.read_text() == script.api()
    for columns in script.ready.WIDTHS:
        assert Path(script.ready.file_of(columns)).read_text() == script.ready_help(columns)
    for shell, file in script.COMPLETIONS.items():
        assert file.read_text() == script.script(script.wherry, shell) + "\n"


def test_picture_of_the_rooms_is_current():
    """docs/rooms.svg is what `make docs` would draw."""
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "scripts" / "rooms.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    assert script.TARGET.read_text() == script.picture()


def test_pages_that_commands_name_are_there():
    """What --help sends a user to can be read."""
    named = set(re.findall(r"`wherry help ([a-z./-]+)`", (ROOT / "docs" / "reference" / "cli.md").read_text()))

    assert named
    assert [topic for topic in sorted(named) if not pages_of(topic)] == []


def test_exit_codes_are_documented():
    """docs/reference/exit-codes.md has a row for each code an error of ours has, and for no other from 2 on."""
    for module in pkgutil.walk_packages(wherry.__path__, "wherry."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    used = {error.exit_code for error in subclasses(WherryError)}
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "reference" / "exit-codes.md").read_text(), re.MULTILINE)

    of_run = {126, 127}  # what a shell says of a program that it cannot start
    of_verify = {4}  # signatures by others are a verdict, no error
    of_output = {128, 141}  # it is full; the reader went away
    of_pods = {42}  # the sources are at fault: Kubernetes is to try no more
    assert used | of_run | of_verify | of_output | of_pods | {0, 1, 70, 130} == {int(row) for row in rows}


def subclasses(kind: type[WherryError]) -> Iterator[type[WherryError]]:
    """Yield an error and all that derive from it."""
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


PECULIAR = re.compile(
    r"\b(whose|nobody|somebody|whoever|everybody|shall|anew|beside|told|as (it is|they are)|what lies|lies|leads? to|"
    r"(?<!front-)doors?|ways out|looked at|(is|are) none|mend(s|ed)?|at hand|be had|no such thing|kin|said so|"
    r"own words|(?<!there )is no (?!longer|more)|here)\b"
)
"""Words that a user has to read twice; CONTRIBUTING.md says what to write instead."""
SHOWN = frozenset({"hint", "help", "short_help", "message", "remedy", "problem"})
"""Arguments and variables whose text a user sees."""


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the literal texts of an expression with their lines; what is in the braces of an f-string is left out."""
    match node:
        case ast.Constant(value=str(text)):
            yield node.lineno, text
        case ast.JoinedStr(values=parts):
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)
        case ast.Call(args=arguments):  # such as "; ".join(…)
            for argument in arguments:
                yield from texts(argument)
        case ast.Lambda() | ast.Compare():
            return
        case _:
            for child in ast.iter_child_nodes(node):
                yield from texts(child)


def shown_texts(path: Path, errors: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield what a module shows to users: arguments of errors, hints, remedies, and help."""
    tree = ast.parse(path.read_text())
    hints = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and re.search("hint|remedy|wrong", node.name)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments, keywords=keywords):
                wanted = [one.value for one in keywords if one.arg in SHOWN]
                for one in [*arguments, *wanted] if name in errors else wanted:
                    yield from texts(one)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in SHOWN or "hint" in name.lower():
                yield from texts(value)
            case ast.Return(value=ast.expr() as value) if id(node) in hints:
                yield from texts(value)
            case ast.FunctionDef(decorator_list=decorators) if any(
                "command(" in ast.unparse(one) for one in decorators
            ):
                yield node.lineno, ast.get_docstring(node) or ""


@pytest.mark.slow
def test_users_read_plain_english():
    """No error, hint, remedy or help has a word of the list."""
    for module in pkgutil.walk_packages(wherry.__path__, "wherry."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    errors = frozenset(error.__name__ for error in subclasses(WherryError))

    shown = {
        (f"{path.relative_to(ROOT)}:{line}", text)
        for path in SOURCE.rglob("*.py")
        for line, text in shown_texts(path, errors)
    }
    assert len(shown) > 700
    assert sorted((place, found[0], text) for place, text in shown if (found := PECULIAR.search(text))) == []


def test_settings_keys_are_documented():
    """docs/reference/wherry-toml.md has a row for every key, and for no other; rows of budgets may name two."""
    from wherry.settings import budgets, build_keys

    page = (ROOT / "docs" / "reference" / "wherry-toml.md").read_text()
    keys, limits = (page.partition(f"\n## {title}\n")[2].partition("\n## ")[0] for title in ("Keys", "Budgets"))
    rows = re.findall(r"^\| `([a-z-]+)` \|", keys, re.MULTILINE)
    named = [name for row in re.findall(r"^\| (`.*?) \|", limits, re.MULTILINE) for name in re.findall("`(.+?)`", row)]

    assert sorted(rows) == sorted(build_keys.SERVICE_KEYS)
    assert sorted(named) == sorted(budgets._KEYS)


def pages() -> list[Path]:
    """Give every Markdown page of the repository."""
    return [*ROOT.glob("*.md"), *(page for name in ("docs", "examples") for page in (ROOT / name).rglob("*.md"))]


def test_links_between_pages_lead_somewhere():
    """A relative link in a Markdown page names a file that is there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if ":" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_decisions_name_every_dependency():
    """A dependency has its argument in docs/decisions.md."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    decisions = (ROOT / "docs" / "decisions.md").read_text()
    extras = [word for name, words in project["optional-dependencies"].items() if name != "all" for word in words]

    names = [re.match(r"[A-Za-z0-9._-]+", word)[0] for word in [*project["dependencies"], *extras]]
    assert [name for name in names if f"`{name}`" not in decisions] == []


def test_changes_are_named_for_an_issue():
    """changes/ holds `<issue>.<added|changed|fixed|removed>.md`, one sentence each."""
    for change in (ROOT / "changes").glob("*"):
        assert re.fullmatch(r"\d+(\.\d+)?\.(added|changed|fixed|removed)\.md", change.name), change.name
        assert len(change.read_text().strip().splitlines()) == 1, f"{change.name} is more than a line"


@pytest.mark.slow
def test_example_passes_its_own_tests():
    """`go vet` and `go test` find nothing in examples/hello."""
    go = need("go")
    environment = {**os.environ, "GOFLAGS": "-modcacherw", "GOWORK": "off"}
    for words in (["vet", "./..."], ["test", "-count=1", "./..."]):
        done = subprocess.run(
            [go, *words], cwd=ROOT / "examples" / "hello", env=environment, capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stdout + done.stderr
