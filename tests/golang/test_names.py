"""Names of symbols: whose they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.golang.names import generic_package, is_instance, is_standard, package_of, unescape


@pytest.mark.parametrize(
    ("symbol", "package"),
    [
        ("main.main", "main"),
        ("net/http.(*Server).Serve.func1", "net/http"),
        ("gopkg.in/yaml%2ev3.Marshal", "gopkg.in/yaml.v3"),
        ("go.etcd.io/etcd/client/v3.New", "go.etcd.io/etcd/client/v3"),
        ("go.uber.org/zap.(*Logger).Info", "go.uber.org/zap"),
        ("go/ast.Walk", "go/ast"),
        ("github.com/a/b.Handle[go.shape.struct { c/d.X int }].func1", "github.com/a/b"),
        ("a/b.(*T[go.shape.*c/d.U]).M", "a/b"),
        ("vendor/golang.org/x/net/idna.ToASCII", "vendor/golang.org/x/net/idna"),
        ("type:.eq.net/http.connectMethodKey", "net/http"),
        ("type:.eq.[2]go.uber.org/zap/zapcore.Field", "go.uber.org/zap/zapcore"),
        ("type:.eq.struct { a/b.x int }", ""),
        ("type:*a/b.T", ""),
        ("go:string.*", ""),
        ("go:itab.*os.File,io.Reader", ""),
        ("$f64.3ff0000000000000", ""),
        ("_rt0_amd64_linux", ""),
        ("memeqbody", ""),
    ],
)
def test_whose(symbol, package):
    """The import path as source has it; what no package wrote is nobody's."""
    assert package_of(symbol) == package


def test_instances():
    """An instance of a generic function is told, with the package that wrote it."""
    assert is_instance("slices.SortFunc[go.shape.int]")
    assert not is_instance("type:slices.X[int]")
    assert generic_package("slices.SortFunc[go.shape.[]a/b.T]") == "slices"
    assert generic_package("slices.Sort") == ""


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
