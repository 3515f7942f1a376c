"""Write action-requirements.txt: what the Action installs, each version pinned and each file by its hash.

Versions are the newest within pyproject.toml's ranges, of the packages that wherry needs and those that build it, for
each Python and each kind of Linux runner. Run it again to take newer ones: `scripts/action_requirements.py --write`.

Sources: pip, "Secure installs" (hash-checking mode) and "Installation report"; PEP 508 for markers.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "action-requirements.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
_LIBC = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_HEAD = """# What the Action installs, by scripts/action_requirements.py from pyproject.toml: for --require-hashes.
"""
Pins = dict[str, dict[str, set[str]]]
"""Versions of a package, and the hashes of their files."""


def main() -> None:
    """Print the file, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the file instead of printing it")
    text = written(*resolved())
    if parser.parse_args().write:
        TARGET.write_text(text)
    else:
        sys.stdout.write(text)


def wanted() -> list[str]:
    """Name what wherry needs, and what builds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [*project["build-system"]["requires"], *project["project"]["dependencies"]]


def resolved() -> tuple[Pins, dict[tuple[str, str], list[str]]]:
    """Ask pip for each Python and machine; give the pins, and for which Pythons each is."""
    pins: Pins = defaultdict(lambda: defaultdict(set))
    pythons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for python in PYTHONS:
        for machine in MACHINES:
            for name, version, hashed in _report(python, machine):
                pins[name][version].add(hashed)
                if python not in pythons[name, version]:
                    pythons[name, version].append(python)
    return pins, pythons


def _report(python: str, machine: str) -> list[tuple[str, str, str]]:
    words = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    words += ["--only-binary=:all:", "--target", "/nowhere", "--python-version", python]
    for libc in _LIBC:
        words += ["--platform", f"{libc}_{machine}"]
    done = subprocess.run([*words, *wanted()], check=True, stdout=subprocess.PIPE, text=True)
    return [
        (
            one["metadata"]["name"].lower().replace("_", "-"),
            one["metadata"]["version"],
            one["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for one in json.loads(done.stdout)["install"]
    ]


def written(pins: Pins, pythons: dict[tuple[str, str], list[str]]) -> str:
    """Write pins as a requirements file; a version that not every Python has gets a marker."""
    lines = [_HEAD]
    for name in sorted(pins):
        for version, hashes in sorted(pins[name].items()):
            used = pythons[name, version]
            marker = " or ".join(f'python_version == "{one}"' for one in used) if len(used) < len(PYTHONS) else ""
            lines.append(f"{name}=={version}{f' ; {marker}' if marker else ''}")
            lines[-1] += "".join(f" \\\n    --hash=sha256:{one}" for one in sorted(hashes)) + "\n"
    return "".join(lines)


if __name__ == "__main__":
    main()
