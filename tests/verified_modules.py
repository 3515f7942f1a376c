"""A Go module with dependencies, a proxy and a checksum database of its own: everything that `modules verify` reads."""

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from checksum_log import ChecksumLog
from module_proxy import ModuleProxy
from needs import need
from wherry.trust.module_zip import ModuleZip, go_mod_h1

LIB = """package lib

import "example.com/Deep/deep"

func Name() string { return deep.Name }

//go:noinline
func Kept(words string) string { return words + deep.Name }
"""
APP = {
    "go.mod": """module example.com/app

go 1.21

require (
	example.com/lib v1.2.0
	example.com/local v0.0.0
	example.com/Deep v0.3.0 // indirect
)

replace example.com/local => ./local

exclude example.com/lib v1.1.0
""",
    "main.go": 'package main\n\nimport (\n\t"example.com/lib"\n\t"example.com/local"\n)\n\n'
    "func main() { println(lib.Name(), lib.Kept(local.Name)) }\n",
    "local/go.mod": "module example.com/local\n\ngo 1.21\n",
    "local/local.go": 'package local\n\nconst Name = "local"\n',
}  # fmt: skip
LICENSE = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software\n"
MODULES = {
    ("example.com/lib", "v1.2.0"): {
        "go.mod": "module example.com/lib\n\ngo 1.21\n\nrequire example.com/Deep v0.3.0\n",
        "LICENSE": LICENSE,
        "lib.go": LIB,
        "lib_test.go": "package lib\n",
        "gen.go": "//go:build ignore\n\npackage main\n\nfunc main() {}\n",
        "windows_only.go": "//go:build windows && !ignore\n\npackage lib\n",
        "README.md": "lib\n",
        "unused/unused.go": "package unused\n",
    },
    ("example.com/Deep", "v0.3.0"): {
        "go.mod": "module example.com/Deep\n\ngo 1.21\n",
        "LICENSE": "All wrongs reserved.\n",
        "deep/deep.go": 'package deep\n\nconst Name = "deep"\n',
        "deep/deep.s": "// assembly\n",
        "deep/testdata/x": "not vendored\n",
    },
}


@dataclass(frozen=True)
class GoWorld:
    """The folders of one."""

    root: Path
    log: ChecksumLog

    @property
    def app(self) -> Path:
        """The module."""
        return self.root / "app"

    @property
    def cache(self) -> Path:
        """GOMODCACHE."""
        return self.root / "modcache"

    @property
    def environment(self) -> dict[str, str]:
        """Go's settings."""
        return {
            "GOPROXY": f"file://{self.root}/proxy", "GOSUMDB": self.log.key, "GOFLAGS": "-modcacherw",
            "GOMODCACHE": str(self.cache), "GOPATH": str(self.root / "gopath"), "GOENV": "off",
            "GOTOOLCHAIN": "local", "GOWORK": "",
        }  # fmt: skip

    def go(self, *words: str, folder: Path | None = None) -> None:
        """Run Go in the module."""
        done = subprocess.run(
            [need("go"), *words], cwd=folder or self.app, env={**os.environ, **self.environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def copy(self, root: Path) -> "GoWorld":
        """Give another one of the same content, that can be tampered with."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return replace(self, root=root)


def go_world(root: Path, *, vendor: bool = True) -> GoWorld:
    """Make one; Go itself downloads the modules, and takes the notes and tiles of the database."""
    proxy, log = ModuleProxy(root / "proxy"), ChecksumLog()
    for (path, version), files in MODULES.items():
        proxy.publish(path, version, files)
        place = next((root / "proxy").rglob(f"{path.rpartition('/')[2].replace('D', '!d')}/@v/{version}.zip"))
        with ModuleZip.open(place) as opened:
            h1 = opened.h1()
        mod = go_mod_h1(files["go.mod"].encode())
        log.add(path, version, f"{path} {version} {h1}", f"{path} {version}/go.mod {mod}")
    log.write(root / "proxy")
    made = GoWorld(root, log)
    for name, text in APP.items():
        (made.app / name).parent.mkdir(parents=True, exist_ok=True)
        (made.app / name).write_text(text)
    made.go("mod", "tidy")
    if vendor:
        made.go("mod", "vendor")
    return made
