"""Names of symbols, as compiler and linker write them, and the packages they are of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.golang.names import (
    generic_package,
    is_instance,
    is_standard,
    package_of,
    unescape,
    without_promoted,
)  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "package"),
    [
        ("main.main", "main"),
        ("net/http.(*Server).Serve.func1", "net/http"),
        ("net/http.(*Server).Serve.func1.gowrap2", "net/http"),
        ("vendor/golang.org/x/net/idna.init", "vendor/golang.org/x/net/idna"),
        ("gopkg.in/yaml%2ev3.Marshal", "gopkg.in/yaml.v3"),
        ("example.com/a.v2/b.F", "example.com/a.v2/b"),
        ("slices.SortFunc[go.shape.[]a.io/b.T,go.shape.int]", "slices"),
        ("example.com/a.(*Set[go.shape.string]).Add-fm", "example.com/a"),
        ("type:.eq.example.com/a.T", "example.com/a"),
        ("type:.hash.[2]example.com/a.T", "example.com/a"),
        ("type:.eq.struct { A int }", ""),
        ("go:buildid", ""),
        ("go.shape.*uint8", ""),
        ("_rt0_amd64_linux", ""),
        ("_cgo_init", ""),
        ("crosscall2", ""),
        ("local.moduledata", ""),
        ("$f64.3ff0000000000000", ""),
        # What looks like that and is none of it.
        ("go.uber.org/zap.(*Logger).Info", "go.uber.org/zap"),
        ("go.etcd.io/etcd/client/v3.New", "go.etcd.io/etcd/client/v3"),
        ("local.example.com/a.F", "local.example.com/a"),
        ("_cgo.example/a.F", "_cgo.example/a"),
        ("crosscalls/a.F", "crosscalls/a"),
        ("go/token.NewFileSet", "go/token"),
        ("github.com/a/b.Handle[go.shape.struct { c/d.X int }].func1", "github.com/a/b"),
        ("type:.eq.[2]go.uber.org/zap/zapcore.Field", "go.uber.org/zap/zapcore"),
        ("go:itab.*os.File,io.Reader", ""),
        ("memeqbody", ""),
    ],
)
def test_package_of(symbol, package):
    """A function is of the package that its name begins with."""
    assert package_of(symbol) == package


@pytest.mark.parametrize(
    ("symbol", "package"),
    [
        ("text/template.Template.text/template/parse.add", "text/template"),
        ("example.com/a.T.example.com/b/c.hidden", "example.com/a"),
        ("example.com/a.(*T).example.com/b/c.hidden", "example.com/a"),
        ("example.com/a.v2/b.F", "example.com/a.v2/b"),
        ("sub.example.com/a.F", "sub.example.com/a"),
    ],
)
def test_promoted_methods(symbol, package):
    """The path of an embedded type's package in a method's name is no part of the package that embeds it."""
    known = {"text/template", "text/template/parse", "example.com/a", "example.com/b/c", "example.com/a.v2/b"}
    whole = package_of(symbol)

    assert without_promoted(whole, known | {whole}) == package


def test_instances():
    """An instance of a generic function has types in brackets; the package in its name wrote it."""
    assert is_instance("slices.Max[go.shape.int]")
    assert not is_instance("type:.eq.[2]a.T")
    assert not is_instance("a.F")
    assert generic_package("a.io/b.(*Set[go.shape.string]).Add") == "a.io/b"
    assert generic_package("a.io/b.F") == ""


def test_standard():
    """Go's own packages have no dot in the first element of their paths."""
    assert is_standard("net/http")
    assert is_standard("vendor/golang.org/x/net/idna")
    assert not is_standard("go.uber.org/zap")


@given(st.text(max_size=60))
def test_any_text(text):
    """No text is too odd."""
    package_of(text)
    is_instance(text)
    assert unescape(text.replace("%", "")) == text.replace("%", "")


@given(st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), min_size=1, max_size=4), st.sampled_from("ABC"))
def test_what_is_put_together_comes_apart(elements, name):
    """A path with a function behind it has that path."""
    path = "/".join(elements)

    assert package_of(f"{path}.{name}") == path
