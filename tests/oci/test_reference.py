"""References read as `docker pull` reads them, and back to the same value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.oci.reference import DEFAULT_REGISTRY, InvalidReference, Reference

HEX = "5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270"
HUB = DEFAULT_REGISTRY


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("alpine", f"{HUB}/library/alpine:latest", "alpine:latest"),
        ("api:dev", f"{HUB}/library/api:dev", "api:dev"),
        ("team/api", f"{HUB}/team/api:latest", "team/api:latest"),
        (f"{HUB}/library/alpine:3", f"{HUB}/library/alpine:3", "alpine:3"),
        (f"index.{HUB}/alpine", f"{HUB}/library/alpine:latest", "alpine:latest"),
        ("localhost/api", "localhost/api:latest", "localhost/api:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x:1"),
        ("example.com/a/b__c/d--e:V1.0_x", "example.com/a/b__c/d--e:V1.0_x", "example.com/a/b__c/d--e:V1.0_x"),
        (f"api@sha256:{HEX}", f"{HUB}/library/api@sha256:{HEX}", f"api@sha256:{HEX}"),
        (f"api:dev@sha256:{HEX}", f"{HUB}/library/api:dev@sha256:{HEX}", f"api:dev@sha256:{HEX}"),
        # Shortened, these would be read as a host or a digest: they stay whole.
        (f"{HUB}/localhost/x", f"{HUB}/localhost/x:latest", f"{HUB}/localhost/x:latest"),
        (f"{HUB}/foo.bar/x", f"{HUB}/foo.bar/x:latest", f"{HUB}/foo.bar/x:latest"),
        (f"{HUB}/{HEX}", f"{HUB}/library/{HEX}:latest", f"{HUB}/library/{HEX}:latest"),
        (f"{HUB}/library/a/b", f"{HUB}/library/a/b:latest", "library/a/b:latest"),
    ],
)
def test_reads_familiar_names(text: str, canonical: str, familiar: str):
    """Docker's defaults are filled in, and left out again."""
    reference = Reference.parse(text)

    assert reference.canonical == canonical
    assert str(reference) == familiar


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ":dev", "@", "a:", "a@", "a@sha256:12", "a@md5:" + "0" * 32, "Alpine", "a//b", "/a", "a/", "-a", "a-",
        "a..b", "a___b", "a:-x", "a:" + "x" * 129, "a:b:c", "host/x:5000/z", HEX, "a" * 256, "a b", "ä", "a\n",
        "api:dev\n", "a:٣", f"{HUB}/", "http://a/b", "-host.example/a", "x" * 5000, "[::1/x", "exa_mple.com/a",
    ],
)  # fmt: skip
def test_refuses_what_is_no_name(text: str):
    """Each gives an error that says what is wrong and what to write."""
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)

    assert caught.value.problem
    assert caught.value.hint
    assert len(caught.value.message) < 800


def test_the_default_tag_can_be_left_out():
    """Without one, a bare name has neither tag nor digest."""
    assert Reference.parse("api", default_tag="") == Reference(HUB, "library/api")


COMPONENT = st.from_regex(r"\A[a-z0-9]{1,5}([._-][a-z0-9]{1,3}){0,2}\Z")
TEXTS = st.builds(
    lambda host, path, tag, digest: host + "/".join(path) + tag + digest,
    st.sampled_from(
        ["", "localhost/", "localhost:5000/", "example.com/", f"{HUB}/", f"{HUB}/library/", "HOST/", "[::1]/"]
    ),
    st.lists(COMPONENT | st.sampled_from(["library", "localhost", HEX]), min_size=1, max_size=3),
    st.just("") | st.from_regex(r"\A:[A-Za-z0-9_][A-Za-z0-9_.-]{0,5}\Z"),
    st.sampled_from(["", f"@sha256:{HEX}"]),
)


@settings(max_examples=200)
@given(TEXTS | st.text(max_size=30))
def test_reads_back_what_it_writes(text: str):
    """Both forms of a reference give the same value again; whatever else comes is refused by our own error."""
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return

    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.canonical) == reference
    bare = Reference.parse(text, default_tag="")
    assert Reference.parse(str(bare), default_tag="") == bare
