"""Run the tests of what changed and of its neighbours: `make test-quick`, for the time between two edits.

A changed module is tested by the test file that mirrors it, and by every test file that imports it or a module that
imports it. Tests marked `slow` or `peers` are left out, and so are files beyond `MOST`, nearest first: `make test`
runs everything.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 40
"""Test files in one run; more would take longer than a look at the clock is worth."""


def changed(base: str) -> set[Path]:
    """Name files that differ from a commit, and files git does not track yet."""
    named = _git("diff", "--name-only", "--diff-filter=d", base) + _git("ls-files", "--others", "--exclude-standard")
    return {ROOT / line for line in named.splitlines()}


def _git(*words: str) -> str:
    return subprocess.run(("git", *words), cwd=ROOT, check=True, capture_output=True, text=True).stdout


def module_of(path: Path) -> str:
    """Give a module's dotted name; empty where a file is not part of the package."""
    if path.suffix != ".py" or not path.is_relative_to(ROOT / "src"):
        return ""
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    return name.removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Name the modules that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def chosen(files: set[Path]) -> list[Path]:
    """Choose test files, nearest to the change first."""
    tests = {path: set(imports(path)) for path in (ROOT / "tests").rglob("test_*.py")}
    touched = {name for path in files if (name := module_of(path))}
    mirrors = {f"test_{name.rpartition('.')[2]}.py" for name in touched}
    neighbours = {
        module_of(path) for path in (ROOT / "src").rglob("*.py") if touched and touched.intersection(imports(path))
    }

    def distance(path: Path) -> int:
        if path in files:
            return 0
        if path.name in mirrors:
            return 1
        if tests[path] & touched:
            return 2
        return 3 if tests[path] & neighbours else 4

    near = {path: distance(path) for path in tests}
    return sorted((path for path, steps in near.items() if steps < 4), key=lambda path: (near[path], path))  # noqa: PLR2004 - farther than a neighbour


def main() -> int:
    """Choose and run."""
    base = os.environ.get("BASE") or _git("merge-base", "HEAD", "@{upstream}" if _upstream() else "HEAD").strip()
    files = chosen(changed(base))
    if not files:
        print("nothing that a test covers has changed since", base[:12])
        return 0
    if len(files) > MOST:
        print(f"{len(files) - MOST} test files farther from the change are left out; `make test` runs them")
    words = [str(path.relative_to(ROOT)) for path in files[:MOST]]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "-q",
        "-m",
        "not slow and not peers and not cluster",
        *sys.argv[1:],
        *words,
    ]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return 0 if code == 5 else code  # noqa: PLR2004 - pytest's word for "all were left out"


def _upstream() -> bool:
    found = subprocess.run(
        ("git", "rev-parse", "--verify", "--quiet", "@{upstream}"), cwd=ROOT, check=False, capture_output=True
    )
    return found.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
