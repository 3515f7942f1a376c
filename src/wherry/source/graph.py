"""Which package imports which, asked of Go where the source is available.

Source: Go 1.26, `go help list` (Imports, ImportMap).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from wherry.host.process import Runner
from wherry.host.toolchain import Toolchain
from wherry.source.module import PackageBroken, one_a_line
from wherry.typed import json_decoder


class _Package(msgspec.Struct, rename="pascal"):
    import_path: str
    imports: tuple[str, ...] = ()
    import_map: dict[str, str] = {}


def list_imports(  # noqa: PLR0913 - what decides which files count
    runner: Runner,
    toolchain: Toolchain,
    folder: Path,
    package: str,
    flags: Sequence[str],
    target: Mapping[str, str],
    *,
    main: str = "",
) -> dict[str, tuple[str, ...]]:
    """Ask Go for the imports of a program's packages.

    Args:
        runner: starts `go list`.
        toolchain: which Go.
        folder: inside the module.
        package: the main package's import path; it is called `main` in the answer, as in symbols.
        flags: the build flags that decide which files count.
        target: GOOS, GOARCH and similar.
        main: the import path, where the package is named otherwise (`.`).

    Raises:
        PackageBroken: Go cannot load the package.
    """
    asked = ("list", "-deps", "-e", "-buildvcs=false", "-json=ImportPath,Imports,ImportMap")
    answer = runner.run(toolchain.command(folder, *asked, *flags, package, extra=target))
    if answer.returncode:
        raise PackageBroken(f"{package}: {answer.words}", hint="run `go build` there to see it too")
    packages = json_decoder(_Package).decode_lines(one_a_line(answer.stdout))
    return {
        "main" if one.import_path in {package, main} else one.import_path: tuple(
            one.import_map.get(name, name) for name in one.imports
        )
        for one in packages
    }
