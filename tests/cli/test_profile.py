"""`--profile edge`, `--pie` and `--cgo musl`: what they choose, what the recipe says, and that TLS has a floor."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from wherry.source.inputs import TICK
from wherry.store.images import images_of

pytestmark = pytest.mark.slow

SERVER = """package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
)

func main() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, _ := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	if os.Getenv("OLD") != "" {
		config.MinVersion = tls.VersionTLS10
	}
	plain, _ := net.Listen("tcp", "localhost:8080")
	go func() {
		for {
			if opened, err := plain.Accept(); err == nil {
				opened.Close()
			}
		}
	}()
	secure, _ := tls.Listen("tcp", "localhost:8443", config)
	for {
		if opened, err := secure.Accept(); err == nil {
			go func() { opened.(*tls.Conn).Handshake(); opened.Close() }()
		}
	}
}
"""


@pytest.fixture(scope="module")
def wherry(tmp_path_factory) -> Shell:
    """A shell in a folder with a small module."""
    need("go")
    shell = Shell(tmp_path_factory.mktemp("edge") / "shell")
    shell.module()
    return shell


def recipe_of(wherry: Shell, name: str) -> dict:
    """Give the recipe of an image."""
    image = next(iter(images_of(wherry.store, wherry.store.resolve(name))))
    return json.loads(image.config.runtime.labels["dev.wherry.recipe"])


@pytest.fixture(scope="module")
def small(wherry) -> Shell:
    """The module, built with all of it at once."""
    words = "-t app:small --profile edge,small --device-memory 64MB --pie --base scratch -o type=local,dest=out"
    wherry("build", *words.split())
    return wherry


def test_what_it_chooses(small):
    """Flags, variables, the encoding and the price are printed, and the recipe has them."""
    said = small.err
    recipe = recipe_of(small, "app:small")

    assert "profile edge,small: GOMEMLIMIT=30MiB, GOGC=100, GODEBUG=tls10server=0, zstd 19" in said
    assert "10 to 20 % more CPU" in said
    assert recipe["go"]["profile"] == "edge,small"
    assert recipe["go"]["staticPie"] == "1"
    assert "-gcflags=all=-l" in recipe["go"]["flags"]
    assert "-buildmode=pie" in recipe["go"]["flags"]
    assert re.match(r"zstd \S+, level 19", recipe["layers"]["encoder"])


def test_it_starts_on_scratch(small):
    """A PIE without a dynamic linker starts where there is none."""
    if os.uname().machine != "x86_64":
        pytest.skip("the image is for amd64")
    said = subprocess.run([small.root / "out" / "app" / "app"], capture_output=True, check=True, text=True).stderr

    assert said == "hi\n"


def test_it_is_built_again(small):
    """The recipe is enough: the same digest, from empty caches, with another profile in wherry.toml."""
    small.write("wherry.toml", '[build]\nprofile = "edge"\n\n[edge]\nno-inline = ["fmt"]\n')

    small("rebuild", "app:small", "--source", ".", "--json")

    (small.root / "wherry.toml").unlink()
    assert json.loads(small.out)["identical"]


def test_by_wherry_toml(wherry):
    """The file says it as the command line does; patterns of packages are compiled without inlining."""
    edge = '[edge]\nno-inline = ["example.com/..."]\n\n[edge.budgets]\npulled = 10\n'
    wherry.write("wherry.toml", f'[build]\nprofile = "edge"\ntags = ["app:toml"]\n\n{edge}')
    time.sleep(2 * TICK / 1e9)  # a folder that is written to as the compiler starts counts as changed

    try:
        wherry("build", code=1)
    finally:
        (wherry.root / "wherry.toml").unlink()
    over, recipe = wherry.err, recipe_of(wherry, "app:toml")  # it is stored all the same
    sized = "\n".join(wherry("size", "app:toml"))

    assert "over its budget" in over
    assert "attributed by symbols (relinked)" in sized
    assert (recipe["go"]["profile"], recipe["go"]["noInline"]) == ("edge", "example.com/...")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--pie", "--platform", "linux/arm/v7"), "Go links a PIE there with a C compiler only"),
        (("--pie", "--platform", "linux/ppc64le"), "wherry has no code that relocates a PIE there"),
        (("--pie", "--cgo", "musl"), "cannot be combined"),
        (("--device-memory", "64MB"), "is a part of the profile edge"),
        (("--device-memory", "8MB", "--profile", "edge"), "too little memory"),
        (("--profile", "edge,small", "--gcflags", "-N"), "gcflags"),
        (("--profile", "small"), "edge,small"),
        (("--cgo", "musl", "--platform", "linux/s390x"), "zig's target"),
    ],
)
def test_what_cannot_be(wherry, words, why):
    """Each is refused before anything is compiled, with the reason."""
    wherry("build", *words, code=64)

    assert why in wherry.err
    assert "hint:" in wherry.err


def test_a_dockerfile_has_no_profile(tmp_path):
    """Each option is refused by its name, in wherry.toml with its line."""
    shell = Shell(tmp_path / "docker")
    shell.write("Dockerfile", "FROM scratch\nCOPY f /f\n")

    shell("build", ".", "--profile", "edge", "--pie", "--cgo", "musl", "--device-memory", "64MB", code=64)
    said = shell.err
    shell.write("wherry.toml", '[build]\nprofile = "edge"\n')
    shell("build", ".", code=78)

    assert "--profile, --device-memory, --pie, --cgo are for Go modules" in said
    assert 'line 2: key "profile" is for Go modules' in shell.err


def test_zig_is_missing(wherry, monkeypatch):
    """One sentence, with what installs it."""
    monkeypatch.setattr("wherry.host.zig._wheel", lambda: None)
    before = wherry.environment["PATH"]
    wherry.environment["PATH"] = str(Path(need("go")).parent)
    try:
        wherry("build", "--cgo", "musl", code=69)
    finally:
        wherry.environment["PATH"] = before

    assert "--cgo musl compiles C with zig, which is not installed" in wherry.err
    assert "pip install 'wherry[musl]'" in wherry.err


def test_the_floor_of_tls(tmp_path):
    """The running image refuses 1.0 and 1.1 on each port, by handshakes; one that accepts them is not delivered."""
    shell = Shell(tmp_path / "tls")
    shell.write("go.mod", "module example.com/tls\n\ngo 1.21\n")
    shell.write("main.go", SERVER)

    shell("build", "-t", "tls:dev", "--profile", "edge", "--prove", "--compression", "gzip")
    good = shell.err
    shell.write("wherry.toml", '[prove]\nprobe = "tls://localhost:8443"\nenvironment = { OLD = "1" }\n')
    shell("build", "-t", "tls:dev", "--prove", "--compression", "gzip", code=1)
    probed = shell.err
    shell.write("wherry.toml", '[prove]\nenvironment = { OLD = "1" }\n')
    shell("build", "-t", "tls:dev", "--profile", "edge", "--prove", "--compression", "gzip", code=1)

    assert "localhost:8443 accepts TLS 1.2 and TLS 1.3; refuses TLS 1.0 (alert 70 (protocol version))" in good
    assert "GODEBUG=tls10server=0" in good
    assert "tls://localhost:8443: it accepts TLS 1.0 and TLS 1.1" in probed
    assert "localhost:8443: accepts TLS 1.0 and TLS 1.1" in shell.err
    assert "MinVersion" in shell.err
