"""What a test needs of the machine: there, or a skip with a reason; in CI a skip is a failure."""

import os
import shutil
from pathlib import Path

import pytest


def absent(reason: str) -> None:
    """Skip the test, or fail it where CI has to have everything."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to have it: {reason}")
    pytest.skip(reason)


def need(program: str) -> str:
    """Give the path of a program."""
    folder = os.environ.get("WHERRY_TEST_TOOLS", str(Path(__file__).resolve().parents[1] / ".cache" / "tools" / "bin"))
    path = shutil.which(program, path=os.pathsep.join([folder, os.environ.get("PATH", os.defpath)]))
    if path is None:
        absent(f"{program} is not installed (`make tools` installs it)")
    return str(path)


def need_root() -> None:
    """Go on only as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def corpus(name: str) -> Path:
    """Give a file or folder of the shared corpus; it lies beside the repository and is never part of it."""
    root = Path(os.environ.get("WHERRY_CORPUS", str(Path(__file__).resolve().parents[2] / "shared" / "corpus")))
    if not (root / name).exists():
        pytest.skip(f"the corpus has no {name} here")
    return root / name


def data(name: str) -> Path:
    """Give a file of the shared data, as `corpus` does."""
    root = Path(os.environ.get("WHERRY_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data")))
    if not (root / name).exists():
        pytest.skip(f"there is no {name} here")
    return root / name
