"""A Go program with something to hide in every place that a build can leave it, and the builds of it."""

import os
import random
import string
import subprocess
from dataclasses import dataclass
from pathlib import Path

from module_proxy import ModuleProxy
from needs import need

MAIN = """package main

/*
#cgo LDFLAGS: -Wl,-rpath,/opt/plantedrpath/lib
#include "planted.h"
*/
import "C"

import (
	_ "embed"
	"fmt"

	"example.com/dep"
	"example.com/replaced"
)

//go:embed notes.txt
var notes string

var Version, APIToken = "dev", ""

func main() {
	fmt.Println(Version, APIToken, notes, C.GoString(C.where()), dep.Name(), replaced.Name())
	generated()
}

//line /opt/plantedline/grammar.y:10
//go:noinline
func generated() { panic("never") }
"""
HEADER = "static const char *where(void) { return __FILE__; }\n"
FUNCTION = 'package %s\n\n//go:noinline\nfunc Name() string { println("x"); return "%s" }\n'


def token(alphabet: str, length: int, seed: int = 7) -> str:
    """Make up letters that no program has, so that no secret stands in this repository."""
    chance = random.Random(seed)  # noqa: S311 - the same letters each time
    return "".join(chance.choices(alphabet, k=length))


AWS = "AKIA" + token(string.ascii_uppercase + "234567", 16)
GITHUB = "ghp_" + token(string.ascii_letters + string.digits, 36)
PASSWORD = token(string.ascii_letters + string.digits, 14, 8)
VARIABLE = token(string.ascii_letters + string.digits, 20, 9)
NOTES = f'see /home/plantedhome/notes.txt\nid={AWS}\npassword = "{PASSWORD}"\n{GITHUB}\npostgres://svc:{PASSWORD}@db.corp/x\n'
SECRETS = (AWS[4:], GITHUB[4:], PASSWORD, VARIABLE)


@dataclass(frozen=True, slots=True)
class Planted:
    """The program's source, below one folder."""

    root: Path

    @property
    def module(self) -> Path:
        """The main module."""
        return self.root / "plantedmain"

    def write(self) -> None:
        """Write it all, and the modules that a proxy has."""
        texts = {
            "plantedmain/go.mod": "module example.com/app\n\ngo 1.20\n\nrequire (\n\texample.com/dep v1.0.0\n"
            "\texample.com/replaced v1.0.0\n)\n\nreplace example.com/replaced => ../plantedreplace\n",
            "plantedmain/cmd/api/main.go": MAIN,
            "plantedmain/cmd/api/notes.txt": NOTES,
            "plantedreplace/go.mod": "module example.com/replaced\n\ngo 1.20\n",
            "plantedreplace/replaced.go": FUNCTION % ("replaced", "r"),
            "plantedheader/planted.h": HEADER,
        }
        for name, text in texts.items():
            place = self.root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        proxy = ModuleProxy(self.root / "proxy")
        for name in ("dep", "replaced"):
            files = {"go.mod": f"module example.com/{name}\n\ngo 1.20\n", f"{name}.go": FUNCTION % (name, "published")}
            proxy.publish(f"example.com/{name}", "v1.0.0", files)

    def build(self, name: str, *flags: str, ldflags: str = "") -> Path:
        """Build it; give the binary."""
        binary = self.root / name
        texts = f"-X main.Version=/srv/plantedvalue/v1 -X main.APIToken={VARIABLE} {ldflags}"
        self.go("build", "-ldflags", texts, *flags, "-o", str(binary), "./cmd/api")
        return binary

    def go(self, *arguments: str) -> str:
        """Run go in the module, with modules of the proxy only and a cache of its own."""
        need("gcc")
        kept = {name: text for name, text in os.environ.items() if name == "GOCACHE" or not name.startswith("GO")}
        environment = kept | {
            "GOFLAGS": "-mod=mod -buildvcs=false -modcacherw", "GOPROXY": (self.root / "proxy").as_uri(),
            "GOSUMDB": "off", "GOENV": "off", "GOTOOLCHAIN": "local", "GOMODCACHE": str(self.root / "plantedcache"),
            "CGO_ENABLED": "1", "CGO_CFLAGS": f"-g -O1 -I{self.root / 'plantedheader'}",
        }  # fmt: skip
        command = [need("go"), *arguments]
        return subprocess.run(
            command, cwd=self.module, env=environment, check=True, capture_output=True, text=True
        ).stdout
