"""What a registry asks for when it answers 401."""

from hypothesis import given
from hypothesis import strategies as st

from wherry.registry.challenge import Challenge, challenges

WORD = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=10)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def test_bearer():
    """Parameters may have commas within quotes."""
    (found,) = challenges(
        ['Bearer realm="https://auth.example/token",service="reg.example",scope="repository:a/b:pull,push"']
    )

    assert found == Challenge(
        "bearer",
        {"realm": "https://auth.example/token", "service": "reg.example", "scope": "repository:a/b:pull,push"},
    )


def test_several_in_one_header():
    """A comma parts challenges as well as parameters."""
    found = challenges(['Negotiate, Basic realm="x, y", Bearer realm=z'])

    assert [one.scheme for one in found] == ["negotiate", "basic", "bearer"]
    assert [dict(one.parameters) for one in found] == [{}, {"realm": "x, y"}, {"realm": "z"}]


@given(WORD, st.dictionaries(WORD, VALUE, max_size=5))
def test_reads_what_is_written(scheme, parameters):
    """Any parameters come back, whatever is in their values."""
    escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in parameters.items()}
    header = f"{scheme} " + ", ".join(f'{key}="{value}"' for key, value in escaped.items())

    assert challenges([header]) == (Challenge(scheme, parameters),)


@given(st.lists(st.text(max_size=200), max_size=3))
def test_takes_any_text(headers):
    """A header that is none gives no error."""
    for found in challenges(headers):
        assert found.scheme == found.scheme.lower()
