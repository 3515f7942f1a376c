"""Which files of modules travel: all that a build reads, and not what none does."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from wherry.source.go_context import _embedded, module_files, modules_read, workspace_of


def write(top: Path, files: dict[str, str]) -> None:
    """Write files by path."""
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def names(top: Path, *modules: Path) -> set[str]:
    """Give the files that travel, from a folder."""
    return {os.path.relpath(path, top) for path in module_files(modules)}


def test_what_a_module_is_made_of(tmp_path: Path) -> None:
    """Go files of all platforms, what they embed and include, vendor/, settings; no tests, no other module, no .git."""
    write(
        tmp_path,
        {
            "go.mod": "module a\n", "go.sum": "", "wherry.toml": "", "main.go": "package main\n",
            "main_test.go": "package main\n", "README.md": "", ".git/x.go": "package x\n",
            "web/web.go": 'package web\n\nimport _ "embed"\n\n//go:embed static "a b.txt" tmpl/*.html\nvar x string\n',
            "web/static/deep/logo.svg": "", "web/static/_hidden": "", "web/a b.txt": "", "web/tmpl/i.html": "",
            "web/tmpl/i.txt": "", "asm/a.s": '#include "macros.inc"\n', "asm/macros.inc": "", "asm/other.inc": "",
            "tool/go.mod": "module tool\n", "tool/main.go": "package main\n",
            "vendor/modules.txt": "", "vendor/b/b.go": "package b\n", "vendor/b/go.mod": "module b\n",
        },
    )  # fmt: skip
    assert names(tmp_path, tmp_path) == {
        "go.mod", "go.sum", "wherry.toml", "main.go", "web/web.go", "web/static/deep/logo.svg", "web/static/_hidden",
        "web/a b.txt", "web/tmpl/i.html", "asm/a.s", "asm/macros.inc", "vendor/modules.txt", "vendor/b/b.go",
        "vendor/b/go.mod",
    }  # fmt: skip


def test_workspaces_and_replaced_folders(tmp_path: Path) -> None:
    """All modules of a workspace, and folders of `replace`, are read; what is not there is left to Go."""
    write(
        tmp_path,
        {
            "go.work": "go 1.21\n\nuse ./a\nuse ./b\n\nreplace x.example/c => ./c\n",
            "a/go.mod": "module a\n\nreplace x.example/d v1.0.0 => ../d\n", "b/go.mod": "module b\n",
            "c/go.mod": "module x.example/c\n", "d/go.mod": "module x.example/d\n\nreplace e => ../gone\n",
        },
    )  # fmt: skip
    module = tmp_path / "a"
    workspace = workspace_of(module, {})
    assert workspace == tmp_path / "go.work"
    assert workspace_of(module, {"GOWORK": "off"}) is None
    assert modules_read(module, workspace) == tuple(tmp_path / name for name in ("a", "b", "c", "d"))
    assert modules_read(module, None) == (module, tmp_path / "d")


def test_links(tmp_path: Path) -> None:
    """A link to a folder goes along as a link, where it stays inside; a link out of the module is not followed."""
    write(tmp_path, {"m/go.mod": "module m\n", "m/real/r.go": "package r\n", "out/o.go": "package o\n"})
    (tmp_path / "m" / "inside").symlink_to("real")
    (tmp_path / "m" / "outside").symlink_to(tmp_path / "out")
    (tmp_path / "m" / "gone.go").symlink_to("nothing")
    assert names(tmp_path / "m", tmp_path / "m") == {"go.mod", "real/r.go", "inside"}


@given(st.text(max_size=60))
def test_any_embed_line_stays_inside(line: str) -> None:
    """Whatever a line says, only files below the package's folder are named."""
    folder = Path(__file__).parent
    for path in _embedded(folder, line):
        assert path.is_relative_to(folder)
