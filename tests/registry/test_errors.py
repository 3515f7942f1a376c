"""What an error says of a registry's answer."""

import pytest

from wherry.registry.errors import words_of


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b'{"errors": [{"code": "NAME_UNKNOWN", "message": "not known", "detail": {"name": "web"}}]}',
            'NAME_UNKNOWN: not known: {"name": "web"}',
        ),
        (b'{"errors": [{"code": "DENIED", "message": "no", "detail": null}]}', "DENIED: no"),
        (b'{"message": ["a", true]}', '["a", true]'),
    ],
)
def test_details_are_json(body, words):
    """As the registry wrote them, not as Python prints them."""
    assert list(words_of(body)) == [words]
