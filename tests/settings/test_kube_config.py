"""kubectl's configuration: joined files, files next to them, programs, and what is wrong with them."""

import base64
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidSettings, NotFound, WherryError
from wherry.settings.kube_config import KubeProgram, kube_context


def write(path: Path, **parts: object) -> Path:
    """Write a configuration."""
    path.write_text(json.dumps(parts))
    return path


def rows(kind: str, name: str, **value: object) -> list[dict]:
    """Give one row of a section."""
    return [{"name": name, kind: value}]


def test_files_are_joined(tmp_path):
    """Of each name the first file counts; relative paths start at the file that has them."""
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("secret\n")
    first = write(
        tmp_path / "one",
        **{"current-context": "a"},
        contexts=rows("context", "a", cluster="c", user="u", namespace="shop"),
    )
    second = write(
        tmp_path / "two", **{"current-context": "b"},
        clusters=rows("cluster", "c", **{"server": "https://host:6443/", "certificate-authority": "ca.pem"}),
        users=rows("user", "u", tokenFile="token"), contexts=rows("context", "b", cluster="c", user="u"),
    )  # fmt: skip

    found = kube_context([tmp_path / "none", first, second])

    assert (found.server, found.namespace) == ("https://host:6443", "shop")
    assert (found.authorities, found.token) == (b"CA", "secret")
    assert kube_context([first, second], "b").namespace == "default"
    assert "secret" not in repr(found)


def test_a_program(tmp_path):
    """A program that gives credentials, and certificates in the file itself."""
    file = write(
        tmp_path / "config", **{"current-context": "a"}, contexts=rows("context", "a", cluster="c", user="u"),
        clusters=rows("cluster", "c", **{"server": "https://h", "insecure-skip-tls-verify": True}),
        users=rows("user", "u", **{
            "client-certificate-data": base64.b64encode(b"CERT").decode(),
            "exec": {"command": "./login", "args": ["-q"], "env": [{"name": "A", "value": "b"}], "apiVersion": "v1"},
        }),
    )  # fmt: skip

    found = kube_context([file])

    assert found.program == KubeProgram(argv=(str(tmp_path / "login"), "-q"), environment={"A": "b"}, version="v1")
    assert (found.certificate, found.insecure) == (b"CERT", True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[", InvalidSettings), ("7", InvalidSettings), ("{}", NotFound), ('{"current-context": "a"}', NotFound),
        ('{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c"}}]}', NotFound),
    ],
)  # fmt: skip
def test_what_is_wrong(tmp_path, text, error):
    """It is said, with what to do."""
    (tmp_path / "config").write_text(text)

    with pytest.raises(error) as caught:
        kube_context([tmp_path / "config"])

    assert caught.value.hint


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "current-context",
                        "contexts",
                        "clusters",
                        "users",
                        "name",
                        "context",
                        "cluster",
                        "user",
                        "server",
                        "exec",
                        "token",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
    )
)
def test_any_document(tmp_path_factory, document):
    """Whatever it holds, it is read or refused in words."""
    file = tmp_path_factory.mktemp("kube") / "config"
    file.write_text(json.dumps(document))

    with suppress(WherryError):
        kube_context([file])
